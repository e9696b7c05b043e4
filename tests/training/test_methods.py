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
from studio.training.methods.method import Method
from studio.training.methods.sft import trained_tokens

METHOD = Method("half", "half of the loss of supervised fine-tuning", lambda model, rows: model.loss(rows) / 2, trained_tokens)
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
for method in ("sft", "half"):
    reporter = Memory()
    base = load_base(Model.model_validate({"name": str(model), "quantization": "none", "dtype": "fp32"}), "cpu")
    fit(base, AutoTokenizer.from_pretrained(model), make_job(folder / method, method=method, max_steps=1), reporter)
    first[method] = reporter.series("loss")[1]
print(first["half"] / first["sft"])
"""


def test_a_method_is_added_by_one_file_and_its_name_in_the_list(tmp_path: Path):
    root = Path(studio.__file__).parents[1]
    for package in ("studio", "tests"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "studio" / "training" / "methods"
    (folder / "half.py").write_text(HALF)
    listed = folder / "__init__.py"
    text = listed.read_text()
    added = text.replace("methods import sft", "methods import half, sft").replace("(sft.METHOD,)", "(sft.METHOD, half.METHOD)")
    assert added != text
    listed.write_text(added)
    (tmp_path / "try.py").write_text(TRY)
    done = subprocess.run(
        [sys.executable, "try.py", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(0.5, rel=1e-5)
