"""Passages: everything is in exactly one, each is exactly where it says it is."""

from __future__ import annotations

import random

from studio.documents.passages import LARGEST, SMALLEST, cut
from studio.documents.reading import Block, Reading, ReadPage


def reading(*pages: list[Block], has_pages: bool = True) -> Reading:
    return Reading(
        has_pages=has_pages,
        pages=tuple(ReadPage(number=number, blocks=tuple(blocks)) for number, blocks in enumerate(pages, 1)),
    )


def heading(text: str, level: int = 1) -> Block:
    return Block(kind="heading", text=text, level=level)


def words(text: str) -> Block:
    return Block(kind="paragraph", text=text)


def test_a_passage_carries_its_page_and_the_headings_it_stands_under() -> None:
    made = cut(
        "a.pdf", reading([heading("Leave"), words("Thirty days. " * 20)], [heading("Parental", 2), words("Weeks. " * 30)])
    )
    assert [(passage.page, passage.heading_path) for passage in made.passages] == [(1, ("Leave",)), (2, ("Leave", "Parental"))]
    assert made.passages[1].text.startswith("Parental\n\nWeeks.")


def test_a_heading_above_another_is_not_a_passage_by_itself() -> None:
    made = cut("a.md", reading([heading("Handbook"), heading("Leave", 2), words("Thirty days.")]))
    assert [(passage.heading_path, passage.text) for passage in made.passages] == [
        (("Handbook", "Leave"), "Handbook\n\nLeave\n\nThirty days.")
    ]


def test_a_passage_is_on_the_page_of_its_text_also_where_its_headings_are_on_the_page_before() -> None:
    made = cut("a.pdf", reading([heading("Handbook"), heading("Leave", 2)], [words("Thirty days.")]))
    assert [(passage.page, passage.text) for passage in made.passages] == [(2, "Handbook\n\nLeave\n\nThirty days.")]


def test_whatever_is_cut_nothing_is_lost_and_offsets_are_exact() -> None:
    random.seed(7)
    for _ in range(40):
        pages = []
        for _ in range(random.randint(1, 4)):
            blocks = []
            for _ in range(random.randint(0, 6)):
                text = " ".join(
                    "".join(random.choices("abcdefg.", k=random.randint(1, 12))) for _ in range(random.randint(1, 500))
                )
                blocks.append(heading(text[:40], random.randint(1, 4)) if random.random() < 0.3 else words(text))
            pages.append(blocks)
        made = cut("a.pdf", reading(*pages))
        end = 0
        for passage in made.passages:
            assert made.text[passage.start : passage.end] == passage.text
            assert len(passage.text) <= LARGEST + SMALLEST
            assert not made.text[end : passage.start].strip()
            end = passage.end
        assert not made.text[end:].strip()
        assert len({passage.id for passage in made.passages}) == len(made.passages)


def test_reference_lists_are_left_out_and_listed() -> None:
    made = cut(
        "paper.pdf",
        reading(
            [heading("Results"), words("It works.")],
            [heading("References"), words("[1] Doe, J. et al. (2019) Drills."), words("[2] Roe, R. 2021. doi:10.1/x")],
            [heading("Appendix"), words("More.")],
        ),
    )
    assert "Doe" not in made.text
    assert [passage.text for passage in made.passages] == ["Results\n\nIt works.", "Appendix\n\nMore."]
    assert [(item.reason, item.pages) for item in made.dropped] == [("references", (2,))]


def test_a_companys_references_are_its_customers_and_stay() -> None:
    made = cut("a.pdf", reading([heading("References"), words("We drilled for the city."), words("And for the railway.")]))
    assert "railway" in made.text
    assert not made.dropped


def test_an_excluded_page_is_in_no_passage_and_keeps_the_others_as_they_were() -> None:
    pages = [heading("Leave"), words("Thirty days. " * 20)], [words("Secret. " * 20)], [words("Sixteen weeks. " * 20)]
    everything, without = cut("a.pdf", reading(*pages)), cut("a.pdf", reading(*pages), excluded=[2])
    assert "Secret" not in without.text
    assert {passage.id for passage in without.passages} == {
        passage.id for passage in everything.passages if "Secret" not in passage.text
    }
    assert without.passages[-1].heading_path == ("Leave",)
    assert [(item.reason, item.pages) for item in without.dropped] == [("excluded", (2,))]
