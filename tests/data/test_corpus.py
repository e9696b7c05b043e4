"""The corpus is read right: nearly all of it at once, the rest by asking; and following the advice gives what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.cli.data_settings import alternatives
from studio.core.errors import TO_FILL_IN, DataError
from studio.data.choices import NeedsChoice
from studio.data.prepare import inspect, usable
from studio.data.rows import Conversation
from studio.data.settings import Data
from tests.data import corpus, corpus_desks, corpus_exports, corpus_hostile, corpus_published, corpus_tables, corpus_tools
from tests.data.corpus import Answer, Asks, Case, Refuses, Text, Turns
from tests.data.files import write

CASES = (
    *corpus.CASES,
    *corpus_exports.CASES,
    *corpus_desks.CASES,
    *corpus_hostile.CASES,
    *corpus_published.CASES,
    *corpus_tables.CASES,
    *corpus_tools.CASES,
)
SHARE = 0.95


def place(case: Case, folder: Path) -> str:
    return str(case.content(folder)) if callable(case.content) else write(folder / case.name, case.content)


def read(file: str, settings: dict[str, Any]) -> Answer:
    """What the studio makes of a file, in the terms of the table."""
    data = Data(train=file, **{"max_rejected": 0.0, **settings})
    try:
        report = inspect(data)
    except NeedsChoice:
        return Asks()
    except DataError as error:
        return Refuses(f"{error} {error.hint}")
    if report.problems and not report.totals.usable:
        return Refuses(f"{report.problems} {report.hints}")
    return first_of(list(usable(data)))


def first_of(rows: list[Conversation]) -> Answer:
    if rows[0].messages:
        return Turns(tuple((turn["role"], turn["content"]) for turn in rows[0].messages), len(rows))
    return Text(rows[0].text, len(rows))


def is_right(got: Answer, wanted: Answer) -> bool:
    if isinstance(wanted, Refuses):
        return isinstance(got, Refuses) and wanted.words in got.words
    return isinstance(got, Asks) if isinstance(wanted, Asks) else got == wanted


@pytest.fixture(scope="module")
def read_all(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    folder = tmp_path_factory.mktemp("corpus")
    return {
        case.name: read(place(case, folder / str(index)), case.settings) for index, case in enumerate(_with_folders(folder))
    }


def _with_folders(folder: Path) -> tuple[Case, ...]:
    for index in range(len(CASES)):
        (folder / str(index)).mkdir()
    return CASES


def test_the_corpus_is_large_and_its_names_differ() -> None:
    assert len(CASES) >= 340
    assert len({case.name for case in CASES}) == len(CASES)


def test_nearly_every_file_is_read_as_the_table_says(read_all: dict[str, Answer]) -> None:
    wrong = {case.name: read_all[case.name] for case in CASES if not is_right(read_all[case.name], case.answer)}
    assert len(wrong) <= (1 - SHARE) * len(CASES), "\n".join(f"{name}: {got}" for name, got in wrong.items())


def test_no_file_is_read_as_something_else_in_silence(read_all: dict[str, Answer]) -> None:
    silent = {
        case.name: read_all[case.name]
        for case in CASES
        if isinstance(read_all[case.name], (Turns, Text)) and not is_right(read_all[case.name], case.answer)
    }
    assert not silent, "\n".join(f"{name}: {got}" for name, got in silent.items())


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.answer, Asks)], ids=lambda case: case.name)
def test_following_the_printed_advice_gives_what_was_meant(case: Case, tmp_path: Path) -> None:
    file = place(case, tmp_path)
    with pytest.raises(NeedsChoice) as asked:
        inspect(Data(train=file))
    line = asked.value.hint.split("under data: ")[1].split("  ")[0].split(" with the right names")[0]
    settings = yaml.safe_load("{" + line + "}")
    got = read(file, {**settings, "max_rejected": 0.05})
    assert isinstance(case.answer, Asks)
    if case.answer.then is None:
        assert isinstance(got, (Refuses, Turns))
    else:
        assert got == case.answer.then
        shown = case.answer.then.first if isinstance(case.answer.then, Text) else case.answer.then.first[-1][1]
        assert shown in asked.value.hint, "it shows a row"


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.answer, Refuses)], ids=lambda case: case.name)
def test_what_a_refusal_says_to_write_is_accepted_and_gives_rows_or_another_refusal(case: Case, tmp_path: Path) -> None:
    """Also where nothing can be chosen: the printed settings are those of the data section, and are not refused as such."""
    refused = read(place(case, tmp_path), case.settings)
    assert isinstance(refused, Refuses)
    for chosen in alternatives(refused.words):
        settings = {field: yaml.safe_load(value) for field, value in chosen.items() if TO_FILL_IN not in value}
        got = read(place(case, tmp_path), {**case.settings, **settings, "max_rejected": 0.4})
        assert not isinstance(got, Refuses) or got.words != refused.words, f"following {settings} changes nothing"
