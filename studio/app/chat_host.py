"""The one chat process of a server: started when a question comes, ended when nobody asks or a run wants the device."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.app import runs
from studio.core.errors import HardwareError, JobError, ModelError, StudioError, error_from

IDLE = 300.0
"""Seconds without a question after which the model is let go."""


class ChatHost:
    """Keeps at most one model loaded, in a process of its own."""

    def __init__(self, home: Path, idle: float = IDLE) -> None:
        self.home, self.idle = home, idle
        self._child: subprocess.Popen[str] | None = None
        self._held = ""
        self._used = 0.0
        self._lock = threading.Lock()
        self._errors: Any = None
        threading.Thread(target=self._watch, daemon=True, name="chat-watch").start()

    @property
    def held(self) -> str:
        """What is loaded: a run's id or a model's name; empty if nothing is."""
        return self._held if self._child and self._child.poll() is None else ""

    def ask(
        self, what: str, is_run: bool, messages: list[dict[str, Any]], tuned: bool, sampling: dict[str, Any]
    ) -> Iterator[str]:
        """Stream an answer; loads the model first if it is not there. One question at a time.

        Raises StudioError if the model cannot be loaded, or while a run has the only GPU.
        """
        self._refuse_while_busy()
        with self._lock:
            child = self._ready(what, is_run)
            assert child.stdin
            self._used = time.monotonic()
            finished = False
            try:
                child.stdin.write(json.dumps({"messages": messages, "tuned": tuned, "sampling": sampling}) + "\n")
                child.stdin.flush()
                for values in self._lines(child):
                    if "piece" in values:
                        self._used = time.monotonic()
                        yield values["piece"]
                    elif "error" in values:
                        finished = True
                        raise error_from(values["error"])
                    else:
                        finished = True
                        return
            except BrokenPipeError:
                pass
            finally:
                if not finished:  # the page went away in mid-answer, or the process died: what is left in the pipe is nobody's
                    self._end()
            raise HardwareError("the chat's process ended", hint=self._last_words() or "Ask again to load it once more.")

    def close(self) -> None:
        """Let the model go."""
        with self._lock:
            self._end()

    def _ready(self, what: str, is_run: bool) -> subprocess.Popen[str]:
        if self._child and self._child.poll() is None and self._held == what:
            return self._child
        self._end()
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives with the child
        kind = "--run" if is_run else "--model"
        self._child = subprocess.Popen(
            [sys.executable, "-m", "studio.app.chat_process", kind, what, "--home", str(self.home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8",
            env={**os.environ, "STUDIO_HOME": str(self.home)},
        )  # fmt: skip
        self._held = what
        for values in self._lines(self._child):
            if values.get("ready"):
                return self._child
            if "error" in values:
                self._end()
                raise error_from(values["error"])
        words = self._last_words()
        self._end()
        raise ModelError("the model could not be loaded", hint=words or "See the terminal.", where=what)

    def _lines(self, child: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        assert child.stdout
        for line in child.stdout:
            yield json.loads(line)

    def _end(self) -> None:
        child, self._child, self._held = self._child, None, ""
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._errors:
            self._errors.close()

    def _last_words(self) -> str:
        try:
            self._errors.seek(0)
            lines = [line.strip() for line in self._errors.read()[-4000:].splitlines() if line.strip()]
        except (OSError, ValueError, AttributeError):
            return ""
        return lines[-1][:300] if lines else ""

    def _refuse_while_busy(self) -> None:
        from studio.hardware import machine

        busy = self._busy()
        if busy and machine.probe().device == "cuda":
            raise JobError(
                f"the graphics card is used by the run {busy}", hint="Chat opens again when it has ended.", where="Chat"
            )

    def _busy(self) -> str:
        return next((run.id for run in runs.list_runs(self.home) if run.status.active), "")

    def _watch(self) -> None:
        """Let the model go after a while without questions, and at once when a run wants the only GPU."""
        while True:
            time.sleep(5)
            if not self.held:
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
