"""Passages: their identity comes from what they say and where they stand."""

from studio.documents.records import Passage


def test_a_passage_keeps_its_id_wherever_it_moves_in_its_document():
    before = Passage.of("leave.pdf", 2, ["Leave"], 100, "Thirty days a year.")
    after = Passage.of("leave.pdf", 3, ["Leave"], 900, "Thirty days a year.")
    assert before.id == after.id
    assert before.sha256 == after.sha256
    assert (after.start, after.end) == (900, 919)


def test_documents_headings_and_repeats_are_told_apart():
    texts = [
        Passage.of("a.pdf", 1, ["Leave"], 0, "Thirty days."),
        Passage.of("b.pdf", 1, ["Leave"], 0, "Thirty days."),
        Passage.of("a.pdf", 1, ["Pay"], 0, "Thirty days."),
        Passage.of("a.pdf", 1, ["Leave"], 0, "Thirty days.", repeat=1),
    ]
    assert len({passage.id for passage in texts}) == 4
    assert len({passage.sha256 for passage in texts}) == 1


def test_a_passage_is_read_back_as_it_was_written(tmp_path):
    passage = Passage.of("a.md", None, ["Leave", "Parental"], 5, "Sixteen weeks.")
    assert Passage.read(passage.write(tmp_path / "passage.json")) == passage
    assert passage.source == "a.md, Parental"
