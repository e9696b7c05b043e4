"""An index of real documents: built, brought up to date, searched and measured; by words, and with a real embedding model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.app import documents, indexes
from studio.cli import main
from studio.core.errors import DataError, SpecError, Stopped
from studio.retrieval import index as retrieval
from studio.retrieval.measure import figures
from studio.tracking.reporter import Silent
from tests.retrieval import minilm

SECTIONS = {
    "Leave": "Every employee has thirty days of paid holiday a year, and may carry five of them into March.",
    "Sickness": "Call your manager before nine if you are ill; a doctor's note is needed from the third day.",
    "Expenses": "Hotels are reimbursed up to 120 euros a night against the original receipt.",
    "Travel": "Trains are booked in second class; flights only where the train takes over six hours.",
    "Security": "Passwords have fourteen characters, and screens are locked when the desk is left.",
    "Parking": "Spaces in the yard are for visitors; bicycles stand in the hall behind the canteen.",
}


@pytest.fixture
def handbook(home: Path, tmp_path: Path) -> Path:
    file = tmp_path / "handbook.md"
    file.write_text("\n".join(f"# {title}\n\n{text}\n" for title, text in SECTIONS.items()))
    documents.add_documents("handbook", file, home=home)
    return file


def test_by_words_alone_it_finds_and_says_so(home: Path, handbook: Path) -> None:
    index = indexes.build_index("hb", "handbook", home=home)
    assert index.record.passages == 6
    assert "words alone" in indexes.advice(index)
    hits = indexes.search_index("hb", "Which hotels are reimbursed?", home=home)
    assert hits[0].passage.heading_path == ("Expenses",)
    assert (hits[0].rank_words, hits[0].rank_meaning) == (1, None)
    with pytest.raises(SpecError, match="no embedder"):
        indexes.search_index("hb", "x", mode="meaning", home=home)


def test_a_changed_document_changes_the_index_when_it_is_built_again(home: Path, handbook: Path) -> None:
    before = indexes.build_index("hb", "handbook", home=home).record
    handbook.write_text(handbook.read_text() + "\n# Canteen\n\nLunch is from noon to two.\n")
    documents.add_documents("handbook", handbook, home=home)
    after = indexes.build_index("hb", "handbook", home=home).record
    assert (before.passages, after.passages) == (6, 7)
    assert before.content != after.content
    assert indexes.search_index("hb", "lunch", home=home)[0].passage.heading_path == ("Canteen",)


def test_figures_of_one_question_are_what_their_definitions_say() -> None:
    found = figures(["a", "b", "c"], frozenset({"b"}))
    assert found == {
        "recall@1": 0.0, "recall@3": 1.0, "recall@5": 1.0, "recall@10": 1.0, "mrr@10": 0.5,
        "ndcg@10": pytest.approx(0.63093, abs=1e-5),
    }  # fmt: skip
    assert figures(["a"], frozenset({"b"}))["mrr@10"] == 0.0
    assert figures(["b", "a"], frozenset({"a", "b"}))["ndcg@10"] == 1.0


def test_measuring_takes_gold_by_id_quote_or_answer_and_counts_what_names_none(
    home: Path, handbook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = indexes.build_index("hb", "handbook", home=home)
    leave = next(passage for passage in index.passages.values() if passage.heading_path == ("Leave",))
    rows = [
        {"question": "How many days of paid holiday?", "passages": [leave.id]},
        {"question": "Where do bicycles stand?", "quote": "bicycles stand in the hall"},
        {"question": "How are trains booked?", "document": "handbook.md", "answer": "in second class"},
        {"question": "What is the meaning of life?", "answer": "in second class"},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main.run(["index", "measure", "hb", str(file), "--json", "--home", str(home)]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["questions"], measured["left_out"]) == (3, 1)
    assert measured["results"][0]["figures"]["recall@1"]["value"] == 1.0
    assert measured["results"][0]["figures"]["recall@1"]["low"] < 0.5  # three questions decide nothing
    file.write_text('{"question": "x"}\n')
    with pytest.raises(DataError, match="names a passage"):
        indexes.measure("hb", file, home)


def test_an_index_that_is_not_there_names_the_nearest(home: Path, handbook: Path) -> None:
    indexes.build_index("handbook", "handbook", home=home)
    with pytest.raises(DataError) as refused:
        indexes.find("handbok", home)
    assert refused.value.hint == "Did you mean handbook?"
    with pytest.raises(SpecError, match="is a server"):
        indexes.build_index("x", "handbook", store="qdrant", home=home)
    with pytest.raises(SpecError, match="expected the address"):
        indexes.build_index("x", "handbook", url="mongodb://x", home=home)
    with pytest.raises(SpecError, match="has no vectors to store"):
        indexes.build_index("x", "handbook", url="http://127.0.0.1:1", home=home)
    with pytest.raises(SpecError, match="contains a password") as secret:
        indexes.build_index("x", "handbook", url="postgresql://me:hunter2@db/docs", home=home)
    assert "hunter2" not in str(secret.value)


class _StopsAfter(Silent):
    """Asks to stop once some passages are embedded."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.words.append(what)

    def should_stop(self) -> bool:
        return any(word.startswith("Embedding") for word in self.words)


