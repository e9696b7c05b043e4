"""Collecting served answers, where whoever serves turned it on: off the event loop, and never at the cost of an answer."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import DataError, StudioError
from studio.core.messages import ChatMessage, Tool
from studio.data.curation.masking import Tokens
from studio.feedback.records import CollectedAnswer, Opinion
from studio.feedback.store import Feedback
from studio.serving.errors import ApiError, bad

log = logging.getLogger("studio.serve")
WAITING = 1000
"""Most answers that wait to be written; further ones are not collected."""
RECENT = 2000
"""Answers whose masked values are remembered, in memory only, so that a correction gets the same tokens."""


@dataclass(frozen=True)
class Origin:
    """What is noted of a served model's answers."""

    run: str = ""
    regions: tuple[str, ...] = ()
    index: str = ""


class Collector:
    """Writes answers and what clients say of them into a home's feedback, one after the other, in a thread of its own."""

    def __init__(self, home: Path, origins: Mapping[str, Origin]) -> None:
        """origins: by the name under which a model is served. Raises StudioError if the feedback cannot be opened."""
        self._feedback, self._origins = Feedback(home), dict(origins)
        self._thread = ThreadPoolExecutor(1, "collect")
        self._tokens: OrderedDict[str, Tokens] = OrderedDict()
        self._lock, self._waiting = threading.Lock(), 0

    def collect(
        self,
        key: str,
        model: str,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        answer: ChatMessage,
    ) -> None:
        """Keep an answer; returns at once. One that cannot be written is said so in the log."""
        origin = self._origins.get(model, Origin())
        item = CollectedAnswer(
            key=key, origin="served", model=model, messages=tuple(messages), tools=tuple(tools),
            answer=answer, run=origin.run, side="tuned" if origin.run else "", index=origin.index,
        )  # fmt: skip
        with self._lock:
            if self._waiting >= WAITING:
                log.warning("an answer was not collected: %s wait to be written", WAITING)
                return
            self._waiting += 1
        self._thread.submit(self._write, item, origin.regions)

    def _write(self, item: CollectedAnswer, regions: Sequence[str]) -> None:
        try:
            tokens: Tokens = {}
            self._feedback.add(item, regions, tokens)
            self._tokens[item.key] = tokens
            while len(self._tokens) > RECENT:
                self._tokens.popitem(last=False)
        except Exception as error:  # whatever it is, an answer was given: the next one may be kept
            log.warning("an answer was not collected: %s", error)
        finally:
            with self._lock:
                self._waiting -= 1

    async def say(self, body: object) -> dict[str, Any]:
        """Keep what a client says of an answer: `{"id", "rating", "correction", "flag"}`. Raises ApiError."""
        key, opinion = _read(body)

        def write() -> CollectedAnswer:
            before = self._feedback.get(key)
            return self._feedback.say(
                key, opinion, "", self._origins.get(before.model, Origin()).regions, self._tokens.get(key)
            )

        try:
            item = await asyncio.get_running_loop().run_in_executor(self._thread, write)
        except DataError as error:
            if error.message.startswith("there is no"):
                raise ApiError(404, f"there is no collected answer `{key}`", param="id", code="answer_not_found") from None
            raise bad(f"{error.message}. {error.hint}", error.where) from None
        except StudioError as error:
            raise ApiError(503, error.message, code="feedback_failed") from None
        said = {name: getattr(item, name) or None for name in ("rating", "correction", "flag")}
        return {"object": "feedback", "id": key, **said}

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._thread.shutdown(wait=True)
        self._feedback.close()


def _read(body: object) -> tuple[str, Opinion]:
    if not isinstance(body, dict):
        raise bad("the body must be a JSON object")
    unknown = sorted(set(body) - {"id", "choice", "rating", "correction", "flag"})
    if unknown:
        raise bad(f"`{unknown[0]}` is not a parameter here", unknown[0], "unknown_parameter")
    name, choice = body.get("id"), body.get("choice") or 0
    if not isinstance(name, str) or not name.startswith("chatcmpl-"):
        raise bad("`id` is the id of a chat completion: chatcmpl-...", "id")
    if not isinstance(choice, int) or isinstance(choice, bool) or choice < 0:
        raise bad("`choice` is the index of a choice", "choice")
    if body.get("rating") not in (None, "", "good", "bad"):
        raise bad(f"`rating` expected good or bad, got {str(body['rating'])[:40]!r}", "rating")
    for field in ("correction", "flag"):
        if not isinstance(body.get(field), str | None):
            raise bad(f"`{field}` expected a text", field)
    opinion = {field: body.get(field) for field in ("rating", "correction", "flag")}
    return key_of(name, choice), Opinion.model_validate(opinion)


def key_of(name: str, choice: int) -> str:
    """What a choice of a response is kept under."""
    return f"{name}:{choice}" if choice else name
