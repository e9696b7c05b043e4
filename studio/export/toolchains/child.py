"""Inside an environment: answers requests line by line, until asked to end or its studio is gone.

`python -m studio.export.toolchains.child FOLDER`. JSON lines in: {"function", "request"}, {"open", "settings"}, {"method",
"arguments"}, {"end"}. JSON lines out: {"progress"}, {"event"}, and for each line in one {"result"}, {"array"} (a .npy file in
FOLDER), {"error"} or {"fault"}. What libraries print goes to stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError
from studio.processes.channel import Voice, messages

if TYPE_CHECKING:  # an isolated environment has no pydantic
    import numpy as np

    from studio.core.events import Event


class Relay:
    """The reporter of work in here: passes everything on to the studio. It is never asked to stop, it is ended."""

    def __init__(self, voice: Voice) -> None:
        self.say = voice.say

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

    def __init__(self, reporter: Relay, folder: Path) -> None:
        self.reporter, self.folder, self.stack = reporter, folder, contextlib.ExitStack()
        self.opened: Any = None
        self.arrays = 0

    def do(self, message: dict[str, Any]) -> None:
        """Answer one message, with what it gives or with how it failed."""
        try:
            result = self._result(message)
            if type(result).__name__ == "ndarray":
                self.reporter.say(array=self._save(result))
            else:
                self.reporter.say(result=result)
        except StudioError as error:
            self.reporter.say(error=error.as_dict())
        except Exception as error:
            traceback.print_exc()
            number = error.errno if isinstance(error, OSError) else None
            self.reporter.say(fault=type(error).__name__, message=str(error), errno=number)

    def _result(self, message: dict[str, Any]) -> Any:
        match message:
            case {"function": name, "request": request}:
                return resolve(name)(request, self.reporter)
            case {"open": name, "settings": settings}:
                self.opened = resolve(name)(settings)
                if hasattr(self.opened, "__enter__"):
                    self.opened = self.stack.enter_context(self.opened)
                return None
            case {"method": name, "arguments": arguments}:
                return getattr(self.opened, name)(*arguments)
        raise ValueError(f"a message that is not known: {sorted(message)}")

    def _save(self, array: np.ndarray) -> str:
        import numpy as np

        self.arrays += 1
        name = f"{self.arrays}.npy"
        np.save(self.folder / name, array, allow_pickle=False)
        return name


def resolve(name: str) -> Any:
    """The function `module:function`."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def main(folder: Path) -> None:
    """Answer until asked to end. If the studio goes without a word, this process and its children go too."""
    reporter = Relay(Voice())
    sys.stdout = sys.stderr
    worker = Worker(reporter, folder)
    requests = messages(on_end=lambda: shutil.rmtree(folder, ignore_errors=True))
    with worker.stack:
        for message in requests:
            if message.get("end"):
                break
            worker.do(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