@pytest.mark.torch
@pytest.mark.slow
def test_with_a_real_model_it_finds_by_meaning_goes_on_where_it_stopped_and_refuses_another_revision(
    home: Path, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(minilm.folder())
    monkeypatch.setattr(retrieval, "_AT_ONCE", 4)
    stopping = _StopsAfter()
    with pytest.raises(Stopped):
        indexes.build_index("hb", "handbook", embedder=model, home=home, reporter=stopping)
    with pytest.raises(DataError, match="no index") as unfinished:
        indexes.find("hb", home)
    assert "to resume it" in unfinished.value.hint
    embedded: list[int] = []

    class Counting(Silent):
        def progress(self, done: float, total: float, what: str = "") -> None:
            if what.startswith("Embedding"):
                assert "left" in what
                embedded.append(int(done))

    index = indexes.build_index("hb", "handbook", embedder=model, home=home, reporter=Counting())
    assert embedded == [6]  # four were there
    assert index.record.embedder is not None
    assert (index.record.embedder.pooling, index.record.embedder.dimensions, index.record.embedder.most_tokens) == (
        "mean",
        384,
        256,
    )
    hits = index.search("How much vacation time do I get?", 3, "meaning")
    assert hits[0].passage.heading_path == ("Leave",)
    assert index.search("How much vacation time do I get?", 1, "words")[:1] != hits[:1]
    assert index.search("What may a place to sleep cost?", 1)[0].passage.heading_path == ("Expenses",)
    again = indexes.build_index("hb", "handbook", home=home, reporter=Counting())
    assert again.record.embedder == index.record.embedder  # a later build keeps what is not named, and embeds nothing anew
    assert embedded == [6]
    assert indexes.build_index("hb", "handbook", embedder="off", home=home).record.embedder is None
    assert not list(again.path.glob("vectors-*"))


@pytest.mark.torch
@pytest.mark.slow
def test_a_text_has_the_same_vector_in_whatever_company_it_is_embedded() -> None:
    from studio.retrieval.embedding import Embedder

    model = Embedder(str(minilm.folder()), device="cpu")
    alone: Any = model.passages(["Employees have thirty days of leave."])
    padded: Any = model.passages(["word " * 200, "Employees have thirty days of leave.", ""])
    assert float(alone[0] @ alone[0]) == pytest.approx(1.0, abs=1e-5)
    assert float(alone[0] @ padded[1]) == pytest.approx(1.0, abs=1e-5)
    related: Any = model.questions(["How long is my holiday?", "Where are drills kept?"])
    assert related[0] @ alone[0] > related[1] @ alone[0]
