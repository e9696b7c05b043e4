"""Events: whoever writes one and whoever reads one use the same class, and every kind has its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from studio.app.fragments.runs import story
from studio.app.runs import Run
from studio.cli import follow
from studio.core import events
from studio.core.messages import chat_message
from studio.core.records import ErrorRecord
from studio.data.encode import encode_file
from studio.data.rows import Conversation
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.spec import parse
from tests.data.templates import tokenizer

ONE_OF_EACH: list[Any] = [
    events.Created(name="bot"),
    events.Queued(position=2, who="ann"),
    events.Resumed(before="stopped"),
    events.Stage(stage="training"),
    events.StageDone(stage="training", seconds=2.0, cpu_seconds=1.0),
    events.DataReady(message="9 of 10 rows usable"),
    events.Decision(field="adapter.rank", value=16, reason="small data"),
    events.Warning(message="a warning", hint="what to do"),
    events.Note(message="a note"),
    events.Waiting(message="waiting for cuda"),
    events.CheckpointLoaded(step=4),
    events.CheckpointSaved(step=8),
    events.BestLoss(step=8, eval_loss=0.25),
    events.EarlyStop(step=12, best_step=8),
    events.Trained(steps=12, epochs=1.0, best_step=8, kept_step=8, best_loss=0.25, seconds=3.0, tokens=99, peak_memory_bytes=9),
    events.Tracking(mode="offline", upload="wandb sync x"),
    events.Verdict(text="Better: 9 of 10", verdict="better"),
    events.Exported(folder="gguf-q8_0", bytes=1 << 20, status="verified", checks={"perplexity": 1.0}, serve=("llama-server",)),
    events.Ended(state="failed", error=ErrorRecord(kind="DataError", message="no rows", hint="add some", where="a.csv")),
    events.Unreadable(line="{half a line"),
]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return folders.create(parse({"name": "bot", "data": {"train": "x.csv"}}), tmp_path)


def test_the_list_above_has_every_kind() -> None:
    union = get_args(get_args(events.Event)[0])
    assert {type(event) for event in ONE_OF_EACH} == set(union)


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.kind)
def test_every_kind_comes_back_equal_has_words_and_is_shown_by_every_reader(
    event: Any, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.event(event)
    again = list(folder.read_events())[-1]
    assert again == event.model_copy(update={"time": again.time})
    assert len(str(event)) > 3
    follow._Bar(Run(folder)).tell(again)
    page = story([again])
    if not isinstance(event, events.Decision):  # decisions have a table of their own
        assert "Nothing happened" not in page
    json.loads(folder.events.read_text().splitlines()[-1])


@pytest.mark.parametrize(
    "line",
    [
        b"{half a line\n",
        b"\xff\xfe\n",
        b"[1, 2]\n",
        b"null\n",
        b'{"time": 5.0, "kind": "holiday", "where": "beach"}\n',
        b'{"time": 5.0, "kind": "checkpoint", "step": "soon"}\n',
        b'{"time": 5.0, "step": 3}\n',
    ],
)
def test_a_damaged_or_unknown_line_is_shown_as_one_and_the_others_are_read(line: bytes, folder: RunFolder) -> None:
    with open(folder.events, "ab") as out:
        out.write(line)
    folder.event(events.Note(message="afterwards"))
    first, middle, last = folder.read_events()
    assert (first.kind, middle.kind, last.kind) == ("created", "unreadable", "note")
    assert "cannot read" in story([middle])


def test_a_story_written_before_events_were_typed_is_read(folder: RunFolder) -> None:
    lines = [
        {"time": 1.0, "kind": "warning", "text": "2 rows could not be encoded and are left out"},
        {"time": 1.0, "kind": "warning", "message": "over-long", "rows": [{"file": "a", "line": 2, "tokens": 9}]},
        {"time": 2.0, "kind": "tracking", "mode": "online", "url": "https://wandb.ai/x"},
        {"time": 3.0, "kind": "exported", "target": "gguf", "folder": "gguf", "path": "/x", "bytes": 3, "status": "verified",
         "note": "", "checks": {"perplexity": 1.5}, "serve": ["llama-server"]},
        {"time": 4.0, "kind": "ended", "state": "failed",
         "error": {"kind": "Fault", "message": "m", "hint": "h", "where": "w"}},
    ]  # fmt: skip
    folder.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    read = list(folder.read_events())
    assert "unreadable" not in {event.kind for event in read}
    assert str(read[0]) == "2 rows could not be encoded and are left out"


def test_rows_that_cannot_be_encoded_are_warned_of_in_the_terminal_and_on_the_page(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user, assistant = chat_message("user", "what"), chat_message("assistant", "price")
    rows = [
        Conversation(messages=(user, assistant), file="faq.jsonl", line=1),
        Conversation(messages=(chat_message("system", "be kind"), user, assistant), file="faq.jsonl", line=2),
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row.as_dict()) + "\n" for row in rows))
    encode_file(file, tokenizer("gemma"), "assistant", tmp_path / "train.tokens", reporter=Recorder(folder))
    Recorder(folder).end("done")
    says = "1 row left out because encoding failed; the first: faq.jsonl, line 2"
    assert says in story(Run(folder).events)
    assert follow.follow(Run(folder), json=True) == 0
    assert says in " ".join(capsys.readouterr().err.split())
    assert follow.follow(Run(folder)) == 0
    assert says in " ".join(capsys.readouterr().out.split())
