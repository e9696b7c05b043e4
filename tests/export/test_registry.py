"""An export target is added by its folder and its name in the list; a test adds one in a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import studio

SETTINGS = '''
"""Target `notes`: a text file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from studio.export.targets.base import Target


class NotesTarget(Target):
    """A text file about the run."""

    kind: Literal["notes"] = Field(default="notes", title="Kind")
    """A text file."""
    lines: int = Field(default=3, ge=1, title="Lines")
    """How many lines it has."""

    def folder(self, source: Any) -> str:
        return "notes"

    def size(self, dims: Any) -> int:
        return 80 * self.lines

    def estimate(self, source: Any) -> Any:
        from studio.export.resources import Need

        return Need(disk=1, memory=1)

    def write(self, source: Any, out: Path, reporter: Any) -> dict[str, Any]:
        (out / "notes.txt").write_text("note\\n" * self.lines)
        return {"statement": "Notes."}

    def verify(self, source: Any, out: Path, probe: Any, reporter: Any) -> Any:
        from studio.export.verification.result import Check, from_checks

        return from_checks("a reader", [Check("lines", 3, 3, True, "as many as asked for")], [])
'''
ASK = """
import json, sys
from studio import spec
from studio.app import exports, reference
parsed = spec.parse({"data": {"train": "-"}, "export": [{"kind": "notes", "lines": 5}]})
fields = [row.field for row in reference.rows()]
print(json.dumps({"file": spec.__file__, "kinds": list(exports.kinds()), "size": parsed.export[0].size(None),
                  "summary": exports.summary(exports.kinds()["notes"]), "schema": "NotesTarget" in json.dumps(spec.schema()),
                  "fields": [name for name in fields if "lines" in name]}))
"""


@pytest.mark.slow
def test_a_target_is_its_folder_and_its_name_in_the_list(tmp_path: Path) -> None:
    package = Path(studio.__file__).parent
    shutil.copytree(package, tmp_path / "studio", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    targets = tmp_path / "studio" / "export" / "targets"
    (targets / "notes").mkdir()
    (targets / "notes" / "__init__.py").write_text("")
    (targets / "notes" / "settings.py").write_text(SETTINGS)
    registry = targets / "__init__.py"
    text = registry.read_text()
    text = text.replace("AnyTarget = ", "from studio.export.targets.notes.settings import NotesTarget\n\nAnyTarget = ")
    registry.write_text(text.replace("    | TensorrtLlmTarget", "    | TensorrtLlmTarget\n    | NotesTarget"))
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["file"].startswith(str(tmp_path)), "the copy was asked"
    assert "notes" in found["kinds"]
    assert found["size"] == 400
    assert found["summary"] == "A text file about the run."
    assert found["schema"]
    assert found["fields"], "the table of fields has it too"
