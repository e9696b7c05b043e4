"""JSON lines between the studio and a process it drives: one message a line, either way.

The studio's side is `Channel`; in the child `messages` gives what was said and a `Voice` answers. What libraries
print in the child goes to its error output, never between the lines. The child ends when its input does, whatever ended it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.processes import system

Message = dict[str, Any]
"""A JSON object."""


class Channel:
    """A child process and the lines between it and this one."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it, in a session of its own; its error output goes to `log`. Raises OSError if it cannot be started."""
        system.require_linux()
        self.log = log
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        with open(log, "wb") as errors:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                env=dict(os.environ if environment is None else environment),
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True, name="channel")
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    def send(self, message: Message) -> None:
        """Send a message. A child that is gone is noticed when its answer is awaited."""
        pipe = self._child.stdin
        assert pipe
        with contextlib.suppress(OSError, ValueError):
            pipe.write(json.dumps(message, default=str).encode() + b"\n")
            pipe.flush()

    def receive(self, check: Callable[[], None] = lambda: None) -> Message | None:
        """The next message; None once the child has ended. check is called a few times a second and may raise."""
        while True:
            check()
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=0.2)
                if line is None:
                    self._lines.put(None)  # whoever asks again gets the same answer
                    return None
                return json.loads(line)

    def exit_code(self) -> int:
        """How it ended; negative is a signal. Waits for it."""
        return self._child.wait()

    def last_words(self) -> str:
        """What it wrote to its error output."""
        with contextlib.suppress(OSError):
            return self.log.read_text("utf-8", errors="replace")
        return ""

    def close(self, patience: float = 0.0, message: Message | None = None) -> None:
        """End it, with what it started: `message` first, the end of its input, and after `patience` seconds by force."""
        if message is not None:
            self.send(message)
        if patience:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._reader.join(timeout=5)
        for pipe in (self._child.stdin, self._child.stdout):
            with contextlib.suppress(OSError, ValueError):
                assert pipe
                pipe.close()

    def _read(self) -> None:
        assert self._child.stdout
        with contextlib.suppress(ValueError, OSError):
            for line in self._child.stdout:
                self._lines.put(line)
        self._lines.put(None)


class Voice:
    """The child's end: says a message to the studio, from any thread."""

    def __init__(self) -> None:
        """Take standard output for the messages; what is printed from here on goes to the error output."""
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._turn = threading.Lock()

    def say(self, **values: object) -> None:
        """One message."""
        line = json.dumps(values, default=plain, ensure_ascii=False)
        with self._turn, contextlib.suppress(BrokenPipeError):
            self._out.write(line + "\n")
            self._out.flush()


def messages(on_end: Callable[[], None] = lambda: None) -> Iterator[Message]:
    """The studio's messages, for as long as it lives.

    When the studio goes without a word this process and its children end at once, also in the middle of work: on_end is
    called first, then the whole group is killed.
    """
    waiting: queue.Queue[Message] = queue.Queue()
    threading.Thread(target=_listen, args=(waiting, on_end), daemon=True).start()
    return iter(waiting.get, None)


def _listen(waiting: queue.Queue[Message], on_end: Callable[[], None]) -> None:
    left = b""
    while data := os.read(0, 1 << 16):
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            waiting.put(json.loads(line))
    on_end()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def plain(value: Any) -> Any:
    """NumPy's figures and paths as JSON holds them."""
    return value.item() if hasattr(value, "item") else str(value)
