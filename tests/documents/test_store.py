"""Collections: what is given is taken or listed with the reason, and only what changed is read and cut again."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from studio.app import documents
from studio.core import extras
from studio.core.errors import DataError
from studio.documents import isolated, store
from studio.documents.readers import READERS, Reader, ocr, recognition
from studio.tracking.reporter import Silent
from tests.documents.files import PdfPage, pdf, zipped


def handbook(folder: Path) -> Path:
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nEvery employee has thirty days of paid leave a year, from the first day.\n")
    (folder / "pay.md").write_text("# Pay\n\nSalaries are paid on the last working day of each month, by bank transfer.\n")
    return folder


def test_a_folder_is_taken_and_what_is_no_document_is_listed(home: Path, tmp_path: Path) -> None:
    folder = handbook(tmp_path / "handbook")
    (folder / "prices.xlsx").write_bytes(b"PK")
    (folder / "elsewhere.md").symlink_to("/etc/hostname")
    added = documents.add_documents("Staff handbook", folder, home=home)
    assert added.collection.name == "staff-handbook"
    assert added.new == ["leave.md", "pay.md"]
    assert {item.name: item.reason for item in added.skipped} == {
        "elsewhere.md": "it is a link to a path outside the folder",
        "prices.xlsx": "files ending in `.xlsx` are not read. A table is a dataset: studio data add.",
    }
    assert [item.language for item in added.collection.documents] == ["en", "en"]


def test_a_changed_file_makes_only_its_changed_passages_anew(home: Path, tmp_path: Path) -> None:
    folder = handbook(tmp_path / "handbook")
    first = documents.add_documents("handbook", folder, home=home)
    before = {passage.id for passage in first.collection.passages()}
    with open(folder / "leave.md", "a") as file:
        file.write("\n# Parental leave\n\nSixteen weeks at full pay.\n")
    second = documents.add_documents("handbook", folder, home=home)
    assert (second.new, second.changed, second.unchanged) == ([], ["leave.md"], ["pay.md"])
    assert (second.passages_new, second.passages_same, second.passages_gone) == (1, 2, 0)
    assert before < {passage.id for passage in second.collection.passages()}


def test_a_file_that_did_not_change_is_not_read_again(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents.add_documents("handbook", handbook(tmp_path / "handbook"), home=home)

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setitem(READERS, ".md", Reader(refuse))  # type: ignore[arg-type]
    assert documents.add_documents("handbook", tmp_path / "handbook", home=home).unchanged == ["leave.md", "pay.md"]


def test_excluded_pages_stay_out_until_they_are_taken_in_again(home: Path, tmp_path: Path) -> None:
    pages = [PdfPage().write([f"Page {word} holds words that are its own."]) for word in ("one", "two", "three")]
    documents.add_documents("papers", pdf(tmp_path / "a.pdf", pages), home=home)
    collection = documents.find("papers", home)
    whole = [passage.id for passage in collection.passages()]
    record = documents.exclude("papers", "a", [2], home)
    assert record.excluded == (2,)
    assert "two" not in " ".join(passage.text for passage in collection.passages())
    assert [page.excluded for page in collection.pages("a.pdf")] == [False, True, False]
    documents.exclude("papers", "a.pdf", [], home)
    assert [passage.id for passage in collection.passages()] == whole
    with pytest.raises(DataError, match="no page 9"):
        documents.exclude("papers", "a.pdf", [9], home)


def test_an_archive_is_read_and_a_hostile_one_refused(home: Path, tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "all.zip", {"hr/leave.md": "# Leave\n\nThirty days.", "hr/tool.exe": b"MZ", "__MACOSX/x.md": "x"}
    )
    added = documents.add_documents("hr", archive, home=home)
    assert added.new == ["hr/leave.md"]
    assert [item.name for item in added.skipped] == ["hr/tool.exe"]
    outside = zipped(tmp_path / "out.zip", {"../leave.md": "x"})
    with pytest.raises(DataError, match="leads out of it"):
        documents.add_documents("hr", outside, home=home)
    link = tmp_path / "link.zip"
    with zipfile.ZipFile(link, "w") as made:
        entry = zipfile.ZipInfo("leave.md")
        entry.external_attr = 0o120777 << 16
        made.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link"):
        documents.add_documents("hr", link, home=home)
    good = tmp_path / "pay.md"
    good.write_text("# Pay\n\nOn the first.")
    added = documents.add_documents("hr", outside, link, good, home=home)
    assert added.new == ["pay.md"], "what is unsafe does not stop the others"
    assert [item.name for item in added.skipped] == ["out.zip", "link.zip"]


@pytest.mark.slow
def test_one_bad_document_does_not_stop_the_others(home: Path, tmp_path: Path) -> None:
    folder = handbook(tmp_path / "handbook")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "twin.md").write_bytes((folder / "pay.md").read_bytes())
    added = documents.add_documents("handbook", folder, home=home)
    assert added.new == ["leave.md", "pay.md"]
    assert [item.name for item in added.skipped] == ["broken.pdf", "twin.md"]
    assert added.skipped[1].reason == "it is the same file as pay.md. One of them is enough."
    assert "cannot be read as a PDF" in added.skipped[0].reason
    assert added.skipped[0].reason.endswith("print it to a PDF again."), "what to do stands beside why"
    with pytest.raises(DataError, match="cannot be read as a PDF"):
        documents.add_documents("other", folder / "broken.pdf", home=home)
    assert [item.name for item in documents.collections(home)] == ["handbook"]


def test_a_document_that_git_lfs_has_not_fetched_is_named_as_such(home: Path, tmp_path: Path) -> None:
    (tmp_path / "manual.pdf").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    with pytest.raises(DataError, match="pointer to a file in Git LFS"):
        documents.add_documents("handbook", tmp_path / "manual.pdf", home=home)


def test_without_the_extra_it_is_said_how_to_install_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    file = pdf(tmp_path / "a.pdf", [PdfPage().write(["Words."])])
    with pytest.raises(DataError, match=r"reading \.pdf: pypdfium2 not installed") as refused:
        documents.add_documents("papers", file, home=home)
    assert 'slm-studio[documents]"' in refused.value.hint


def test_passages_are_exported_whole_or_as_rows_of_text(home: Path, tmp_path: Path) -> None:
    documents.add_documents("handbook", handbook(tmp_path / "handbook"), home=home)
    out = tmp_path / "rows.jsonl"
    assert documents.export("handbook", out, text_only=True, home=home) == 2
    assert out.read_text().splitlines()[0].startswith('{"text": "Leave\\n\\nEvery employee')
    documents.export("handbook", out, document="pay", home=home)
    assert '"document": "pay.md"' in out.read_text()


def test_a_collection_that_is_not_there_is_named_with_the_nearest(home: Path, tmp_path: Path) -> None:
    documents.add_documents("handbook", handbook(tmp_path / "handbook"), home=home)
    with pytest.raises(DataError) as refused:
        documents.find("handbok", home)
    assert refused.value.hint == "Did you mean handbook?"
    documents.remove("handbook", home=home)
    assert store.collections(home) == []


def test_pages_are_written_as_people_write_them() -> None:
    assert documents.pages_of("3, 5-7;9") == [3, 5, 6, 7, 9]
    assert documents.pages_of("") == []
    with pytest.raises(DataError, match="`x` is not a page"):
        documents.pages_of("x")


@pytest.mark.slow
def test_a_pdf_that_fills_the_memory_is_refused_and_the_others_are_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "MEMORY", 128 << 20)
    folder = handbook(tmp_path / "handbook")
    pdf(folder / "bomb.pdf", [PdfPage(lines=[(0, 0, 9, 9)] * 400_000)])
    pdf(folder / "hours.pdf", [PdfPage().write(["The workshop is open from eight to six on working days."])])
    added = documents.add_documents("handbook", folder, home=home)
    assert added.new == ["hours.pdf", "leave.md", "pay.md"]
    assert [item.name for item in added.skipped] == ["bomb.pdf"]
    assert "of memory" in added.skipped[0].reason


def test_what_a_reader_refuses_in_its_own_process_is_refused_in_the_same_words(home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    with pytest.raises(DataError, match="cannot be read as a PDF") as refused:
        documents.add_documents("handbook", tmp_path / "broken.pdf", home=home)
    assert refused.value.where == "broken.pdf"
    assert store.collections(home) == []


def test_after_a_document_that_never_ends_the_next_is_read_and_one_child_serves_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    command = isolated.spawn.python
    monkeypatch.setattr(isolated.spawn, "python", lambda *parts: started.append(list(parts)) or command(*parts))
    files = {
        name: pdf(tmp_path / name, [PdfPage().write([f"This is the text of {name}."])]) for name in ("a.pdf", "b.pdf", "c.pdf")
    }
    with isolated.Apart() as apart:
        monkeypatch.setattr(isolated, "SILENT", -1)
        with pytest.raises(DataError, match=r"longer than -1 seconds"):
            apart.read(files["a.pdf"], "a.pdf", Silent())
        monkeypatch.setattr(isolated, "SILENT", 300)
        for name in ("b.pdf", "c.pdf"):
            assert f"text of {name}" in str(apart.read(files[name], name, Silent()))
    assert len(started) == 2, "one child for the document that was ended, one for all that came after"


def test_an_empty_file_and_one_of_another_kind_than_its_ending_are_refused_with_what_to_do(tmp_path: Path):
    real = pdf(tmp_path / "real.pdf", [PdfPage().write(["The rule of the office."])]).read_bytes()
    files = {
        "empty.txt": (b"", r"empty \(0 bytes\)", "again whole"),
        "handbook.docx": (real, "its content is a PDF", r"end in \.pdf"),
        "handbook.md": (real, "its content is a PDF", r"end in \.pdf"),
        "word.pdf": (zipped(tmp_path / "word.zip", {"a": "b"}).read_bytes(), "zip archive", r"\.docx"),
        "old.docx": (bytes.fromhex("d0cf11e0a1b11ae1"), "before 2007, or one with a password", r"again as \.docx"),
        "scan.pdf": (b"\x89PNG\r\n\x1a\n", "a picture", "Print it to a PDF"),
    }
    for name, (content, said, hint) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=said) as refused:
            documents.add_documents("Rules", tmp_path / name, home=tmp_path / "home")
        assert re.search(hint, refused.value.hint), name
    assert documents.collections(tmp_path / "home") == []


def leaflet(path: Path, text: str, foot: str, number: int) -> Path:
    """A page with a letterhead, a text and a foot, as a folder of leaflets has them."""
    page = (
        PdfPage().write(["Nordwerk Ltd - Handbook 2026 - internal"], top=800).write([text]).write([f"{foot} {number}"], top=40)
    )
    return pdf(path, [page])


@pytest.mark.slow
def test_what_the_pages_of_a_folder_repeat_is_dropped_and_listed_also_of_those_added_before(home: Path, tmp_path: Path) -> None:
    words = ("milling machine", "forklift truck", "paint shop", "canteen")
    files = [leaflet(tmp_path / f"{n}.pdf", f"The {word} is open on weekdays.", "Page", n) for n, word in enumerate(words)]
    documents.add_documents("leaflets", *files[:2], home=home)
    assert "Handbook 2026" in next(documents.find("leaflets", home).passages()).text, "two are too few to say so"
    added = documents.add_documents("leaflets", *files[2:], home=home)
    assert [passage.text for passage in added.collection.passages()] == [f"The {word} is open on weekdays." for word in words]
    assert [(item.reason, item.pages) for item in added.collection.document("0").dropped] == [
        ("running head", (1,)),
        ("page number", (1,)),
    ]
    documents.exclude("leaflets", "0.pdf", [1], home)
    documents.exclude("leaflets", "0.pdf", [], home)
    assert "Handbook" not in next(documents.find("leaflets", home).passages("0.pdf")).text


@pytest.mark.slow
def test_what_differs_between_documents_and_headings_stay(home: Path, tmp_path: Path) -> None:
    files = [leaflet(tmp_path / f"{n}.pdf", f"The lamp {n} stands in hall {n}.", "Price in euros:", 40 + n) for n in range(4)]
    added = documents.add_documents("lamps", *files, home=home)
    assert [passage.text.split("\n\n") for passage in added.collection.passages()] == [
        [f"The lamp {n} stands in hall {n}.", f"Price in euros: {40 + n}"] for n in range(4)
    ]


def test_the_text_of_scans_is_recognized_by_one_process_for_all_documents_also_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np = pytest.importorskip("numpy")

    def recognized(picture: Any) -> tuple[list[ocr.Recognized], float]:
        if picture.shape[0] == 1:
            os._exit(3)
        return [ocr.Recognized(f"{os.getpid()}: {picture.tolist()}", 1, 2, 3, 4)], 0.9

    def ask(height: int) -> str:
        recognizer.ready()
        items, score = recognition.recognize(np.full((height, 1, 3), height, np.uint8), "a.pdf")
        assert score == 0.9
        return items[0].text

    monkeypatch.setattr(ocr, "recognize", recognized)
    monkeypatch.setattr(recognition, "_address", "")
    monkeypatch.chdir(tmp_path)
    recognizer = recognition.Recognizer()
    try:
        first = ask(2)
        assert first.endswith(": [[[2, 2, 2]], [[2, 2, 2]]]")
        assert ask(2) == first, "the same process, which has its models"
        with pytest.raises(DataError, match="recognizing the text of a page crashed") as refused:
            ask(1)
        assert refused.value.where == "a.pdf"
        assert ask(2) != first
    finally:
        recognizer.end()
