"""A training method is one file and its name in the list."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import studio

pytestmark = pytest.mark.torch

HALF = """
from typing import ClassVar, Literal

from studio.training.methods.method import Method


class Half(Method, frozen=True):
    summary: ClassVar[str] = "half of the loss of supervised fine-tuning"
    kind: Literal["half"] = "half"
    share: float = 0.5

    def loss(self, scored, totals):
        return self.share * scored.losses.sum() / totals.trained, {}
"""

TRY = """
import sys, tempfile
from pathlib import Path
import studio
from studio.training.methods import METHODS
from studio.training.settings import Training
from tests.tiny import make_model
from tests.training.kit import Memory, make_job

assert Path(studio.__file__).is_relative_to(sys.argv[1]), studio.__file__
assert "half" in str(Training.model_json_schema()["properties"]["method"])
from transformers import AutoTokenizer
from studio.models.loading import load_base
from studio.models.settings import Model
from studio.training.fit import fit

folder = Path(tempfile.mkdtemp())
model = make_model(folder / "model")
first = {}
for method in ("sft", "half", {"kind": "half", "share": 0.25}):
    reporter = Memory()
    base = load_base(Model.model_validate({"name": str(model), "quantization": "none", "dtype": "fp32"}), "cpu")
    job = make_job(folder / str(len(first)), method=method, max_steps=1)
    fit(base, AutoTokenizer.from_pretrained(model), job, reporter)
    first[str(method)] = reporter.series("loss")[1]
print(*(loss / first["sft"] for loss in first.values()))
"""


def test_a_method_is_added_by_one_file_and_its_name_in_the_list(tmp_path: Path):
    root = Path(studio.__file__).parents[1]
    for package in ("studio", "tests"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "studio" / "training" / "methods"
    (folder / "half.py").write_text(HALF)
    listed = folder / "__init__.py"
    text = listed.read_text()
    kto = "from studio.training.methods.kto"
    added = text.replace(kto, f"from studio.training.methods.half import Half\n{kto}").replace("= Sft |", "= Sft | Half |")
    assert added != text
    listed.write_text(added)
    (tmp_path / "try.py").write_text(TRY)
    done = subprocess.run(
        [sys.executable, "try.py", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [float(share) for share in done.stdout.split()[-3:]] == pytest.approx([1, 0.5, 0.25], rel=1e-5)
