"""The rows of a run in its data folder: as conversations, and encoded."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events
from studio.core.text import count, plural
from studio.data import encode, prepare, replay
from studio.data.rows import Conversation
from studio.data.settings import ResolvedData
from studio.runs.folder import RunFolder
from studio.spec import RunSpec
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.models.tokens import Tokenizer


def encode_parts(
    data: Path, tokenizer: Tokenizer, spec: RunSpec, reporter: Reporter
) -> tuple[encode.Tokens, encode.Tokens | None]:
    """The training and held-out rows as tokens, kept beside them."""
    parts: list[Any] = []
    for name in ("train", "held-out"):
        file = data / f"{name}.jsonl"
        if file.exists() and file.stat().st_size:
            tokens, needs = data / f"{name}.tokens", spec.training.method.needs
            also = replay.existing(data) if name == "train" else None
            parts.append(
                encode.encode_file(file, tokenizer, spec.data.train_on, tokens, reporter=reporter, needs=needs, replay=also)
            )
        else:
            parts.append(None)
    return parts[0], parts[1]


def within_length(tokens: encode.Tokens, part: str, data: ResolvedData, reporter: Reporter) -> encode.Tokens:
    """The tokens with no row over data.max_length; a warning names those that are left out for it, and no others."""
    fitting = encode.limit(tokens, data.max_length, data.overlong)
    before, after = (item.meta["dropped"] for item in (tokens, fitting))  # the second begins with the rows of the first
    if left_out := after["count"] - before["count"]:
        message = f"{plural(left_out, f'{part} row')} left out: longer than {count(data.max_length)} tokens"
        reporter.event(events.Warning(message=message, rows=tuple(after["rows"][len(before["rows"]) :][:50])))
    return fitting


def held_out_rows(folder: RunFolder, most: int | None = None) -> list[Conversation]:
    """The run's held-out conversations, the first `most` of them."""
    return _rows(folder.data / "held-out.jsonl", most)


def training_rows(folder: RunFolder) -> list[Conversation]:
    """The run's training conversations, without the general ones that are mixed in."""
    return _rows(folder.data / "train.jsonl")


def _rows(file: Path, most: int | None = None) -> list[Conversation]:
    return list(islice(prepare.conversations(file), most)) if file.exists() else []
