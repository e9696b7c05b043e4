"""docs/data.md says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from studio.data.formats import FORMATS
from studio.data.prepare import inspect
from studio.data.readers import READERS, containers, document
from studio.data.settings import Data
from tests.data.files import json_lines, refusal, write

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")


def test_the_page_shows_the_example_of_every_format() -> None:
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    for form in FORMATS.values():
        assert form.example in shown
        assert f"{form.title}: `{form.name}`" in PAGE


def test_the_page_names_every_kind_of_file_and_the_limits() -> None:
    assert all(f"`{kind}`" in PAGE for kind in READERS)
    for number in (document.PASSAGE, containers.MEMBERS, containers.RATIO):
        assert f"{number:,}" in PAGE


def test_errors_read_as_the_page_shows_them(tmp_path: Path) -> None:
    problem = refusal(inspect, Data(train=write(tmp_path / "faq.csv", "question,query,answer\na b,c d,e f\n")))
    assert str(problem) in PAGE
    file = write(tmp_path / "chats.json", '[\n{"a": "b"},\n{"a": ["b", {"c": 1}')
    problem = refusal(inspect, Data(train=file))
    assert re.sub(r"line \d+", "line N", problem.sentence) in re.sub(r"line \d+", "line N", PAGE)
    faulty = json_lines([{"question": "a?", "answer": "b"}, *[{"question": "a?", "answer": ""}] * 2]) + "{broken\n"
    told = str(inspect(Data(train=write(tmp_path / "faq.jsonl", faulty))).problems[0])
    numbers = re.compile(r"\d[\d.]*")
    assert numbers.sub("N", told) in numbers.sub("N", PAGE)
