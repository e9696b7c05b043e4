"""Every command that a page shows is run as it stands, in a reader's folder, on a home with a finished run."""

from __future__ import annotations

import io
import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from studio.cli.main import run
from tests.architecture.test_docs import PAGES, ROOT, blocks, commands

pytestmark = [pytest.mark.slow, pytest.mark.torch]

NOT_RUN = {
    "demo": "tests/journeys/test_demo.py runs it",
    "train *": "its model comes from the hub; tests/journeys/test_command.py trains such a spec",
    "sweep *": "its model comes from the hub; tests/app/test_sweeps.py and a notebook make sweeps",
    "ui*": "it does not end; tests/ui starts it",
    "serve *": "it does not end; tests/serving starts it",
    "bench *": "tests/benchmark runs it, against servers of its own",
    "exporters install *": "it downloads a toolchain; tests/export/test_environments.py installs one",
    "exporters remove *": "it would remove a toolchain that other tests use",
    "export last --to gguf *": "tests/journeys/test_command.py makes it",
    "make *": "it asks a teacher; tests/making runs it against one of its own",
    "data desk handbook": "its dataset is of `make example`; tests/journeys/test_making.py reviews it",
    "index *": "tests/retrieval runs it",
    "documents *": "tests/documents runs it",
    "cascade *": "tests/cascade runs it",
    "push *": "it uploads; tests/export/test_push.py does against a hub of its own",
    "judge *": "it asks a model; tests/evaluation runs it",
    "feedback rate *": "it names an answer that somebody collected; tests/feedback rates one",
    "feedback to-dataset *": "it needs answers that somebody rated; tests/feedback makes rows of them",
    "data curate prices *": "its rows are of rated answers; tests/ui/test_feedback.py saves such a version",
}
"""Commands that are not run here, and where they are instead."""
EXIT_CODES = {"plan": {0, 3}}
"""A plan of a real model may say that it does not fit on the machine of the tests."""


def reason(words: list[str]) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if fnmatch(" ".join(words), pattern)), None)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of someone who follows the pages: the files they name."""
    folder = tmp_path_factory.mktemp("reader")
    rows = [json.loads(line) for line in (ROOT / "datasets" / "support.jsonl").read_text().splitlines()[:60]]
    rows.append({"question": rows[3]["question"], "answer": "Please write to ada.lovelace@example.org."})
    lines = [f'"{row["question"]}","{row["answer"]}"' for row in rows]
    for name in ("faq.csv", "answers.csv"):
        (folder / name).write_text("\n".join(["question,answer", *lines]))
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (
        ("question", "answer"),
        *((f"ticket {number}: it broke", ("lamp", "desk")[number % 2]) for number in range(40)),
    ):
        book.active.append(row)
    book.save(folder / "tickets.xlsx")
    for name in ("configs", "datasets"):
        (folder / name).symlink_to(ROOT / name)
    (spec,) = [text for text in blocks(ROOT / "README.md", "yaml") if "name: my-bot" in text]
    (folder / "my-bot.yaml").write_text(spec)
    return folder


@pytest.mark.parametrize("document", [page for page in PAGES if commands(page)], ids=lambda file: file.name)
def test_every_shown_command_works_as_it_stands(
    document: Path,
    reader: Path,
    finished: dict[str, Any],
    shared_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    (home / "runs" / finished["id"]).symlink_to(shared_home / "runs" / finished["id"])
    monkeypatch.chdir(reader)
    monkeypatch.setenv("STUDIO_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.stdin", io.StringIO("How much is the Juniper mirror?\n"))  # and then the end, as Ctrl-D
    for words in commands(document):
        if reason(words) is None:
            code = run(words)
            said = capsys.readouterr()
            assert code in EXIT_CODES.get(words[0], {0}), f"studio {' '.join(words)}\n{said.err}{said.out}"


def test_no_reason_not_to_run_a_command_is_left_over() -> None:
    shown = [" ".join(words) for page in PAGES for words in commands(page)]
    unused = {pattern for pattern in NOT_RUN if not any(fnmatch(text, pattern) for text in shown)}
    later = {"make *", "index *", "documents *", "cascade *", "push *", "judge *"}
    assert unused <= later
    for why in NOT_RUN.values():
        for path in re.findall(r"tests/[\w/.]+", why):
            assert (ROOT / path).exists() or path.split("/")[1] in ("retrieval", "cascade", "documents", "making"), path
