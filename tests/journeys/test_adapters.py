"""Adapters merged by the command are a run like any other: evidence, exports, chat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import ROOT, studio

pytestmark = pytest.mark.slow


def test_a_run_merged_with_itself_is_a_run_with_the_same_evidence_and_verified_exports(
    finished: dict[str, Any], shared_home: Path
) -> None:
    ended = studio("adapters", "merge", finished["id"], finished["id"], "--name", "twice", "--json", home=shared_home)
    assert ended.code == 0, ended.err
    merged = ended.json
    assert merged["state"] == "done"
    assert merged["exports"] == finished["exports"]
    assert (merged["merge"]["method"], merged["merge"]["error"]) == ("cat", 0.0)
    assert [part["name"] for part in merged["merge"]["parts"]] == [finished["id"]] * 2
    one, other = (json.loads((Path(run["folder"]) / "evaluation" / "report.json").read_text()) for run in (finished, merged))
    assert [answer["tuned"]["text"] for answer in one["sets"][0]["answers"]] == [
        answer["tuned"]["text"] for answer in other["sets"][0]["answers"]
    ]
    asked = studio("chat", merged["id"], "-m", "Where is my order?", "--json", home=shared_home)
    before = studio("chat", finished["id"], "-m", "Where is my order?", "--json", home=shared_home)
    assert asked.json == before.json


def test_folders_alone_are_merged_into_a_folder_with_its_record(
    finished: dict[str, Any], shared_home: Path, tmp_path: Path
) -> None:
    folder = Path(finished["folder"]) / "adapter"
    refused = studio("adapters", "merge", folder, folder, home=shared_home)
    assert (refused.code, "--out FOLDER" in refused.err) == (2, True)
    ended = studio(
        "adapters", "merge", folder, folder, "--method", "svd", "--out", tmp_path / "out", "--json", home=shared_home
    )
    assert ended.code == 0, ended.err
    assert ended.json["rank"] * 2 == ended.json["exact_rank"]
    assert ended.json["error"] < 1e-5
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "merge.json"
    }  # fmt: skip
    for words, told in (
        (["--rank", "4"], "sum of the ranks"),
        (["--weights", "1"], "1 weight for 2 adapters"),
        (["--density", "0.5"], "for ties and dare"),
    ):
        refused = studio("adapters", "merge", folder, folder, *words, "--out", tmp_path / "other", home=shared_home)
        assert (refused.code, told in refused.err) == (2, True), refused.err


def test_healing_wins_back_most_of_what_a_dropped_layer_cost(tmp_path: Path) -> None:
    rows = ROOT / "datasets"
    spec = tmp_path / "spec.yaml"
    data = {"train": str(rows / "support.jsonl"), "holdout": str(rows / "support-heldout.jsonl")}
    spec.write_text(
        json.dumps(
            {
                "name": "whole",
                "data": data,
                "training": {"epochs": 2},
                "evaluation": {"general": "off", "max_rows": 40, "samples": 2},
                "export": [{"kind": "gguf", "quant": "q8_0"}],
                "tracking": {"wandb": "off"},
            }
        )
    )
    home = tmp_path / "home"
    assert studio("train", spec, "--json", home=home).code == 0
    ended = studio("prune", "whole", "--layers", "1", "--name", "small", "--json", home=home)
    assert ended.code == 0, ended.err
    healed = ended.json
    assert healed["pruned"]["dropped"] == [2]  # the starter has four layers, of which only the third may go
    report = json.loads((Path(healed["folder"]) / "evaluation" / "report.json").read_text())
    sets = {item["name"]: item for item in report["sets"]}
    main, beside = sets["held-out"], sets["parent:held-out"]
    headline = main["headline"]
    parent, pruned, tuned = (
        beside["metrics"][headline]["base"]["value"], main["metrics"][headline]["base"]["value"],
        main["metrics"][headline]["tuned"]["value"],
    )  # fmt: skip
    assert pruned < parent - 0.1
    assert (tuned - pruned) / (parent - pruned) > 0.7
    assert "healing recovered" in report["verdict"]["cautions"][0]
    assert studio("prune", "whole-", "--layers", "2", home=home).code != 0
    listed = studio("savings", healed["pruned"]["parent"], "--json", home=home).json["rows"]
    assert [row["what"] for row in listed] == ["the run: base + adapter", "gguf-q8_0", "−1 layer, healed"]
    assert listed[2]["score"] == tuned
    assert listed[2]["bytes"] < listed[0]["bytes"]
    assert listed[2]["change"]["low"] <= tuned - parent <= listed[2]["change"]["high"]
