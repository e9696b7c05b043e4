"""The `studio` command and the processes of its runs as forks of one process, which has imported the heavy libraries once.

The code is the product's own, and so is its tree of processes: command, monitor, worker. Only `exec` and the imports are
saved, ten seconds of thirteen. `python -m tests.campaign.forked` answers lines of JSON, a command's words each.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from studio import worker
from studio.cli import main as command
from studio.models import libraries
from studio.processes import spawn
from studio.runs import monitor
from studio.runs.folder import RunFolder


class Forked:
    """The process that forks, and its answers."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.forked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, text=True,
        )  # fmt: skip

    def studio(self, *words: str) -> tuple[int, str]:
        """Run a command: its exit code (negative: the signal that ended it), and what it said on standard error."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(words), file=self._process.stdin, flush=True)
        code, said = json.loads(self._process.stdout.readline())
        return code, said

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._log.close()


def main() -> int:
    """Answer until standard input ends."""
    worker.set_environment()
    libraries.import_heavy()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    importing, known = set[str](), set[str]()
    for line in sys.stdin:
        gc.freeze()  # a child's collector does not look at what is imported: that would copy all of its pages
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile("w+") as imported:
            child = _fork(partial(_command, json.loads(line), errors.fileno(), imported.fileno()))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            errors.seek(0)
            print(json.dumps((code, errors.read().decode("utf-8", "replace"))), file=answers, flush=True)
            imported.seek(0)
            importing = set(imported.read().split())
        for name in importing - known:  # what this command's processes imported, the next ones have
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        known |= importing
    return 0


def _fork(run: Callable[[], int]) -> int:
    """Run something in a child, and end the child with what it gives; the child's process number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = run()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _command(words: list[str], errors: int, imported: int) -> int:
    os.dup2(errors, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    starts = SimpleNamespace(Popen=_Started(imported), DEVNULL=subprocess.DEVNULL)
    with patch.object(spawn, "subprocess", starts):
        return command.run(words)


class _Started:
    """Stands for `subprocess.Popen` where a run's monitor and worker are started."""

    def __init__(self, imported: int) -> None:
        self._imported = imported

    def __call__(self, words: Sequence[str], **settings: Any) -> Any:
        module, folder = words[3], RunFolder(Path(words[4]))
        assert module == "studio.runs.monitor", words
        child = _fork(lambda: self._monitor(folder, int(words[5]), settings))
        return _Child(child)

    def _monitor(self, folder: RunFolder, lock: int, settings: dict[str, Any]) -> int:
        os.setsid()
        os.dup2(settings["stdout"].fileno(), 1)
        os.dup2(settings["stderr"].fileno(), 2)
        os.chdir(settings["cwd"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        starts = SimpleNamespace(Popen=lambda words, **more: _Child(_fork(lambda: self._worker(folder))))
        with patch.object(monitor, "subprocess", starts):
            return monitor.main(folder.path, lock)

    def _worker(self, folder: RunFolder) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        code = worker.main(folder)
        os.write(self._imported, "\n".join(name for name in sys.modules if name.isidentifier() or "." in name).encode())
        return code


class _Child:
    """A child as `subprocess.Popen` gives it."""

    def __init__(self, pid: int) -> None:
        self.pid, self._code = pid, None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self) -> int:
        """Wait for it."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


if __name__ == "__main__":
    sys.exit(main())
