"""The one chat process of a server: started when a question comes, ended when nobody asks or a run wants the device."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

from studio.app import runs
from studio.core.errors import HardwareError, JobError, ModelError, StudioError, error_from
from studio.core.messages import ChatMessage
from studio.core.text import shorten
from studio.processes import command, spawn
from studio.processes.channel import Channel

IDLE = 300.0
"""Seconds without a question after which the model is unloaded."""


class Sampling(TypedDict):
    """How an answer is sampled. max_tokens: its greatest length."""

    temperature: float
    top_p: float
    max_tokens: int


class ChatHost:
    """Keeps at most one model loaded, in a process of its own."""

    def __init__(self, home: Path, idle: float = IDLE) -> None:
        self.home, self.idle = home, idle
        self._channel: Channel | None = None
        self.citations: list[dict[str, Any]] = []
        self._loaded = ""
        self._used = 0.0
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="studio-chat-")
        threading.Thread(target=self._watch, daemon=True, name="chat-watch").start()

    @property
    def loaded(self) -> str:
        """What is loaded: a run's id or a model's name; empty if nothing is."""
        return self._loaded if self._channel and self._channel.alive else ""

    def ask(
        self,
        what: str,
        is_run: bool,
        messages: list[ChatMessage],
        tuned: bool,
        sampling: Sampling,
        index: str = "",
    ) -> Iterator[str]:
        """Stream an answer; loads the model first if it is not there. One question at a time. index: answer from its passages;
        `citations` are then those of this answer.

        Raises StudioError if the model cannot be loaded, or while a run has the only GPU.
        """
        self._refuse_while_busy()
        with self._lock:
            channel = self._ready(what, is_run)
            self._used = time.monotonic()
            finished = False
            try:
                channel.send({"messages": messages, "tuned": tuned, "sampling": sampling, "index": index})
                self.citations = []
                while (answer := channel.receive()) is not None:
                    if "citations" in answer:
                        self.citations = answer["citations"]
                        continue
                    finished = "piece" not in answer
                    if "error" in answer:
                        raise error_from(answer["error"])
                    if finished:
                        return
                    self._used = time.monotonic()
                    yield answer["piece"]
                raise HardwareError("the chat's process ended", hint=_last_words(channel) or "Ask again to load it once more.")
            finally:
                if not finished:  # the page went away in mid-answer, or the process died: what is left in the pipe is nobody's
                    self._end()

    def close(self) -> None:
        """Unload the model."""
        with self._lock:
            self._end()

    def _ready(self, what: str, is_run: bool) -> Channel:
        if self._channel and self._channel.alive and self._loaded == what:
            return self._channel
        self._end()
        kind = "--run" if is_run else "--model"
        words = spawn.python("studio.app.chat_process", kind, what, "--home", str(self.home))
        channel = self._channel = Channel(words, Path(self._folder.name) / "log.txt", command.environment(self.home))
        self._loaded = what
        answer = channel.receive()
        if answer is not None and answer.get("ready"):
            return channel
        words = _last_words(channel)
        self._end()
        if answer is not None:
            raise error_from(answer["error"])
        raise ModelError("the model could not be loaded", hint=words or "See the terminal.", where=what)

    def _end(self) -> None:
        channel, self._channel, self._loaded = self._channel, None, ""
        if channel is not None:
            channel.close()

    def _refuse_while_busy(self) -> None:
        from studio.hardware import machine

        busy = self._busy()
        if busy and machine.probe().device == "cuda":
            raise JobError(
                f"the GPU is used by the run {busy}", hint="Chat is available again when it has ended.", where="Chat"
            )

    def _busy(self) -> str:
        return next((run.id for run in runs.list_runs(self.home) if run.status.active), "")

    def _watch(self) -> None:
        """Unload the model after a while without questions, and at once when a run needs the only GPU."""
        while True:
            time.sleep(5)
            if not self.loaded:
                continue
            try:
                idle = time.monotonic() - self._used > self.idle
                if not idle:
                    try:
                        self._refuse_while_busy()
                    except JobError:
                        idle = True
                if idle and self._lock.acquire(blocking=False):
                    try:
                        self._end()
                    finally:
                        self._lock.release()
            except (StudioError, OSError):
                continue


def _last_words(channel: Channel) -> str:
    lines = [line.strip() for line in channel.last_words()[-4000:].splitlines() if line.strip()]
    return shorten(lines[-1], 300) if lines else ""
