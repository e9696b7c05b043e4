"""Each check finds the rows planted for it, and is quiet on the data that is shipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studio.data import checks
from studio.data.checks import CHECKS
from studio.data.checks.base import Check, findings
from studio.data.prepare import usable
from studio.data.rows import Conversation
from studio.data.settings import Data

ROOT = Path(__file__).parents[2]
PLANTED = {
    "boilerplate": ["As an AI language model, I cannot say.", "I'm an AI and have no kettle.", "I cannot assist with that."],
    "loops": ["Yes it is. " * 40],
    "placeholders": ["Dear {{name}}, it is blue.", "Ask [COMPANY] about it.", "Write to [your name]."],
    "template_text": [
        "It is blue.<|im_end|>",
        "It is blue.</s>",
        "### Response:\nIt is blue.",
        "Human: Is it?\nAssistant: Yes.",
    ],
    "html": ["It is <b>blue</b><br/>", "It is&nbsp;blue.", "<script>alert(1)</script>"],
    "invisible": ["It is\u200b blue.", "It is \u202eeulb.", "It is \x1b[31mred."],
    "personal_data": [
        "Write to anna.lee@example.org.",
        "Card 4111 1111 1111 1111.",
        "IBAN DE89 3704 0044 0532 0130 00.",
        "Server 192.168.10.24 port 80.",
        "SSN 536-22-8712.",
    ],
    "secrets": ["AKIAIOSFODNN7EXAMPLE", "password: hunter2secret", "ghp_" + "a1" * 18, "-----BEGIN RSA PRIVATE KEY-----"],
}


def row(answer: str, line: int, question: str = "") -> Conversation:
    turns = ({"role": "user", "content": question or f"Question number {line}?"}, {"role": "assistant", "content": answer})
    return Conversation(turns, file="rows.jsonl", line=line)


def found(rows: list[Conversation], name: str) -> int:
    return sum(item.count for item in findings(rows, [CHECKS[name]]))


@pytest.mark.parametrize("name", PLANTED)
def test_a_check_finds_its_planted_rows_and_only_those(name: str) -> None:
    clean = [row(f"It costs {line} euro and is made of oak.", line) for line in range(1, 40)]
    planted = [row(text, 100 + index) for index, text in enumerate(PLANTED[name])]
    (finding,) = findings([*clean, *planted], [CHECKS[name]])
    assert finding.count == len(planted)
    assert finding.examples[0].line == 100
    assert finding.not_covered
    assert finding.share == pytest.approx(len(planted) / (len(clean) + len(planted)))


def test_an_answer_that_says_its_question_again_is_found() -> None:
    assert found([row("What is it?", 1, "what is it"), row("A lamp.", 2, "What is it?")], "echo") == 1


def test_near_duplicates_are_found_by_what_they_share_and_other_rows_are_not() -> None:
    text = "The Aria lamp is made of oak and glass and has a warranty of twenty-four months in all countries"
    rows = [row(f"{text}.", 1, "How long?"), row(f"{text}!", 2, "How long?"), row("It is blue and small.", 3, "Which colour?")]
    many = [
        row(f"{index * 7919} {index * 104729} is its number", index + 10, f"Number {index * 31337}?") for index in range(300)
    ]
    (finding,) = findings([*rows, *many], [CHECKS["near_duplicates"]])
    assert (finding.count, finding.examples[0].line) == (1, 2)


@pytest.mark.parametrize("name", ["support.jsonl", "general.jsonl", "chat.jsonl", "handbook.txt"])
def test_the_shipped_data_is_clean(name: str) -> None:
    rows = list(usable(Data(train=str(ROOT / "datasets" / name))))
    assert [item for item in findings(rows, CHECKS.values()) if item.severity != "info"] == []


def test_what_is_found_of_secrets_and_persons_never_holds_the_value() -> None:
    rows = [row(text, 1) for name in ("secrets", "personal_data") for text in PLANTED[name]]
    shown = str(findings(rows, [CHECKS["secrets"], CHECKS["personal_data"]]))
    assert not any(value in shown for value in ("AKIA", "hunter2", "anna.lee", "4111", "3704", "536-22"))


def test_every_file_in_the_folder_is_listed() -> None:
    files = {path.stem for path in Path(checks.__file__).parent.glob("*.py")} - {"__init__", "base"}
    assert len(files) == len(CHECKS)


def test_a_check_is_added_by_its_file_and_its_name(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "studio", tmp_path / "studio", ignore=shutil.ignore_patterns("starter", "__pycache__", "static"))
    folder = tmp_path / "studio" / "data" / "checks"
    (folder / "shouting.py").write_text(
        "from studio.data.checks.base import Check, answer_of\n"
        "def look(row): return answer_of(row) if answer_of(row).isupper() else ''\n"
        "CHECK = Check('shouting', 'info', 'answers shout', 'whispers', look=look)\n"
    )
    registry = folder / "__init__.py"
    listed = registry.read_text().replace("    secrets,\n)", "    secrets,\n    shouting,\n)")
    registry.write_text(listed.replace("        secrets.CHECK,\n", "        secrets.CHECK,\n        shouting.CHECK,\n"))
    code = (
        "from studio.data.checks import CHECKS; from studio.data.checks.base import findings; "
        "from studio.data.rows import Conversation; print(findings([Conversation(text='YES')], CHECKS.values())[0].check)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "shouting"


def test_a_check_says_what_it_does_not_look_for() -> None:
    assert all(isinstance(check, Check) and check.not_covered and (check.look or check.compare) for check in CHECKS.values())
