"""Each kind of document becomes headings, paragraphs, lists and tables; what surrounds the text is left out and listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.errors import DataError
from studio.documents.readers import READERS, ocr
from studio.documents.reading import Reading
from studio.tracking.reporter import Silent
from tests.documents.files import PdfPage, docx, docx_part, epub, paragraph, pdf, pptx, zipped


def read(path: Path) -> Reading:
    return READERS[path.suffix].read(path, path.name, Silent())


def shown(reading: Reading) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for page in reading.pages for block in page.blocks]


def handbook(pages: int = 4) -> list[PdfPage]:
    made = []
    for number in range(1, pages + 1):
        page = PdfPage().write(["Meridian Tools: Staff handbook"], top=800, size=8)
        page.write([f"Page {number} of {pages}"], top=30, size=8)
        page.write([f"{number} Chapter {number}"], top=760, size=16, bold=True)
        page.write([f"Every employee has {20 + number} days of leave a year, and may carry unused", "days over into March."])
        month = ["Janu-", "Febru-", "Octo-", "Decem-"][number - 1]
        page.write(
            [f"The office closes on the last Friday of {month}", f"{['ary', 'ary', 'ber', 'ber'][number - 1]} at noon."],
            top=690,
        )
        page.write([f"Questions go to {('Ada', 'Bo', 'Cy', 'Di')[number - 1]}."], top=650)
        made.append(page)
    return made


def test_a_pdf_has_headings_by_font_and_paragraphs_with_its_lines_joined(tmp_path: Path) -> None:
    reading = read(pdf(tmp_path / "handbook.pdf", handbook()))
    assert shown(reading)[:3] == [
        ("heading", "1 Chapter 1"),
        ("paragraph", "Every employee has 21 days of leave a year, and may carry unused days over into March."),
        (
            "paragraph",
            "The office closes on the last Friday of January at noon.",
        ),
    ]
    assert [page.number for page in reading.pages] == [1, 2, 3, 4]


def test_running_heads_and_page_numbers_are_dropped_and_listed(tmp_path: Path) -> None:
    dropped = {item.reason: item for item in read(pdf(tmp_path / "handbook.pdf", handbook())).dropped}
    assert dropped["running head"].text == "Meridian Tools: Staff handbook"
    assert dropped["running head"].pages == (1, 2, 3, 4)
    assert dropped["page number"].text == "Page 1 of 4"
    assert len(dropped) == 2


@pytest.mark.parametrize(("lines", "gone"), [(4, 2), (1, 0)])
def test_two_pages_have_a_running_head_where_it_stands_at_the_same_height_above_enough_text(
    tmp_path: Path, lines: int, gone: int
) -> None:
    pages = [
        PdfPage()
        .write(["Meridian Tools"], top=810, size=8)
        .write([f"On {topic} this is line {'abcd'[line]}." for line in range(lines)], top=700)
        .write([f"Page {number}"], top=40, size=8)
        for number, topic in enumerate(("leave", "pay"), 1)
    ]
    found = {(item.reason, item.text, item.pages) for item in read(pdf(tmp_path / "a.pdf", pages)).dropped}
    assert found == set([("running head", "Meridian Tools", (1, 2)), ("page number", "Page 1", (1, 2))][:gone])


def test_a_running_head_that_changes_is_known_by_the_number_it_carries(tmp_path: Path) -> None:
    topics = ("Drills", "Drills", "Saws", "Saws", "Planes")
    pages = [
        PdfPage().write([f"About {topic.lower()} {number}"], top=800).write([f"{topic} {word}.", f"More {word}."], top=700)
        for number, (topic, word) in enumerate(zip(topics, ("turn", "bore", "cut", "rip", "smooth"), strict=True), 7)
    ]
    reading = read(pdf(tmp_path / "a.pdf", pages))
    assert next(text for _, text in shown(reading)) == "Drills turn. More turn."
    assert {(item.reason, item.text, item.pages) for item in reading.dropped} == {
        ("running head", "About drills 7", (1, 2)),
        ("running head", "About saws 9", (3, 4)),
        ("running head", "About planes 11", (5,)),
    }


def test_labels_that_differ_in_their_numbers_alone_are_no_running_heads(tmp_path: Path) -> None:
    made = [PdfPage().write([f"Part {7000 + number}: store below {number} degrees"]) for number in range(1, 9)]
    reading = read(pdf(tmp_path / "labels.pdf", made))
    assert [text for _, text in shown(reading)] == [
        f"Part {7000 + number}: store below {number} degrees" for number in range(1, 9)
    ]
    assert not reading.dropped


def test_a_table_of_contents_is_dropped_and_listed(tmp_path: Path) -> None:
    page = PdfPage().write(["1 Leave . . . . . . . . . . 2", "2 Pay ................. 14", "Read it all."])
    reading = read(pdf(tmp_path / "a.pdf", [page]))
    assert [text for _, text in shown(reading)] == ["Read it all."]
    assert [(item.reason, item.pages) for item in reading.dropped] == [("table of contents", (1,))]


def test_a_ruled_table_keeps_its_cells(tmp_path: Path) -> None:
    page = PdfPage().write(["Allowances by country."], top=760)
    for x in (60, 200, 340):
        page.lines.append((x, 640, x, 700))
    for y in (640, 660, 680, 700):
        page.lines.append((60, y, 340, y))
    for row, (country, days) in enumerate([("Country", "Hire"), ("Austria", "11 euros"), ("Illyria", "1 hour")]):
        page.texts += [(70, 686 - 20 * row, 10, False, country), (210, 686 - 20 * row, 10, False, days)]
    page.write(["They are paid monthly."], top=600)
    assert shown(read(pdf(tmp_path / "a.pdf", [page]))) == [
        ("paragraph", "Allowances by country."),
        ("table", "| Country | Hire |\n| --- | --- |\n| Austria | 11 euros |\n| Illyria | 1 hour |"),
        ("paragraph", "They are paid monthly."),
    ]


def test_two_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    page = PdfPage().write([f"left line {number} goes" for number in range(5)], x=60)
    page.write([f"right line {number} ends." for number in range(5)], x=320)
    words = " ".join(text for _, text in shown(read(pdf(tmp_path / "a.pdf", [page]))))
    assert words.index("left line 4") < words.index("right line 0")


def test_a_scan_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    scan = PdfPage(picture=(2, 2, bytes(12)))
    reading = read(pdf(tmp_path / "a.pdf", [*handbook(2), scan]))
    assert [page.scan for page in reading.pages] == [False, False, True]
    assert reading.remarks[0].startswith("Not read: 1 scanned page of 3 (images without text). Install the extra `ocr`")


def box(text: str, left: float, top: float, width: float, height: float = 24) -> ocr.Recognized:
    return ocr.Recognized(text, left, top, left + width, top + height)


def in_order(items: list[ocr.Recognized]) -> list[str]:
    return [line.text for line in ocr.lines(items, 10.0)]


def test_scanned_columns_are_read_one_after_the_other_between_the_lines_that_span_them() -> None:
    columns = [
        box(f"{side}{number}", left, 300 + 40 * number + shift, 480)
        for number in range(4)
        for side, left, shift in (("right ", 640, -6), ("left ", 80, 0))
    ]
    spanning = [box("A title over both", 80, 100, 900, 48), box("A note under both", 80, 520, 1000)]
    assert in_order([*columns, *spanning]) == [
        "A title over both",
        *(f"{side} {number}" for side in ("left", "right") for number in range(4)),
        "A note under both",
    ]


def test_scanned_labels_stay_on_the_line_of_their_values_and_large_letters_are_a_heading() -> None:
    form = [
        item
        for number, (label, value) in enumerate((("Deposit", "150 euros"), ("Lost key", "25 euros"), ("Late hour", "6 euros")))
        for item in (box(value, 700, 196 + 40 * number, 120), box(label, 80, 200 + 40 * number, 110))
    ]
    made = ocr.lines([*form, box("Prices", 80, 100, 200, 48)], 10.0)
    assert [line.text for line in made] == ["Prices", "Deposit 150 euros", "Lost key 25 euros", "Late hour 6 euros"]
    assert [line.size for line in made] == [20.0, 10.0, 10.0, 10.0]


RULES = (
    ("The workshop repairs bicycles between nine and", "five. A small repair costs 40 euros."),
    ("A rented bicycle is returned by eight in the", "evening. A lost key costs 25 euros."),
)


@pytest.mark.slow
@pytest.mark.skipif(not ocr.available(), reason="the extra `ocr` is not installed")
def test_a_scan_is_recognized_with_its_score_also_upside_down(tmp_path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (900, 640), "white")
    draw = ImageDraw.Draw(picture)
    for number, rule in enumerate(RULES):
        for line, text in enumerate(rule):
            draw.text((80, 100 + 140 * number + 36 * line), text, font=ImageFont.load_default(24), fill=(25, 25, 25))
    scan = PdfPage(picture=(*picture.size, picture.rotate(180).tobytes()))
    reading = read(pdf(tmp_path / "a.pdf", [scan]))
    page = reading.pages[0]
    assert page.scan
    assert [block.text for block in page.blocks] == [" ".join(rule) for rule in RULES]
    assert page.ocr_score is not None
    assert page.ocr_score > 0.9
    assert reading.remarks[0].startswith("1 scanned page recognized, mean score ")


def test_a_scan_that_is_recognized_badly_is_left_out_with_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: True)
    monkeypatch.setattr(ocr, "recognize", lambda picture: ([box("wqrkshcp rvles", 80, 100, 300)], 0.61))
    reading = read(pdf(tmp_path / "a.pdf", [*handbook(2), PdfPage(picture=(2, 2, bytes(12)))]))
    assert reading.pages[2].blocks == ()
    assert reading.pages[2].ocr_score == 0.61
    assert reading.remarks == ("Scanned pages left out because their OCR score is below 0.8: 3 (0.61).",)


def test_a_locked_and_a_broken_pdf_are_refused_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing")
    with pytest.raises(DataError, match="cannot be read as a PDF"):
        read(broken)


def test_a_word_document_has_headings_by_style_and_pages_as_word_broke_them(tmp_path: Path) -> None:
    body = (
        paragraph("Leave", "Heading1")
        + paragraph("Thirty days a year.")
        + paragraph("Parental leave", "Mine", inside="<w:lastRenderedPageBreak/>")
        + "<w:p><w:del><w:r><w:t>Twelve</w:t></w:r></w:del><w:ins><w:r><w:t>Sixteen weeks.</w:t></w:r></w:ins></w:p>"
        + "<w:tbl><w:tr><w:tc>" + paragraph("Country") + "</w:tc><w:tc>" + paragraph("Days") + "</w:tc></w:tr>"
        + "<w:tr><w:tc>" + paragraph("Spain") + "</w:tc><w:tc>" + paragraph("22") + "</w:tc></w:tr></w:tbl>"
    )  # fmt: skip
    reading = read(docx(tmp_path / "a.docx", body, word__header1_xml=docx_part("hdr", "Meridian Tools")))
    assert [(page.number, [block.text for block in page.blocks]) for page in reading.pages] == [
        (1, ["Leave", "Thirty days a year."]),
        (2, ["Parental leave", "Sixteen weeks.", "| Country | Days |\n| --- | --- |\n| Spain | 22 |"]),
    ]
    assert reading.pages[1].blocks[0].level == 2
    assert [(item.reason, item.text) for item in reading.dropped] == [("running head", "Meridian Tools")]


def test_a_slide_is_a_page_with_its_title_first_and_its_notes(tmp_path: Path) -> None:
    reading = read(pptx(tmp_path / "a.pptx", [("Returns", ["Thirty days", "With receipt"], "Say it slowly."), ("Bye", [], "")]))
    assert shown(reading) == [
        ("heading", "Returns"),
        ("list", "- Thirty days\n- With receipt"),
        ("paragraph", "Say it slowly."),
        ("heading", "Bye"),
    ]
    assert {item.reason for item in reading.dropped} == {"running foot", "page number"}


def test_a_web_page_is_read_without_its_menus(tmp_path: Path) -> None:
    article = "".join(
        f"<p>Drills may be returned within {days} days of delivery when they are unused and in their box.</p>"
        for days in range(30, 36)
    )
    menu = "".join(f"<li><a href='/{word}'>{word}</a></li>" for word in ("Shop", "Basket", "Imprint", "Careers"))
    page = tmp_path / "a.html"
    page.write_text(
        f"<html><head><title>Returns</title></head><body><nav><ul>{menu}</ul></nav><article><h1>Returns</h1>{article}"
        "<table><tr><th>Tool</th><th>Days</th></tr><tr><td>Drill</td><td>30</td></tr></table></article>"
        f"<footer><ul>{menu}</ul></footer></body></html>"
    )
    reading = read(page)
    words = "\n".join(text for _, text in shown(reading))
    assert "Drills may be returned within 30 days" in words
    assert "| Drill | 30 |" in words
    assert "Basket" not in words
    assert reading.title == "Returns"
    assert "left out" in reading.remarks[0]


def test_a_book_is_read_in_its_order_a_chapter_a_page(tmp_path: Path) -> None:
    chapters = ["<h1>One</h1><p>First.</p>", "<h1>Two</h1><ul><li>a</li><li>b</li></ul><script>alert(1)</script>"]
    reading = read(epub(tmp_path / "a.epub", "Tools", chapters))
    assert reading.title == "Tools"
    assert [(page.number, [block.text for block in page.blocks]) for page in reading.pages] == [
        (1, ["One", "First."]),
        (2, ["Two", "- a\n- b"]),
    ]


def test_markdown_keeps_code_and_tables_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text(
        "---\ntitle: x\n---\n# Set up\n\nRun:\n\n```sh\nmake\n\nmake test\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert shown(read(file)) == [
        ("heading", "Set up"),
        ("paragraph", "Run:"),
        ("code", "```sh\nmake\n\nmake test\n```"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
    ]


def test_text_is_read_in_whatever_encoding_and_pages_by_form_feeds(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("Größe der Bohrer\n\nIn Ägypten übliche Maße für große Bohrer.\fZweite Seite.".encode("cp1252"))
    reading = read(file)
    assert [block.text for block in reading.pages[0].blocks] == [
        "Größe der Bohrer",
        "In Ägypten übliche Maße für große Bohrer.",
    ]
    assert reading.pages[1].blocks[0].text == "Zweite Seite."


def test_what_is_no_text_by_its_bytes_is_refused_with_what_to_do_about_a_document(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(bytes(range(256)) * 50)
    with pytest.raises(DataError, match="not a text file") as refused:
        read(file)
    assert ".txt" in refused.value.hint
    assert "JSONL" not in refused.value.hint


@pytest.mark.parametrize(
    ("suffix", "parts", "says"),
    [
        (".docx", {"word/document.xml": "<!DOCTYPE d [<!ENTITY a 'b'>]><d>&a;</d>"}, "document type"),
        (".docx", {"word/document.xml": "<d/>", "word/vbaProject.bin": b"x"}, "macros"),
        (".docx", {"word/document.xml": "<d/>", "../../evil.sh": "x"}, "leads out of it"),
        (".pptx", {"ppt/other.xml": "<d/>"}, "cannot be read as a presentation"),
        (".epub", {"META-INF/container.xml": "<!DOCTYPE d SYSTEM 'file:///etc/passwd'><d/>"}, "document type"),
        (".docx", {"word/document.xml": "<d>", "word/styles.xml": "<d/>"}, "XML is damaged"),
    ],
)
def test_a_hostile_or_damaged_document_is_refused(tmp_path: Path, suffix: str, parts: dict[str, str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(zipped(tmp_path / f"a{suffix}", parts))


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.docx", {"word/document.xml": bytes(80 << 20)})
    with pytest.raises(DataError, match="decompression bomb"):
        read(bomb)
