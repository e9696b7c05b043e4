"""A record is written and read by one class; what it cannot read it refuses by name, with what to do."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any, ClassVar

import pytest

from studio.core.errors import DataError, OutOfMemory
from studio.core.records import ErrorRecord, Record, RecordError


class Part(Record):
    count: int


class Lamp(Record):
    label: ClassVar[str] = "lamp"

    name: str
    parts: tuple[Part, ...] = ()


class LampV3(Lamp):
    schema_version: ClassVar[int] = 3

    @classmethod
    def upgrade(cls, values: dict[str, Any], version: int) -> dict[str, Any]:
        if version == 1:
            return {**values, "name": values["title"]}
        return {**values, "name": values["name"].upper()}


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    lamp = Lamp(name="Tölä", parts=(Part(count=3),))
    assert Lamp.read(lamp.write(tmp_path / "lamp.json")) == lamp
    assert json.loads((tmp_path / "lamp.json").read_text())["version"] == 1


def test_a_line_leaves_out_what_is_at_its_default_and_comes_back_equal(tmp_path: Path) -> None:
    for lamp in (Lamp(name="a"), Lamp(name="b", parts=(Part(count=1),))):
        lamp.append(tmp_path / "lamps.jsonl")
    first, second = map(json.loads, (tmp_path / "lamps.jsonl").read_text().splitlines())
    assert first == {"name": "a"}
    assert Lamp.from_json(second) == Lamp(name="b", parts=(Part(count=1),))


def test_a_file_without_a_version_counts_as_version_1_and_is_upgraded_step_by_step(tmp_path: Path) -> None:
    (tmp_path / "lamp.json").write_text('{"title": "old", "parts": [], "gone": 1}')
    assert LampV3.read(tmp_path / "lamp.json").name == "OLD"
    assert LampV3.from_json({"version": 2, "name": "newer"}).name == "NEWER"
    assert LampV3.from_json({"version": 3, "name": "now"}).name == "now"


def test_fields_that_are_not_known_are_ignored_when_read_and_refused_when_made() -> None:
    assert Lamp.from_json({"name": "a", "colour": "red", "parts": [{"count": 1, "new": 2}]}) == Lamp(
        name="a", parts=(Part(count=1),)
    )
    with pytest.raises(ValueError, match="colour"):
        Lamp(name="a", colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b'{"name": "a"', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[1, 2]", "expected a JSON object, got list"),
        (b"{}", "required field `name` is missing"),
        (b'{"name": 3}', "`name` should be a valid string, got 3"),
        (b'{"name": "a", "parts": [{"count": "many"}]}', "`parts.0.count` should be a valid integer"),
        (b'{"version": "one", "name": "a"}', "`version` expected a positive integer, got 'one'"),
    ],
)
def test_a_damaged_file_is_refused_by_name_field_and_finding(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "lamp.json").write_bytes(content)
    with pytest.raises(RecordError) as refused:
        Lamp.read(tmp_path / "lamp.json")
    assert refused.value.message.startswith("the lamp is damaged: ")
    assert says in refused.value.message
    assert refused.value.where == str(tmp_path / "lamp.json")
    assert refused.value.hint


def test_a_newer_file_is_refused_with_both_versions(tmp_path: Path) -> None:
    (tmp_path / "lamp.json").write_text('{"version": 7, "name": "a"}')
    with pytest.raises(RecordError, match=r"newer release of Studio \(version 7; this release reads up to 1\)") as refused:
        Lamp.read(tmp_path / "lamp.json")
    assert "Update Studio" in refused.value.hint


def test_an_older_file_that_cannot_be_upgraded_is_refused_not_a_key_error() -> None:
    with pytest.raises(RecordError, match="version 1 cannot be brought up to 3"):
        LampV3.from_json({"parts": []}, where="lamp.json")


def test_a_missing_file_is_the_callers_matter(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lamp.read(tmp_path / "lamp.json")


def test_an_error_comes_back_as_its_own_class() -> None:
    error = OutOfMemory("ran out", hint="use nf4", where="step 3")
    again = ErrorRecord.from_json(ErrorRecord.of(error).as_json()).error()
    assert (type(again), again.sentence, again.hint) == (OutOfMemory, "step 3: ran out", "use nf4")
    assert isinstance(ErrorRecord(kind="DataError", message="x").error(), DataError)


def test_an_error_says_what_to_do_once_wherever_it_is_printed() -> None:
    error = OutOfMemory("ran out", hint="use nf4", where="step 3")
    lines = ["step 3: ran out", "→ use nf4"]
    assert str(error).splitlines() == lines
    assert traceback.format_exception_only(error)[-1].splitlines() == [f"studio.core.errors.OutOfMemory: {lines[0]}", lines[1]]
    assert error._render_traceback_() == [f"OutOfMemory: {lines[0]}", lines[1]]
    assert error.sentence == lines[0]
    assert str(OutOfMemory("ran out", hint="")) == "ran out"
