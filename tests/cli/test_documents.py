"""Documents are added, shown, cut down and exported from the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.cli import main
from tests.documents.files import PdfPage, pdf


def test_from_a_pdf_to_passages(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        assert main.run(["documents", *arguments, "--home", str(home)]) == code, capsys.readouterr()
        return capsys.readouterr().out

    pages = [PdfPage().write(["Leave"], size=16).write([f"The office has {number} rooms."], top=700) for number in (11, 12)]
    file = pdf(tmp_path / "office.pdf", pages)
    assert "1 new, 0 changed, 0 unchanged; 2 new passages" in run("add", str(file), "--name", "office")
    assert json.loads(run("list", "--json"))[0]["pages"] == 2
    assert "office.pdf" in run("show", "office")
    assert "12 rooms" in run("show", "office", "--document", "office", "--page", "2")
    assert json.loads(run("exclude", "office", "office.pdf", "--pages", "1", "--json"))["excluded"] == [1]
    out = tmp_path / "rows.jsonl"
    assert "1 passage" in run("export", "office", "--out", str(out))
    picture = tmp_path / "page.png"
    run("picture", "office", "office.pdf", "--page", "1", "--out", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = json.loads(run("show", "offise", "--json", code=2))
    assert refused["error"]["hint"] == "Did you mean office?"
    run("delete", "office")
    assert json.loads(run("list", "--json")) == []


def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        assert main.run([*arguments, "--home", str(home), "--json"]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    texts = "The office has 11 rooms.", "Its door is locked at eight.", "Ask Anna for a key of your own."
    file = pdf(tmp_path / "office.pdf", [PdfPage().write(["Office"], size=16).write([text], top=700) for text in texts])
    run("documents", "add", str(file), "--name", "office")
    run("documents", "exclude", "office", "office.pdf", "--pages", "1")
    assert "3-2" in run("documents", "exclude", "office", "office.pdf", "--pages", "3-2", code=2)["error"]["message"]
    assert run("documents", "show", "office", "--document", "office.pdf")["excluded"] == [1]
    shown = run("documents", "show", "office", "--document", "office.pdf", "--page", "9", code=2)
    assert shown["error"]["hint"] == "It has 3 pages."
    assert run("documents", "export", "office", "--out", str(tmp_path), code=2)["error"]["message"] == "this is a folder"
    assert [item for item in tmp_path.parent.iterdir() if item.name.startswith(f".{tmp_path.name}")] == []
    run("index", "build", "office", "office")
    assert run("index", "search", "office", " ", code=2)["error"]["message"] == "the question is empty"


def test_the_name_of_a_document_is_one_line(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "office\nnot taken: all others.md").write_text("The office has 11 rooms.")
    assert main.run(["documents", "add", str(folder), "--name", "office", "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["new"] == ["office not taken: all others.md"]
