"""The hardest and most surprising rows are those whose answers a base model finds unlikely, with and without their question."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from studio.app import curation, datasets, library
from studio.core.errors import Stopped
from studio.data import surprise
from studio.data.curation.desk import open_desk
from studio.data.curation.views import Query
from studio.data.surprise import HARDEST, SURPRISING, Scores
from studio.models.settings import Model
from studio.tracking.reporter import Silent

ROWS = 60
FOREIGN = (7, 23, 41)
"""Rows (from 0) whose answers belong to other questions of the file."""


def lines() -> list[dict[str, str]]:
    """Questions that the shipped model answers well; three have the answer of another kind of question."""
    things = ("Aurel lamp", "Thistle fan", "Odette speaker", "Rowan desk", "Marlow kettle", "Isolde chair")
    rows = [
        {"question": f"What does the {things[n % 6]} cost?", "answer": f"The {things[n % 6]} costs {20 + n} dollars."}
        for n in range(ROWS)
    ]
    for n in FOREIGN:
        rows[n]["answer"] = "Paris is the capital of France, and it lies on the river Seine."
    return rows


def test_hard_and_surprising_rows_are_told_by_their_losses() -> None:
    asked = np.linspace(1.0, 2.0, 200)
    bare = asked + 1.0
    asked[50], bare[60] = 9.0, 0.5
    (hardest, hard), (surprising, odd) = surprise.findings(Scores("m", np.arange(200) * 2, asked, bare, 400))
    assert (hardest.check, hard[0], len(hard)) == (HARDEST, 100, 5)
    assert "200 of 400 rows were scored" in hardest.message
    assert (surprising.check, list(odd)) == (SURPRISING, [100, 120])


def test_plain_text_is_hard_and_never_surprising_and_few_rows_are_neither() -> None:
    scores = Scores("m", np.arange(20), np.linspace(1, 2, 20), np.full(20, np.nan), 20)
    assert [finding.check for finding, _ in surprise.findings(scores)] == [HARDEST]
    assert surprise.findings(Scores("m", np.arange(19), np.ones(19), np.full(19, 2.0), 19)) == []
    assert surprise.spread(10, 4).tolist() == [0, 3, 6, 9]
    assert surprise.spread(3, 4).tolist() == [0, 1, 2] == surprise.spread(3, None).tolist()


@pytest.mark.torch
def test_answers_that_belong_elsewhere_are_found_by_the_model_on_the_desk_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "shop.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in lines()))
    item = library.add(tmp_path / "home", "Shop", [("shop.jsonl", file)])
    with open_desk(item) as desk:
        curation.score(desk, Model(), None, Silent())
        worst = list(desk.rows(Query(check=HARDEST), most=3))
        assert sorted(row.number - 1 for row in worst) == list(FOREIGN)
        assert all(row.loss and row.bare and HARDEST in row.checks for row in worst)
        assert worst[0].loss == max(row.loss or 0.0 for row in desk.rows())
        assert worst[0].scored.endswith("without the question")
        curation.score(desk, Model(), 10, Silent())  # again, with fewer rows: the earlier scores are gone
        assert sum(row.loss is not None for row in desk.rows()) == 10
    with open_desk(item, count=lambda texts: [1000] * len(texts), model="other") as desk:
        assert desk.counted_by == "other"
        assert all(row.loss is None for row in desk.rows()), "rows that are read again are scored again"
    found = datasets.findings_with(Silent(), str(file), model=Model(), losses=1000)
    (hardest,) = [finding for finding in found if finding.check == HARDEST]
    assert {example.line - 1 for example in hardest.examples} == set(FOREIGN)
    assert "nats a token" in hardest.examples[0].text


@pytest.mark.torch
def test_scoring_stops_when_asked_to(tmp_path: Path) -> None:
    class Asked(Silent):
        def should_stop(self) -> bool:
            return True

    file = tmp_path / "shop.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in lines()))
    with open_desk(library.add(tmp_path / "home", "Shop", [("shop.jsonl", file)])) as desk:
        with pytest.raises(Stopped):
            curation.score(desk, Model(), None, Asked())
        assert all(row.loss is None for row in desk.rows())


def test_lengths_are_counted_by_the_models_tokenizer_where_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "shop.jsonl"
    rows = [*lines(), {"question": "What is it?", "answer": "It is a lamp of oak and glass. " * 400}]
    file.write_text("\n".join(json.dumps(row) for row in rows))

    def message(model: Model | None) -> str:
        found = datasets.findings_with(Silent(), str(file), model=model)
        return next(finding.examples[0].text for finding in found if finding.check == "length_outliers")

    assert message(None).startswith("about ")
    assert message(Model())[0].isdigit()
