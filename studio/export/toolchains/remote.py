"""Driving an environment from the studio: one call, or a model that is opened there and asked.

The other side is `child.py`. It dies with this process whatever happens: it ends when its input does.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events
from studio.core.errors import ExportError, HardwareError, Stopped, StudioError, error_from
from studio.core.machine_errors import Fault, machine_fault
from studio.core.text import shorten
from studio.export.toolchains.known import python, variables
from studio.processes.channel import Channel
from studio.tracking.reporter import Reporter, Silent
from studio.tracking.secrets import redact

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 20
"""Seconds an environment may take to put its things away."""
AT_ONCE = 1
"""Likewise where what it does is not wanted any more: somebody who interrupted an export waits for it."""
FAILURE_LOGS = 5
"""Logs of failures that are kept of each exporter, in the temporary folder."""


def call(name: str, function: str, request: dict[str, Any], reporter: Reporter) -> Any:
    """Run `module:function` as `function(request, reporter)` in the environment `name`; what it returned.

    request and result are JSON values; large things go through files. Raises ExportError if the environment is not ready or
    the function fails, the StudioErrors raised in it, HardwareError if it was killed, Stopped if asked to stop meanwhile.
    """
    with Process(name, reporter) as process:
        return process.ask({"function": function, "request": request})


class Remote:
    """What `module:opener` opens in the environment `name` with `settings`, e.g. a runtime (`answers.Runtime`) by proxy."""

    def __init__(self, name: str, opener: str, settings: dict[str, Any], reporter: Reporter | None = None) -> None:
        self._process = Process(name, reporter or Silent())
        self._message = {"open": opener, "settings": settings}

    def __enter__(self) -> Remote:
        self._process.__enter__()
        try:
            self._process.ask(self._message)
        except BaseException:
            self._process.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.__exit__(*raised)

    @property
    def folder(self) -> Path:
        """A folder for what is handed over; it goes with the process, however that ends."""
        return self._process.folder

    def ask(self, method: str, *arguments: object) -> Any:
        """What a method of it returns: JSON values, or an array."""
        return self._process.ask({"method": method, "arguments": arguments})

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`; float32 [positions, vocabulary]."""
        return self.ask("logits", list(map(int, ids)), list(map(int, positions)))

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself."""
        said = self.ask("greedy", [list(map(int, prompt)) for prompt in prompts], longest)
        return [(list(ids), bool(ended)) for ids, ended in said]


class Process:
    """The process in an environment, and the requests to it."""

    def __init__(self, name: str, reporter: Reporter) -> None:
        self.name, self.reporter = name, reporter

    def __enter__(self) -> Process:
        program = python(self.name)
        self.folder = Path(tempfile.mkdtemp(prefix=f"studio-{self.name}-"))
        command = [str(program), "-P", "-m", "studio.export.toolchains.child", str(self.folder)]
        try:
            self.channel = Channel(command, self.folder / "log.txt", {**variables(), "PYTHONNOUSERSITE": "1"})
        except OSError as problem:
            self._remove_folder()
            anew = f"Make it anew: `studio exporters remove {self.name}`, then `studio exporters install {self.name}`."
            damaged = isinstance(problem, FileNotFoundError | PermissionError)
            raise ExportError(
                f"the exporter {self.name} cannot be started: {problem.strerror}",
                hint=anew if damaged else "The machine may be out of memory or of processes.",
                where=str(program),
            ) from None
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        self.channel.close(PATIENCE if kind is None else AT_ONCE, {"end": True})
        self._remove_folder()

    def _remove_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, message: dict[str, Any]) -> Any:
        """Send a request and wait for the answer. Asked to stop meanwhile, it ends the process and raises Stopped."""
        self.channel.send(message)
        while (answer := self.channel.receive(self._check)) is not None:
            match answer:
                case {"progress": [done, total, what]}:
                    self.reporter.progress(done, total, what)
                case {"event": event}:
                    self.reporter.event(events.parse(event))
                case {"array": file}:
                    return self._array(self.folder / file)
                case {"error": error}:
                    raise error_from(error)
                case {"fault": _}:
                    raise self._fault(**answer)
                case _:
                    return answer["result"]
        raise self._died()

    def _check(self) -> None:
        if self.reporter.should_stop():
            self.channel.close()
            raise Stopped

    def _array(self, file: Path) -> np.ndarray:
        import numpy as np

        array = np.load(file, allow_pickle=False)
        file.unlink()
        return array

    def _died(self) -> StudioError:
        code = self.channel.exit_code()
        if code == -signal.SIGKILL:
            return HardwareError(
                f"the exporter {self.name} was killed", hint="The machine may be out of memory.", where=self.name
            )
        return self._error(f"ended with code {code}")

    def _fault(self, fault: str, message: str, errno: int | None) -> Exception:
        error = OSError(errno, message) if errno else MemoryError(message) if fault == "MemoryError" else RuntimeError(message)
        cause = machine_fault(error)
        if cause is Fault.DISK_FULL:
            return error
        if cause is not None and cause.is_memory:
            return MemoryError(message)
        return self._error(f"failed: {fault}: {shorten(redact(message), 300)}")

    def _error(self, what: str) -> ExportError:
        """An error with the last words of its log, the whole of which is kept, as are those of the last few failures."""
        text = redact(self.channel.last_words())
        _remove_old_logs(self.name)
        with tempfile.NamedTemporaryFile("w", prefix=f"studio-{self.name}-", suffix=".txt", delete=False) as file:
            file.write(text)
            log = file.name
        last = [line.strip() for line in text.splitlines() if line.strip()][-3:]
        words = f" Its last words: {shorten(' / '.join(last), 400)}" if last else ""
        return ExportError(f"the exporter {self.name} {what}", hint=f"Its log: {log}.{words}", where=self.name)


def _remove_old_logs(name: str) -> None:
    """Remove all but the newest logs of earlier failures; another user's, and one that goes meanwhile, are left alone."""
    aged: list[tuple[float, Path]] = []
    for file in Path(tempfile.gettempdir()).glob(f"studio-{name}-*.txt"):
        with contextlib.suppress(OSError):
            aged.append((file.stat().st_mtime, file))
    for _, file in sorted(aged)[: 1 - FAILURE_LOGS]:
        with contextlib.suppress(OSError):
            file.unlink()
