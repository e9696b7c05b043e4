"""Inside an environment: does what it is told line by line, until told to end or left alone.

`python -m studio.export.toolchains.child FOLDER`. JSON lines in: {"function", "request"}, {"open", "settings"}, {"method",
"arguments"}, {"end"}. JSON lines out: {"progress"}, {"event"}, and for each line in one {"result"}, {"array"} (a .npy file in
FOLDER), {"error"} or {"fault"}. What libraries print goes to stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from studio.core.errors import StudioError

if TYPE_CHECKING:  # an isolated environment has no pydantic
    from studio.core.events import Event


class Teller:
    """The reporter of work in here: passes everything on. It is never asked to stop, it is ended."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._turn = out, threading.Lock()

    def say(self, **values: Any) -> None:
        """One line to the studio."""
        line = json.dumps(values, default=_plain)
        with self._turn:
            self._out.write(line + "\n")
            self._out.flush()

    def event(self, event: Event) -> None:
        """Passed on."""
        self.say(event=event.as_line())

    def metrics(self, step: int, **values: float) -> None:
        """Nothing is trained here."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Passed on."""
        self.say(progress=[done, total, what])

    def should_stop(self) -> bool:
        """Never."""
        return False


class Worker:
    """What is open in here, and how a message is answered."""

    def __init__(self, teller: Teller, folder: Path) -> None:
        self.teller, self.folder, self.stack = teller, folder, contextlib.ExitStack()
        self.opened: Any = None
        self.arrays = 0

    def do(self, message: dict[str, Any]) -> None:
        """Answer one message, with what it gives or with how it failed."""
        try:
            result = self._result(message)
            if type(result).__name__ == "ndarray":
                self.teller.say(array=self._save(result))
            else:
                self.teller.say(result=result)
        except StudioError as error:
            self.teller.say(error=error.as_dict())
        except Exception as error:
            traceback.print_exc()
            number = error.errno if isinstance(error, OSError) else None
            self.teller.say(fault=type(error).__name__, message=str(error), errno=number)

    def _result(self, message: dict[str, Any]) -> Any:
        match message:
            case {"function": name, "request": request}:
                return found(name)(request, self.teller)
            case {"open": name, "settings": settings}:
                self.opened = found(name)(settings)
                if hasattr(self.opened, "__enter__"):
                    self.opened = self.stack.enter_context(self.opened)
                return None
            case {"method": name, "arguments": arguments}:
                return getattr(self.opened, name)(*arguments)
        raise ValueError(f"a message that is not known: {sorted(message)}")

    def _save(self, array: Any) -> str:
        import numpy as np

        self.arrays += 1
        name = f"{self.arrays}.npy"
        np.save(self.folder / name, array, allow_pickle=False)
        return name


def found(name: str) -> Any:
    """The function `module:function`."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def main(folder: Path) -> None:
    """Work until told to end. If the studio goes without a word, this process and its children go too."""
    teller = Teller(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(messages, folder), daemon=True).start()
    worker = Worker(teller, folder)
    with worker.stack:
        while not (message := messages.get()).get("end"):
            worker.do(message)


def _listen(messages: queue.Queue[dict[str, Any]], folder: Path) -> None:
    left = b""
    while data := os.read(0, 1 << 16):
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            messages.put(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _plain(value: Any) -> Any:
    """NumPy's figures and paths as JSON holds them."""
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
