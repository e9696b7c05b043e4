"""Archives are opened safely: limits against bombs, no paths out, no links, no surprises inside."""

from __future__ import annotations

import gzip
import os
import stat
import zipfile
from pathlib import Path

import pytest

from studio.data.prepare import inspect
from studio.data.read import read
from studio.data.readers import containers
from studio.data.settings import Data
from studio.data.sources import find
from tests.data.files import json_lines, pairs, refusal, rows_of, write, zipped

LINES = json_lines(pairs(4))


def refused(file: str) -> str:
    problem = refusal(inspect, Data(train=file))
    return f"{problem} {problem.hint}"


def test_each_file_in_an_archive_is_a_source_of_its_own(tmp_path: Path) -> None:
    file = zipped(
        tmp_path / "all.zip", {"b.csv": "question,answer\na?,b\n", "a.jsonl": LINES, "README.md": "# About", "x.png": b"1"}
    )
    sources = find(file)
    assert [source.name for source in sources] == ["all.zip:a.jsonl", "all.zip:b.csv"]
    assert sources[0].remarks == ("Not read: `README.md`.", "Not read: `x.png`.")
    assert [row.file for row in rows_of(file)] == ["all.zip:a.jsonl"] * 4 + ["all.zip:b.csv"]
    report = inspect(Data(train=file))
    assert [item.format for item in report.files] == ["question_answer", "question_answer"]
    assert report.totals.rows == 5


def test_litter_of_other_systems_is_passed_over(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", {"a.jsonl": LINES, "__MACOSX/._a.jsonl": "x", ".DS_Store": "x"})
    assert len(rows_of(file)) == 4


@pytest.mark.slow
def test_a_bomb_in_gzip_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as out:
        for _ in range(100):
            out.write(b" " * (1 << 20))
    assert "decompression bomb" in refused(str(path))


def test_millions_of_equal_rows_are_known_as_a_bomb_by_their_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was unpacked is held against what was read of the file so far, not against the whole file."""
    monkeypatch.setattr(containers, "HARMLESS", 1 << 20)
    path = tmp_path / "equal.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as out:
        out.write(b'{"prompt":"a question","completion":"an answer"}\n' * 200_000)
    path.write_bytes(path.read_bytes() + os.urandom(1 << 20))  # so large a file that its whole size allows for all of it
    assert "decompression bomb" in refused(str(path))


@pytest.mark.parametrize("ending", [".zip", ".jsonl.gz", ".parquet", ".xlsx"])
def test_a_pointer_of_git_lfs_is_known_whatever_its_name_ends_in(ending: str, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"
    assert "pointer to a file in Git LFS" in refused(write(tmp_path / f"rows{ending}", pointer))


@pytest.mark.slow
def test_a_bomb_in_zip_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    assert "decompression bomb" in refused(zipped(tmp_path / "bomb.zip", {"a.jsonl": b" " * (100 << 20)}))
    assert "decompression bomb" in refused(write(tmp_path / "bomb.xlsx", (tmp_path / "bomb.zip").read_bytes()))


def test_an_archive_of_very_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MEMBERS", 10)
    assert "11 files" in refused(zipped(tmp_path / "many.zip", {f"{place}.jsonl": LINES for place in range(11)}))


@pytest.mark.parametrize("name", ["../rows.jsonl", "/etc/rows.jsonl", "a/../../rows.jsonl", "C:/rows.jsonl", "..\\rows.jsonl"])
def test_a_path_that_leads_out_of_an_archive_is_refused(name: str, tmp_path: Path) -> None:
    file = zipped(tmp_path / "out.zip", {"ok.jsonl": LINES, name: LINES})
    assert "leads out" in refused(file)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["out.zip"]


def test_links_locked_files_and_archives_in_archives_are_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("rows.jsonl")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert "link" in refused(str(tmp_path / "link.zip"))
    assert "holds an archive" in refused(zipped(tmp_path / "nested.zip", {"a.jsonl": LINES, "b.zip": b"PK"}))
    locked = bytearray(Path(zipped(tmp_path / "locked.zip", {"a.jsonl": LINES})).read_bytes())
    central = locked.index(b"PK\x01\x02")
    locked[6] |= 1
    locked[central + 8] |= 1
    assert "password" in refused(write(tmp_path / "locked.zip", bytes(locked)))


def test_a_damaged_archive_is_refused_and_says_how_far_it_could_be_read(tmp_path: Path) -> None:
    whole = gzip.compress(json_lines(pairs(5_000)).encode())
    file = write(tmp_path / "cut.jsonl.gz", whole[: len(whole) // 2])
    assert "damaged or cut off" in refused(file)
    damaged = bytearray(Path(zipped(tmp_path / "a.zip", {"a.jsonl": LINES * 50})).read_bytes())
    damaged[60:80] = b"\0" * 20
    assert "damaged or cut off" in refused(write(tmp_path / "a.zip", bytes(damaged)))
    assert "zip archive" in refused(write(tmp_path / "b.zip", b"no zip"))


def test_an_archive_without_data_names_what_it_holds(tmp_path: Path) -> None:
    assert "`x.png`" in refused(zipped(tmp_path / "a.zip", {"x.png": b"1"}))


def test_closing_a_half_read_archive_leaves_nothing_open(tmp_path: Path) -> None:
    rows = read(zipped(tmp_path / "a.zip", {"a.jsonl": LINES}), Data(train="x"))
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    (tmp_path / "a.zip").unlink()


def test_a_workbook_with_an_entity_bomb_is_refused_in_words(tmp_path: Path) -> None:
    import openpyxl

    plain, bomb = tmp_path / "plain.xlsx", tmp_path / "bomb.xlsx"
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["question", "answer"])
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(bomb, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                content = b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet>&a;'
            new.writestr(name, content)
    assert "cannot be read as an Excel workbook" in refused(str(bomb))


def test_files_that_were_not_read_are_named_also_where_the_first_one_lacks_the_columns(tmp_path: Path) -> None:
    rows = "".join(f"Where is lamp {number}?,In hall {number}.\n" for number in range(8))
    file = zipped(
        tmp_path / "all.zip",
        {"a-numbers.csv": "x,y\n1,2\n", "b.csv": f"q,a\n{rows}", "valid.csv": "q,a\nWho?,I.\n", "LICENSE.txt": "All rights."},
    )
    report = inspect(Data(train=str(file), columns={"question": "q", "answer": "a"}))
    said = " ".join(report.warnings)
    assert report.totals.rows == 8
    assert all(name in said for name in ("a-numbers.csv", "valid.csv", "LICENSE.txt"))
