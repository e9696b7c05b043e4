"""Documents are added, shown, cut down and exported from the command."""

from __future__ import annotations

import json
from pathlib import Path

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
