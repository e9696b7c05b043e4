"""Every command that a page shows is run as it stands, in a reader's folder, on a home with a finished run."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from studio.app import cascades
from studio.cli.main import run
from studio.core.messages import chat_message
from studio.feedback.records import CollectedAnswer
from studio.feedback.store import Feedback
from studio.http.server import listen
from studio.making import canned
from studio.runs import lifecycle
from studio.runs.status import Status
from studio.serving import server
from studio.serving.limits import Limits
from tests.architecture.test_docs import PAGES, ROOT, blocks, commands
from tests.tiny import add_tokens, make_model

pytestmark = [pytest.mark.slow, pytest.mark.torch]

NOT_RUN = {
    "demo": ("it trains the whole demo", "tests/journeys/test_demo.py"),
    "ui*": ("it does not end", "tests/ui/conftest.py"),
    "serve last --engine vllm": ("vLLM needs a GPU", "tests/serving/test_parts.py"),
    "serve runs*": ("the name of the run is left out", "tests/serving/test_clients.py"),
    "serve support-*": ("a server for each of two runs", "tests/serving/test_clients.py"),
    "bench *": ("it measures for minutes, two of them another server", "tests/benchmark/test_bench.py"),
    "exporters install *": ("it downloads a toolchain", "tests/export/test_environments.py"),
}
"""Commands that are not run here: why, and the file that runs them."""
LARGE = "https://openrouter.ai/api/v1"
"""The address of a large model on the pages; here a program stands in for it."""
EXIT_CODES = {"plan": {0, 3}}
"""A plan of a real model may say that it does not fit on the machine of the tests."""


serve, serve_cascade = server.serve, cascades.serve


def until_ready(
    app: server.Application,
    listener: socket.socket,
    limits: Limits,
    ready: Callable[[], None],
    end: threading.Event | None = None,
) -> None:
    """Serve until every model is loaded; where the one who serves says when it ends, until then."""
    loaded = threading.Event()

    def then_end() -> None:
        ready()
        loaded.set()

    serve(app, listener, limits, then_end, end or loaded)


def until_served(folder: Any, home: Path, how: Any, say: Callable[[str], None]) -> int:
    """Serve a cascade until it listens."""
    listening = threading.Event()

    def then_end(line: str) -> None:
        say(line)
        if line.startswith("serving "):
            listening.set()

    return serve_cascade(folder, home, how, then_end, listening)


TRAINING = ("train", "sweep")
"""Commands that are run as far as to the start of their runs; tests/journeys/test_command.py trains one. Servers load their
models, listen, and end there."""


def is_run(words: list[str]) -> bool:
    return not any(fnmatch(" ".join(words), pattern) for pattern in NOT_RUN)


def answers(home: Path) -> None:
    """Answers that somebody collected by serving, and a dataset to add to."""
    assert run(["data", "add", "faq.csv", "--name", "prices"]) == 0
    with Feedback(home) as opened:
        for number in range(1, 18):
            asked, said = (chat_message("user", f"How much is table {number}?"),), chat_message("assistant", "I do not know.")
            opened.add(CollectedAnswer(key=f"chatcmpl-{number}", origin="served", model="bot", messages=asked, answer=said))


@pytest.fixture(scope="module")
def reader(teacher: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    add_tokens(make_model(folder / "the-model"), 400)
    (folder / "manuals").mkdir()
    for page in sorted((ROOT / "datasets" / "handbook").glob("*.md"))[:4]:
        shutil.copy(page, folder / "manuals")
    for page, name, file in (
        ("README.md", "my-bot", "my-bot"),
        ("docs/making.md", "handbook", "handbook"),
        ("docs/making.md", "Manuals", "recipe"),
    ):
        (spec,) = [text for text in blocks(ROOT / page, "yaml") if f"name: {name}\n" in text]
        (folder / f"{file}.yaml").write_text(spec.replace(LARGE, teacher))
    general = (ROOT / "datasets" / "general.jsonl").read_text().splitlines(keepends=True)
    questions = list({json.loads(line)["question"].lower(): line for line in general}.values())
    for number, name in enumerate(("calibration", "fresh", "test", "test-fresh")):
        (folder / f"{name}.jsonl").write_text("".join(questions[number * 4 : number * 4 + 4]))
    for name in ("other", "test-other"):
        (folder / f"{name}.txt").write_text(f"What does the {name} gadget cost?\n")
    return folder


@pytest.fixture(scope="module")
def teacher() -> Iterator[str]:
    """The address of a model that stands in for the one behind an API."""
    with canned.serve() as url:
        yield url


@pytest.mark.parametrize("document", [page for page in PAGES if commands(page)], ids=lambda file: file.name)
def test_every_shown_command_works_as_it_stands(
    document: Path,
    reader: Path,
    teacher: str,
    finished: dict[str, Any],
    shared_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / ".studio"
    shutil.copytree(shared_home / "runs" / finished["id"], home / "runs" / finished["id"])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(reader)
    monkeypatch.setenv("STUDIO_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.stdin", io.StringIO("How much is the Juniper mirror?\n"))  # and then the end, as Ctrl-D
    for module in ("known", "making"):
        monkeypatch.setattr(f"studio.export.toolchains.{module}.root", lambda: tmp_path / "exporters")
    monkeypatch.setattr(lifecycle, "launch", lambda folder, environment=None: Status(state="done").write(folder.status))
    monkeypatch.setattr("studio.runs.supervisor.ensure", lambda root: None)
    monkeypatch.setattr("studio.http.server.listen", lambda host, port: listen(host, 0))  # another server may have the port
    monkeypatch.setattr(server, "serve", until_ready)
    monkeypatch.setattr(cascades, "serve", until_served)
    if any(words[:1] == ["feedback"] for words in commands(document)):
        answers(home)
    for words in commands(document):
        if is_run(words):
            code = run([os.path.expanduser(word.replace(LARGE, teacher)) for word in words])  # as a shell does
            said = capsys.readouterr()
            assert code in EXIT_CODES.get(words[0], {0}), f"studio {' '.join(words)}\n{said.err}{said.out}"
        if words[0] in TRAINING:
            started = [item for item in (home / "runs").iterdir() if item.name != finished["id"]]
            assert started, words
            for item in started:
                shutil.rmtree(item)


def test_what_is_not_run_is_shown_and_run_by_the_test_that_is_named() -> None:
    shown = [" ".join(words) for page in PAGES for words in commands(page)]
    for pattern, (_, file) in NOT_RUN.items():
        assert any(fnmatch(text, pattern) for text in shown), pattern
        verb = [word for word in pattern.replace("*", "").split() if word in ("calibrate", "report", "plan", "run", "install")]
        word = (verb or [pattern.replace("*", "").split()[0]])[0]
        assert re.search(rf'"{word}"|\.{word}\(', (ROOT / file).read_text()), (pattern, file)
