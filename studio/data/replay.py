"""Replay: general conversations mixed into training, so that a model keeps what it knew while it learns something else.

Those shipped with the studio ask other things than the general sets of the evaluation: the forgetting check stays a check.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import orjson

from studio.core.files import write_text
from studio.data import prepare
from studio.data.near import plain
from studio.data.rows import Conversation, shipped
from studio.data.settings import Data

BUILTIN = "builtin"
NAME = "replay.jsonl"
"""The general rows of a run, in its data folder."""
FILE = Path(__file__).with_name("replay.jsonl")


def builtin() -> list[Conversation]:
    """The conversations and texts shipped with the studio: short answers, sentences, forms, code, letters, five languages."""
    return shipped(FILE)


def write(
    out: Path,
    settings: Data,
    share: float,
    rows: int,
    seed: int,
    avoid: Iterable[Conversation] = (),
    characters: int | None = None,
) -> int:
    """Write so many general rows that they are `share` of `rows`, or as many as there are, into the file `out`.

    characters: of the training rows where they are documents of any length; the share is then one of characters.

    Each is taken at most once, drawn by the seed; none asks what a row of `avoid` asks. Returns how many were written. Raises
    DataError if the user's own file cannot be used.
    """
    found = builtin() if settings.replay_from == BUILTIN else prepare.load_questions(settings.replay_from, settings)
    avoided = {_question(row) for row in avoid}
    found = [row for row in found if _question(row) not in avoided]
    order = np.random.default_rng(seed).permutation(len(found))
    if characters is None:
        order = order[: round(share * rows)]
    else:
        before = np.cumsum([0, *(_size(found[int(index)]) for index in order)])[:-1]
        order = order[before < share * characters]
    places: list[int] = sorted(order.tolist())
    chosen = [found[index] for index in places]
    write_text(out, "".join(orjson.dumps(row.as_dict()).decode() + "\n" for row in chosen))
    return len(chosen)


def existing(data: Path) -> Path | None:
    """The general rows of a run in its data folder; None if there are none."""
    file = data / NAME
    return file if count(file) else None


def count(out: Path) -> int:
    """How many rows a file that `write` made has; 0 if there is none."""
    return out.read_bytes().count(b"\n") if out.exists() else 0


def _size(row: Conversation) -> int:
    return sum(len(str(turn.get("content") or "")) for turn in row.messages) or len(row.text)


def _question(row: Conversation) -> str:
    """What a row asks, without differences of case and marks."""
    return plain(" ".join(str(turn.get("content")) for turn in row.messages if turn["role"] == "user") or row.text)
