"""The nightly retrains of the docs, run: the first model is promoted, one that is no better is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ROWS = Path(__file__).parents[2] / "datasets" / "support.jsonl"
SPEC = """name: night
data: {{train: "${{DATA}}/train.jsonl", holdout: held-out.jsonl}}
training: {{{length}, batch_size: 8, learning_rate: {rate}}}
evaluation: {{max_rows: 8, general: 'off', resamples: 200}}
tracking: {{wandb: 'off'}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.torch]


@pytest.mark.parametrize("script", ["nightly.py", "nightly.sh"])
def test_a_better_model_is_promoted_and_one_that_is_not_is_not(script: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()[:60]]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{**row, "question": f"Please tell me: {row['question']}"} for row in rows[::6]]
    (tmp_path / "held-out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    environment = {
        **os.environ, "DATA": str(tmp_path / "data"), "STUDIO_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    words = [sys.executable, str(EXAMPLES / script)] if script.endswith(".py") else ["bash", str(EXAMPLES / script)]

    def night(length: str, rate: float) -> tuple[int, str]:
        (tmp_path / "bot.yaml").write_text(SPEC.format(length=length, rate=rate))
        ended = subprocess.run(
            [*words, "bot.yaml", "serving"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
        )
        said = ended.stdout.splitlines() or [ended.stderr]
        return ended.returncode, said[-1].partition(" night-")[0].partition(":")[0]

    assert night("epochs: 6", 5e-3) == (0, "promoted")
    first = (tmp_path / "serving" / "current").resolve()
    assert (first / "model.safetensors").exists()
    assert night("max_steps: 1", 1e-6) == (4, "not promoted")
    assert (tmp_path / "serving" / "current").resolve() == first
    assert sorted(file.name for file in (tmp_path / "serving").iterdir()) == ["current"]
    (tmp_path / "data" / "train.jsonl").unlink()
    assert night("max_steps: 1", 1e-6)[0] == 2
