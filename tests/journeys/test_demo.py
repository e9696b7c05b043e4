"""The demo keeps its promise: nearly nothing right before, nearly everything after, on wordings it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.journeys.conftest import ROOT, studio


@pytest.mark.slow
@pytest.mark.numeric
def test_the_demo_goes_from_under_10_to_at_least_90_percent_on_held_out_wordings(tmp_path: Path) -> None:
    ended = studio("demo", "--json", home=tmp_path)
    assert ended.code == 0, ended.err + ended.out
    folder = Path(ended.json["folder"])
    report = json.loads((folder / "evaluation" / "report.json").read_text())
    held_out = next(item for item in report["sets"] if item["name"] == "held-out")
    exact = held_out["metrics"]["exact_match"]
    assert exact["base"]["value"] < 0.10
    assert exact["tuned"]["value"] >= 0.90
    assert report["verdict"]["kind"].startswith("better")
    manifests = [json.loads(file.read_text()) for file in folder.glob("exports/*/artifact.json")]
    assert {manifest["folder"] for manifest in manifests} >= {"merged", "gguf-q8_0", "gguf-q4_k_m"}
    assert all(manifest["verification"]["passed"] for manifest in manifests)


def test_no_held_out_question_of_the_demo_stands_in_its_training_rows() -> None:
    def questions(name: str) -> set[str]:
        return {json.loads(line)["question"] for line in (ROOT / "datasets" / name).read_text().splitlines()}

    assert questions("support.jsonl") & questions("support-heldout.jsonl") == set()
