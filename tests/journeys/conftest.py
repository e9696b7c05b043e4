"""One small finished run, made by the command as a user makes it, shared by the journeys."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


def studio(*words: str | Path, home: Path | None = None, cwd: Path = ROOT, stdin: str = "") -> Ended:
    """Run the command to its end."""
    where = ["--home", str(home)] if home else []
    command = [sys.executable, "-m", "studio", *map(str, words), *where]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, input=stdin, timeout=1100)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


SMALL = {
    "name": "journey",
    "data": {"train": "support.csv", "holdout": 0.15},
    "training": {"epochs": 2, "batch_size": 8, "eval_every": 5, "save_every": 5},
    "evaluation": {"max_rows": 6, "general": "off", "samples": 3, "resamples": 200},
    "tracking": {"wandb": "off"},
    "export": [{"kind": "adapter"}, {"kind": "merged"}, {"kind": "gguf", "quant": "q8_0"}],
}


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a spreadsheet saved as CSV, and a spec that names it."""
    import csv

    import yaml

    folder = tmp_path_factory.mktemp("work")
    rows = [json.loads(line) for line in (ROOT / "datasets" / "support.jsonl").read_text().splitlines()[:80]]
    with open(folder / "support.csv", "w", newline="", encoding="utf-8-sig") as out:
        table = csv.DictWriter(out, ["question", "answer"], delimiter=";", lineterminator="\r\n")
        table.writeheader()
        table.writerows(rows)
    (folder / "spec.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    return folder


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home the shared run lives in."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def finished(desk: Path, shared_home: Path) -> dict[str, Any]:
    """The summary of a run that `studio train spec.yaml --json` made."""
    ended = studio("train", "spec.yaml", "--json", home=shared_home, cwd=desk)
    assert ended.code == 0, ended.err + ended.out
    return ended.json
