"""Documents → rows by the example's teacher → desk → run → evidence on the questions of documents that were held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.app import making
from studio.making.canned import REFUSAL
from tests.journeys.conftest import studio


@pytest.mark.slow
@pytest.mark.numeric
def test_a_model_trained_on_made_rows_answers_from_documents_it_never_saw_and_refuses_what_they_do_not_say(tmp_path: Path):
    home = tmp_path / "home"
    made = studio("make", "example", "--json", home=home)
    assert made.code == 0, made.err
    status = made.json["status"]
    reviewed = studio("data", "curate", "handbook@1", "--text", "Pippin kettle", "--exclude", "--write", "--json", home=home)
    assert reviewed.code == 0, reviewed.err
    spec = {
        "name": "handbook",
        "model": {"name": "starter"},
        "data": {"train": "dataset:handbook@2", "holdout": status["held_out_dataset"]},
        "adapter": {"rank": 32},
        "training": {"epochs": 3, "learning_rate": 3e-3},
        "evaluation": {"general": "off", "resamples": 200},
        "tracking": {"wandb": "off"},
    }
    file = tmp_path / "handbook.yaml"
    file.write_text(yaml.safe_dump(spec))
    ended = studio("train", file, "--json", home=home)
    assert ended.code == 0, ended.err + ended.out
    folder = Path(ended.json["folder"])
    report = json.loads((folder / "evaluation" / "report.json").read_text())
    held_out = next(item for item in report["sets"] if item["name"] == "held-out")
    assert held_out["metrics"]["exact_match"]["base"]["value"] < 0.35
    assert held_out["metrics"]["exact_match"]["tuned"]["value"] >= 0.6
    assert report["verdict"]["kind"].startswith("better")
    refusals = [answer for answer in held_out["answers"] if answer["reference"] == REFUSAL]
    assert right(refusals, "base") == 0
    assert right(refusals, "tuned") >= 0.6
    assert right([answer for answer in held_out["answers"] if answer["reference"] != REFUSAL], "tuned") >= 0.5
    lock = json.loads((folder / "lock.json").read_text())
    locked = lock["made"]["dataset:handbook@2"]
    assert locked["teacher"]["terms"].startswith("The example's teacher is a program")
    rows = making.find("last", home).rows
    assert not {row.question for row in rows if row.held_out} & {row.question for row in rows if not row.held_out}


def right(answers: list[dict[str, Any]], side: str) -> float:
    """Share of the answers that are the reference word for word."""
    return sum(answer[side]["scores"]["exact_match"] for answer in answers) / len(answers)
