"""`studio data inspect`, `preview` and `desk` take any setting of the data section, and a refusal says which command to try."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from studio.cli import main
from studio.cli.data_settings import alternatives
from studio.core.errors import TO_FILL_IN
from tests.data.corpus import Asks, Case, Refuses
from tests.data.test_corpus import CASES, place

HERE = "→ Here: "


def asks(case: Case) -> bool:
    """Whether a file is asked about, or refused with a line to write."""
    return not case.settings and (
        isinstance(case.answer, Asks) or (isinstance(case.answer, Refuses) and ": " in case.answer.words)
    )


@pytest.mark.slow
def test_every_command_that_a_refusal_prints_reads_the_file_or_is_refused_for_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    followed, wrong = 0, list[str]()
    for index, case in enumerate(case for case in CASES if asks(case)):
        folder = tmp_path / str(index)
        folder.mkdir()
        main.run(["data", "inspect", place(case, folder)])
        printed = "".join(capsys.readouterr())
        advised = [line.removeprefix(HERE) for line in printed.splitlines() if line.startswith(HERE)]
        to_fill_in = f"question: {TO_FILL_IN}" in printed
        if ("rite under data: columns" in printed or "header_row: " in printed) and bool(advised) == to_fill_in:
            wrong.append(f"{case.name}: no command: {printed[-300:]}")
        for line in advised[:1]:
            followed += 1
            code = main.run(shlex.split(line)[1:])
            again = "".join(capsys.readouterr())
            if code not in (0, 2) or (code == 2 and again == printed):
                wrong.append(f"{case.name}: {line}: {again[-300:]}")
    assert not wrong, "\n".join(wrong)
    assert followed >= 40


@pytest.mark.parametrize("verb", ["inspect", "preview", "desk"])
def test_a_setting_is_taken_and_another_section_is_refused(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "faq.csv"
    file.write_text(
        "Export of May\n\nquestion,answer\n" + "".join(f"Is {n} in stock?,Yes, {n}.\n" for n in range(6)).replace(", ", " ")
    )
    assert main.run(["data", verb, str(file)]) == 2
    assert f"{HERE}studio data {verb} {file} --set data.header_row=3" in capsys.readouterr().err
    assert main.run(["data", verb, str(file), "--set", "data.header_row=3"]) == 0
    assert main.run(["data", verb, str(file), "--set", "model.name=starter"]) == 2
    assert main.run(["data", verb, str(file), "--set", "header_row=3", "--set", "data.columns.question=question"]) == 2
    assert "answer" in capsys.readouterr().err, "a role inside columns is taken, and the other is asked for"
    assert main.run(["data", verb, str(file), "--set", "data.header_row=3", "--set", "data.format=messages"]) == 2
    assert "Leave data.format out: the columns are those of question_answer." in capsys.readouterr().err
    assert main.run(["data", verb, str(file), "--set", "data.header_rows=3"]) == 2
    assert "unknown setting `data.header_rows`\n→ Did you mean `data.header_row`?" in capsys.readouterr().err


def test_what_was_set_before_is_kept_in_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text('{"messages": [{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "A?"}]}\n' * 3)
    assert main.run(["data", "inspect", str(file), "--role", "Anna=user"]) == 2
    assert f"""{HERE}studio data inspect {file} --set 'data.roles={{"Anna": "user"}}' --set data.turns=join""" in (
        capsys.readouterr().out
    )


def test_ways_are_read_from_advice_as_yaml() -> None:
    assert alternatives(
        "Write under data: format: alpaca, columns: {input: \"a, b\"}  or  format: text  (read so, a row is 'roles: x')"
    ) == [
        {"format": "alpaca", "columns": '{input: "a, b"}'},
        {"format": "text"},
    ]
    assert alternatives(
        "Write under data: roles: {Anna: user, Ben: assistant} with the right roles, and turns: join if needed"
    ) == [{"roles": "{Anna: user, Ben: assistant}"}]
    assert alternatives("Repair those rows, correct data.format or data.columns.") == []


def test_a_file_in_the_place_of_a_command_is_answered_with_the_command_that_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, spec = tmp_path / "my chats.csv", tmp_path / "run.yaml"
    data.write_text("question,answer\nq,a\n")
    spec.write_text("version: 1\n")
    for arguments, command in (
        (["data", str(data)], f"studio data inspect '{data}'"),
        ([str(data)], f"studio data inspect '{data}'"),
        ([str(spec)], f"studio plan {spec}"),
        (["data", "inspekt"], "data --help"),
    ):
        assert main.run(arguments) == 2
        assert capsys.readouterr().err.rstrip().endswith(command)
