"""Rows in memory become one file, named by its content, that says what it was made from; what are no rows is refused."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy
import pytest

import studio
import studio.spec
from studio.core.errors import DataError, SpecError
from studio.data import in_memory
from studio.spec import parse

pandas = pytest.importorskip("pandas")

ROWS = [{"question": f"How high is lamp {n}?", "answer": f"It is {n} metres high."} for n in range(12)]

pytestmark = pytest.mark.usefixtures("home")


def lines(path: str) -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def source(rows: Any) -> str:
    found = in_memory.as_sources(rows, "data.train")
    assert isinstance(found, str)
    return found


@pytest.mark.torch
def test_a_frame_a_list_and_a_dataset_of_the_same_rows_hold_the_same() -> None:
    datasets = pytest.importorskip("datasets")
    polars = pytest.importorskip("polars")
    for rows in (ROWS, tuple(ROWS), pandas.DataFrame(ROWS), polars.DataFrame(ROWS), datasets.Dataset.from_list(ROWS)):
        path = source(rows)
        assert lines(path) == ROWS, type(rows)
        made = in_memory.provenance(Path(path))
        assert made is not None
        assert (made.rows, made.columns) == (12, ("question", "answer"))
        assert Path(path).stem.endswith(made.sha256[:12])


def test_the_same_rows_are_one_file_however_often_they_are_given(home: Path) -> None:
    specs = [studio.RunSpec(data={"train": pandas.DataFrame(ROWS)}) for _ in range(3)]
    assert len({spec.data.files for spec in specs}) == 1
    assert len(list((home / "in-memory").glob("*.jsonl"))) == 1
    assert [file for file in (home / "in-memory").iterdir() if file.name.startswith(".")] == []


def test_a_spec_with_a_frame_says_where_its_rows_are_and_is_written_and_read_like_any_other(tmp_path: Path) -> None:
    spec = studio.RunSpec(name="bot", data={"train": pandas.DataFrame(ROWS), "holdout": ROWS[:2]})
    assert lines(str(spec.data.train)) == ROWS
    assert lines(str(spec.data.holdout)) == ROWS[:2]
    file = tmp_path / "spec.yaml"
    file.write_text(studio.spec.dump_asked(spec))
    assert studio.load(file) == spec
    assert studio.edit(spec, {"data.train": ROWS[:5]}).data.train != spec.data.train


def test_a_folder_named_like_a_column_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("question", "answer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text('{"question": "Wrong?", "answer": "Yes."}\n')
    report = studio.inspect(pandas.DataFrame(ROWS))
    assert report.totals.usable == 12
    assert "pandas.DataFrame, 12 rows, columns question, answer" in report.files[0].details["made from"]


@pytest.mark.torch
def test_a_saved_dataset_is_read_as_its_rows(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).filter(lambda row: "1" in row["answer"]).save_to_disk(str(tmp_path / "saved"))
    report = studio.inspect(tmp_path / "saved")
    assert report.totals.usable == sum("1" in row["answer"] for row in ROWS)


def test_messy_frames_keep_what_they_mean() -> None:
    frame = pandas.DataFrame(
        {
            0: ["a", None, "c"],
            "when": pandas.to_datetime(["2024-01-02", None, "2024-03-04"]),
            "count": pandas.array([1, None, 3], dtype="Int64"),
            "share": [0.5, float("nan"), numpy.float32(0.25)],
            "kind": pandas.Categorical(["x", "y", "x"]),
            "list": [numpy.array([1, 2]), numpy.array([]), [{"role": "user", "content": None}]],
        },
        index=pandas.Index(["q1", "q2", "q3"], name="question"),
    )
    first, second, third = lines(source(frame))
    assert first == {
        "question": "q1", "0": "a", "when": "2024-01-02T00:00:00", "count": 1, "share": 0.5, "kind": "x", "list": [1, 2],
    }  # fmt: skip
    assert second == {
        "question": "q2", "0": None, "when": None, "count": None, "share": None, "kind": "y", "list": [],
    }  # fmt: skip
    assert (third["share"], third["list"]) == (0.25, [{"role": "user"}])
    assert lines(source([{"on": datetime.date(2024, 1, 2), "odd": "\ud800"}])) == [{"on": "2024-01-02", "odd": "\ud800"}]


@pytest.mark.parametrize(
    ("rows", "message", "hint"),
    [
        (pandas.DataFrame(), "no rows", "at least one"),
        (ROWS[0], "got dict", "in a list"),
        (pandas.Series(["a"]), "got pandas.Series", "to_frame"),
        (numpy.zeros((2, 2)), "got numpy.ndarray", "columns"),
        ((row for row in ROWS), "got generator", "list(rows)"),
        ([*ROWS, "a.csv"], "got list of dict and str", "Every item"),
        ([[{"role": "user", "content": "a"}]], "got list of list", "{'messages': conversation}"),
        (b"a.csv", "bytes", "a path"),
        (None, "NoneType", "a path"),
        ([{"a": {1, 2}}], "row 1: column `a` holds set", "Drop"),
        ([{"a": "x"}, {"a": [{"b": object()}]}], "row 2: column `a` holds object", "Drop"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "`a` is there twice", "Rename"),
        (pandas.DataFrame([[1]], columns=pandas.MultiIndex.from_tuples([("a", "b")])), "2 levels", "Flatten"),
    ],
)  # fmt: skip
def test_what_are_no_rows_is_refused_in_words(rows: Any, message: str, hint: str, home: Path) -> None:
    for attempt in (lambda: studio.RunSpec(data={"train": rows}), lambda: studio.inspect(rows)):
        with pytest.raises(DataError) as found:
            attempt()
        assert message in found.value.message
        assert hint in found.value.hint
        assert found.value.where == "data.train"
    assert not (home / "in-memory").exists() or list((home / "in-memory").iterdir()) == []


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_name_of_the_working_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "Wrong?", "answer": "Yes."}\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="the name of the data is empty"):
        studio.inspect(name)


@pytest.mark.torch
def test_libraries_that_split_or_stream_are_told_how_to_give_rows() -> None:
    datasets = pytest.importorskip("datasets")
    polars = pytest.importorskip("polars")
    whole = datasets.Dataset.from_list(ROWS)
    for rows, hint in (
        (datasets.DatasetDict(train=whole, test=whole), "dataset['train']; it has train, test"),
        (whole.to_iterable_dataset(), "dataset.take"),
        (polars.DataFrame(ROWS).lazy(), "frame.collect()"),
    ):
        with pytest.raises(DataError) as found:
            studio.inspect(rows)
        assert hint in found.value.hint


def test_a_written_spec_names_files_and_holds_no_rows(home: Path) -> None:
    for train in ([{"question": "a", "answer": "b"}], {"question": "a"}):
        with pytest.raises(SpecError) as found:
            parse({"data": {"train": train}})
        assert "data.train" in found.value.where
    assert not (home / "in-memory").exists()


def test_rows_that_cannot_be_written_are_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "file"))
    with pytest.raises(studio.StudioError) as found:
        studio.inspect(ROWS)
    assert "STUDIO_HOME" in found.value.hint
