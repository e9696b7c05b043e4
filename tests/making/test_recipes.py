"""Every recipe through the command, with a teacher that errs as real ones do."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.app import documents, making
from studio.cli import main
from studio.data import prepare
from studio.data.curation import store
from studio.documents.records import Passage
from studio.making.filters import Chain
from studio.making.recipes.base import Draft
from studio.making.spec import Filters
from tests.making import kit
from tests.remote.loopback import Faults, loopback

TOOL = {"name": "find_order", "description": "Find an order.", "parameters": {
    "type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}}  # fmt: skip
RECIPES: list[dict[str, Any]] = [
    {"kind": "questions", "per_passage": 2},
    {"kind": "unanswerable"},
    {"kind": "answers", "passages": 1},
    {"kind": "paraphrases", "registers": ["formal", "short"]},
    {"kind": "harder"},
    {"kind": "conversations", "turns": 1},
    {"kind": "preferences"},
    {"kind": "tool_calls", "tools": [TOOL], "per_tool": 8},
    {"kind": "labels", "labels": {"refund": "money back", "delivery": "where is it"}, "per_label": 8},
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the kit's documents."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for passage in kit.passages_of(tmp_path, "handbook"):
        (folder / passage.document).write_text(f"# {passage.heading_path[0]}\n\n{passage.text}\n")
    documents.add_documents("handbook", folder, home=tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.slow
def test_all_recipes_in_one_job_give_rows_that_train_under_one_ceiling_from_a_teacher_that_errs(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("What is the price of the Aurel lamp?\nWho is the mayor of Paris?\n")
    faults = Faults(seed=3, rate_limit=0.1, unavailable=0.05, fenced=0.3, without_usage=0.1, retry_after=0.01)
    with loopback(kit.answer, faults, served_model="canned-0613") as api, loopback("I think it is free.") as student:
        recipe = {
            "name": "All", "documents": ["handbook"], "questions": str(tmp_path / "mine.txt"), "recipes": RECIPES,
            "teacher": {"url": api.url, "model": "canned", "price": {"input": 1, "output": 1}}, "terms": "Fine.",
            "student": {"url": student.url, "model": "mine"}, "filters": {"judge": 2, "similar": 1},
        }  # fmt: skip
        file = tmp_path / "all.yaml"
        file.write_text(json.dumps(recipe))
        assert main.run(["make", "run", str(file), "--ceiling", "1", "--home", str(home), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    figures = {item["recipe"]: item for item in made["report"]["recipes"]}
    assert {name for name, item in figures.items() if item["kept"]} == {recipe["kind"] for recipe in RECIPES}
    assert made["status"]["spent"] < 1
    job = making.find(made["id"], home)
    held_out = set(job.report.summary.held_out_documents if job.report else ())
    training = [row for row in job.rows if not row.held_out]
    assert held_out
    assert not any(use.document in held_out for row in training for use in row.provenance.passages)
    assert {row.provenance.served for row in job.rows} == {"canned-0613", "mine"}
    rows = list(prepare.usable(store.named(home, job.dataset).data))
    assert len(rows) == sum(row.kind == "rows" for row in training), "what was made is read as it was"
    assert sum(bool(row.tools) for row in rows) == figures["tool_calls"]["kept"]
    assert sum(len(row.messages) == 4 for row in rows) == figures["conversations"]["kept"]
    pairs = list(prepare.usable(store.named(home, job.status.pairs_dataset).data, needs="pairs"))
    assert len(pairs) == figures["preferences"]["kept"]


MESSY: dict[str, Any] = {
    "prose around it": lambda text: f"Sure! Here you go:\n\n{text}\n\nAnything else?",
    "thinking before it": lambda text: f"<think>The user wants {{rows}}.</think>\n{text}",
    "a bare list": lambda text: json.dumps(json.loads(text)["rows"]),
    "a refusal": lambda text: "I'm sorry, but I can't help with that.",
    "nothing": lambda text: "",
    "cut short": lambda text: text[: len(text) // 2],
    "a bad row beside good ones": lambda text: json.dumps({"rows": [*json.loads(text)["rows"], {"question": "And?"}]}),
    "another language": lambda text: json.dumps(
        {"rows": [{"question": "Wie viel kostet denn diese schöne Lampe hier?", "answer": "Sie kostet viel Geld.",
                   "quote": json.loads(text)["rows"][0]["quote"]}]}, ensure_ascii=False
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("manner", "kept", "dropped"),
    [
        ("prose around it", 14, {}), ("thinking before it", 14, {}), ("a bare list", 14, {}),
        ("a refusal", 0, {"parse": 7}), ("nothing", 0, {"parse": 7}), ("cut short", 0, {"parse": 7}),
        ("another language", 0, {"language": 7}), ("a bad row beside good ones", 14, {"parse": 7}),
    ],
)  # fmt: skip
def test_what_a_messy_teacher_says_is_kept_as_far_as_it_is_usable_and_the_rest_is_listed(
    tmp_path: Path, manner: str, kept: int, dropped: dict[str, int]
) -> None:
    with loopback(lambda body: MESSY[manner](kit.answer(body))) as api:
        job = kit.ran(tmp_path, kit.spec(api, {"kind": "questions", "per_passage": 2}))
    found = list(job.dropped())
    assert (len(list(job.rows())), Counter(item.filter for item in found)) == (kept, Counter(dropped))
    assert all(item.reason for item in found)


_LANGUAGES = {
    "de": ("Die Werkstatt öffnet morgens um sieben Uhr.", "Wann genau öffnet denn morgens die Werkstatt?", "Um sieben Uhr."),
    "en": ("The workshop opens at seven in the morning.", "When does the workshop open in the morning?", "At seven."),
}


@pytest.mark.parametrize("passage", ["de", "en"])
@pytest.mark.parametrize("row", ["de", "en"])
def test_among_documents_in_two_languages_a_row_is_in_that_of_its_passage_and_a_paraphrase_in_that_of_its_row(
    passage: str, row: str
) -> None:
    _, question, answer = _LANGUAGES[row]
    source = Passage.of("workshop.md", None, (), 0, _LANGUAGES[passage][0])
    draft = Draft(question, answer, ())
    for made in (replace(draft, passages=(source,)), replace(draft, original=" ".join(_LANGUAGES[passage][1:]))):
        kept, dropped = Chain(Filters(), usual_language="de").passed([made])
        assert (len(kept), [drop.filter for _, drop in dropped]) == ((1, []) if row == passage else (0, ["language"]))
