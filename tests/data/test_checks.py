"""Each check finds the rows planted for it, and is quiet on the data that is shipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import Stopped
from studio.core.messages import chat_message
from studio.data import checks
from studio.data.checks import CHECKS
from studio.data.checks.base import Check, Options, findings, findings_with_rows
from studio.data.checks.personal import spans
from studio.data.prepare import usable
from studio.data.rows import Conversation
from studio.data.settings import Data
from studio.tracking.reporter import Silent

ROOT = Path(__file__).parents[2]
PLANTED = {
    "boilerplate": ["As an AI language model, I cannot say.", "I'm an AI and have no kettle.", "I cannot assist with that."],
    "loops": ["Yes it is. " * 40, "Nooooooooooooooooo way", "好的" * 40],
    "cut_answers": [
        "The lamp stands on the table in the hall, where it was put by the last owner and",
        "The lamp stands on the table in the hall, and beside it there are the kettle, the clock,",
    ],
    "placeholders": ["Dear {{name}}, it is blue.", "Ask [COMPANY] about it.", "Write to [your name]."],
    "template_text": [
        "It is blue.<|im_end|>",
        "It is blue.</s>",
        "### Response:\nIt is blue.",
        "Human: Is it?\nAssistant: Yes.",
    ],
    "html": ["It is <b>blue</b><br/>", "It is&nbsp;blue.", "<script>alert(1)</script>", "<i>No</i>", '<a href="x">Here</a>'],
    "escapes": [r"It is blue.\nIt is round.", r"It is blue.\r\nOr so", r"It is gr\u00fcn."],
    "invisible": ["It is\u200b blue.", "It is \u202eeulb.", "It is \x1b[31mred."],
    "personal_data": [
        "Write to anna.lee@example.org.",
        "Card 4111 1111 1111 1111.",
        "IBAN DE89 3704 0044 0532 0130 00.",
        "Server 192.168.10.24 port 80.",
        "SSN 536-22-8712.",
        "Ring us at +44 20 7946 0958.",
        "Tel.: 060-56-85-91",
    ],
    "links_only": ["https://example.org/a?b=c", "[the manual](https://example.org/manual.pdf)."],
    "mojibake": [
        *("Die Tür ist grün.".encode().decode("latin-1"), "Привет, мир".encode().decode("cp1251")),
        *("Привет".encode().decode("latin-1"), "こんにちは".encode().decode("latin-1"), "It\ufffds blue."),
    ],
    "secrets": ["AKIAIOSFODNN7EXAMPLE", "password: hunter2secret", "ghp_" + "a1" * 18, "-----BEGIN RSA PRIVATE KEY-----"],
}


def row(answer: str, line: int, question: str = "") -> Conversation:
    turns = (chat_message("user", question or f"Question number {line}?"), chat_message("assistant", answer))
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


def many(count: int = 60) -> list[Conversation]:
    """Rows that nothing is wrong with, each of its own."""
    return [
        row(
            f"Item {index * 7919} stands in hall {index * 31 % 97} beside item {index * 104729}.",
            index,
            f"Where is item {index * 7919} kept?",
        )
        for index in range(1, count + 1)
    ]


def rows_of(rows: list[Conversation], name: str, **options: Any) -> list[int]:
    """The lines of all rows that a check finds."""
    return [
        rows[index].line for _, indices in findings_with_rows(rows, [CHECKS[name]], Options(**options)) for index in indices
    ]


def test_rows_that_say_the_same_again_are_found_and_each_only_once() -> None:
    rows = [*many(20), row("It is blue.", 100, "Which colour?"), row("It is blue.", 101, "Which colour?")]
    assert rows_of(rows, "repeats") == [101]
    assert rows_of(rows, "near_duplicates") == []


def test_answers_that_disagree_on_one_question_are_found_and_rewordings_are_not() -> None:
    rows = [
        row("It has a warranty of 24 months.", 1, "How long is the warranty?"),
        row("It has a warranty of 36 months.", 2, "how long is the warranty"),
        row("You pay at the desk.", 3, "Where do I pay?"),
        row("At the desk you pay.", 4, "Where do I pay?"),
        row("No idea, ask somebody else please.", 5, "Is it blue?"),
        row("Yes.", 6, "Is it blue?"),
    ]
    assert rows_of(rows, "contradictions") == [1, 2, 5, 6]


def test_several_answers_that_are_meant_to_differ_do_not_contradict() -> None:
    rows = [replace(row(text, line, "Is it blue?"), good=line == 1) for line, text in ((1, "Yes."), (2, "Bananas."))]
    assert rows_of(rows, "contradictions") == []


def test_rare_labels_are_found_with_the_figures_and_even_ones_are_not() -> None:
    even = [row(("repair", "refund")[index % 2], index, f"Question {index * 7919}?") for index in range(60)]
    assert rows_of(even, "label_balance") == []
    skewed = [row("refund" if index in (7, 9) else "repair", index, f"Question {index * 7919}?") for index in range(60)]
    (finding,) = findings(skewed, [CHECKS["label_balance"]])
    assert rows_of(skewed, "label_balance") == [7, 9]
    assert "of 2 labels the most frequent has 58 rows and the rarest 2" in finding.message
    assert rows_of(many(), "label_balance") == []


def test_one_sentence_that_answers_many_questions_is_found() -> None:
    same = [row("Please write to our service desk.", 100 + index, f"What about case {index * 7919}?") for index in range(30)]
    assert rows_of([*many(), *same], "one_answer") == [item.line for item in same]


def test_rows_of_an_unusual_length_are_found_and_counted_by_the_tokenizer_if_there_is_one() -> None:
    rows = [*many(), row("It is blue and stands here. " * 900, 100), row(".", 101)]
    assert rows_of(rows, "length_outliers") == [100, 101]
    (finding,) = findings(rows, [CHECKS["length_outliers"]])
    assert "about" in finding.message
    (finding,) = findings(rows, [CHECKS["length_outliers"]], Options(count_tokens=lambda texts: [len(text) for text in texts]))
    assert "about" not in finding.message
    assert finding.examples[0].text.startswith("25,2")


def test_a_swapped_row_is_found_and_asking_back_is_not() -> None:
    swapped = row("Where is item 12 kept in the evening?", 100, "Item 12 stands in hall 4.")
    assert rows_of([*many(), swapped, row("Of course. Which item do you mean?", 101, "Help me please")], "swapped") == [100]


def test_unfinished_answers_are_no_finding_where_none_has_an_end() -> None:
    rows = [
        row(f"the item number {index * 7919} stands in the hall beside item number {index} today", index) for index in range(30)
    ]
    assert rows_of(rows, "cut_answers") == []


def test_rows_in_another_language_and_answers_in_another_than_asked_are_found() -> None:
    german = "Die Lampe steht im Flur neben der Tür, und der Schlüssel liegt darunter."
    english = [
        row(f"The lamp stands in the hall beside the door of room {index}, and the key lies under it.", index,
            f"Could you please tell me where the lamp of room {index} stands?")
        for index in range(1, 60)
    ]  # fmt: skip
    asked = "Could you please tell me where the lamp of the first room stands?"
    rows = [*english, row(german, 100, asked), row(german, 101, "Wo steht denn bitte die Lampe aus dem ersten Zimmer?")]
    assert rows_of(rows, "language") == [100, 101]
    translations = [replace(item, messages=(item.messages[0], {"role": "assistant", "content": german})) for item in english]
    assert rows_of(translations, "language") == []
    assert rows_of([row("Oui", 1, "Si?"), row("Nein", 2, "Da?")], "language") == []


@pytest.mark.parametrize(
    ("region", "number"),
    [
        ("DE", "86 095 742 719"),
        ("FR", "2 55 08 14 168 025 38"),
        ("ES", "12345678Z"),
        ("IT", "RSSMRA85T10A562S"),
        ("NL", "111222333"),
        ("PL", "44051401359"),
        ("BR", "529.982.247-25"),
        ("CN", "11010519491231002X"),
        ("SE", "811228-9874"),
        ("GB", "AB 12 34 56 C"),
    ],
)
def test_a_national_number_is_found_where_its_country_is_named_and_its_check_digit_is_right(region: str, number: str) -> None:
    told = [row(f"The number is {number} here.", 1)]
    assert (
        findings(told, [CHECKS["personal_data"]], Options(regions=(region,)))[0].examples[0].text == "national identity number"
    )
    assert [span.kind for span in spans(f"It is {number}", (region,))] == ["NATIONAL_ID"]
    digit = next(at for at in range(len(number) - 1, -1, -1) if number[at].isdigit())
    wrong = number[:digit] + str((int(number[digit]) + 1) % 10) + number[digit + 1 :]
    assert region == "GB" or "NATIONAL_ID" not in [span.kind for span in spans(f"It is {wrong}", (region,))]


def test_a_local_phone_number_is_found_where_its_country_is_named() -> None:
    rows = [row("We answer at 030 2093 3333 all day.", 1)]
    assert rows_of(rows, "personal_data") == []
    assert rows_of(rows, "personal_data", regions=("DE",)) == [1]


def test_training_rows_that_the_held_out_file_asks_about_are_found_exactly_nearly_and_by_their_answer() -> None:
    answer = "It stands in the hall beside the door, under the clock."
    held = [row("In hall 3.", 1, "Where does the oak table of the first floor stand?"), row(answer, 2, "And the lamp?")]
    rows = [
        *many(),
        row("In hall 3.", 100, "where does the oak table of the first floor stand"),
        row("In hall 3.", 101, "Where did the oak table of the first floor stand?"),
        row(answer, 102, "Please tell me about the kettle."),
    ]
    ((finding, indices),) = findings_with_rows(rows, [CHECKS["leakage"]], held_out=held)
    assert [rows[index].line for index in indices] == [100, 101, 102]
    assert "1 with the same question, 1 with nearly the same question, 1 with the same answer" in finding.message
    assert "(held out: Where does the oak" in finding.examples[1].text
    assert findings(rows, [CHECKS["leakage"]]) == []


def test_a_check_whose_package_is_missing_is_named_and_the_others_go_on() -> None:
    check = replace(CHECKS["echo"], name="absent", package="no_such_package")
    (echo, absent) = findings([row("A lamp", 1, "a lamp")], [check, CHECKS["echo"]])
    assert (echo.check, absent.check, absent.count) == ("echo", "absent", 0)
    assert "not looked for" in absent.message


def test_no_rows_are_no_finding() -> None:
    assert findings([], CHECKS.values()) == []


def test_checking_stops_when_asked_to() -> None:
    class Stop(Silent):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Stopped):
        findings(many(), CHECKS.values(), reporter=Stop())


def test_an_answer_that_says_its_question_again_is_found() -> None:
    assert found([row("What is it?", 1, "what is it"), row("A lamp.", 2, "What is it?")], "echo") == 1


def test_near_duplicates_are_found_by_what_they_share_and_other_rows_are_not() -> None:
    text = "The Aria lamp is made of oak and glass and has a warranty of twenty-four months in all countries"
    rows = [row(f"{text}.", 1, "How long?"), row(f"{text}!", 2, "How long?"), row("It is blue and small.", 3, "Which colour?")]
    others = [
        row(f"{index * 7919} {index * 104729} is its number", index + 10, f"Number {index * 31337}?") for index in range(300)
    ]
    (finding,) = findings([*rows, *others], [CHECKS["near_duplicates"]])
    assert (finding.count, finding.examples[0].line) == (1, 2)
    assert "largest group of such rows has 2" in finding.message


@pytest.mark.parametrize(
    "name",
    sorted(
        path.name for path in (ROOT / "datasets").iterdir() if path.suffix in (".jsonl", ".txt") and "thumbs" not in path.name
    ),
)
def test_the_shipped_data_is_clean(name: str) -> None:
    rows = list(usable(Data(train=str(ROOT / "datasets" / name))))
    assert [item for item in findings(rows, CHECKS.values()) if item.severity != "info"] == []


def test_what_is_found_of_secrets_and_persons_never_holds_the_value() -> None:
    rows = [row(text, 1) for name in ("secrets", "personal_data") for text in PLANTED[name]]
    shown = str(findings(rows, [CHECKS["secrets"], CHECKS["personal_data"]]))
    assert not any(value in shown for value in ("AKIA", "hunter2", "anna.lee", "4111", "3704", "536-22"))


def test_every_file_in_the_folder_is_listed() -> None:
    files = {path.stem for path in Path(checks.__file__).parent.glob("*.py")} - {"__init__", "base", "national"}
    assert len(files) == len(CHECKS)


def test_a_check_is_added_by_its_file_and_its_name(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "studio", tmp_path / "studio", ignore=shutil.ignore_patterns("starter", "__pycache__", "static"))
    folder = tmp_path / "studio" / "data" / "checks"
    (folder / "shouting.py").write_text(
        "from studio.data.checks.base import Check\n"
        "def look(said): return said.answer if said.answer.isupper() else ''\n"
        "CHECK = Check('shouting', 'info', 'answers shout', 'whispers', look=look)\n"
    )
    registry = folder / "__init__.py"
    listed = registry.read_text().replace("    swapped,\n)", "    shouting,\n    swapped,\n)")
    registry.write_text(listed.replace("        secrets.CHECK,\n", "        secrets.CHECK,\n        shouting.CHECK,\n"))
    code = (
        "from studio.data.checks import CHECKS; from studio.data.checks.base import findings; "
        "from studio.data.rows import Conversation; print(findings([Conversation(text='YES')], CHECKS.values())[0].check)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "shouting"


def test_a_check_says_what_it_does_not_look_for() -> None:
    assert all(isinstance(check, Check) and check.not_covered and (check.look or check.scan) for check in CHECKS.values())
