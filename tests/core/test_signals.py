"""A command that is asked to end puts away what it has half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.core.signals import heard_as_interrupt

WORK = """
import signal, sys, time
from pathlib import Path
from studio.cli.progress import Progress
from studio.core.files import folder_aside

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # of tests that were begun by nohup it is ignored
with Progress(), folder_aside(Path(sys.argv[1]) / "merged-4bit") as aside:
    (aside / "model.safetensors").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_work_of_a_command_that_is_ended_leaves_no_folder_behind(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORK, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as work:
        assert work.stdout
        assert work.stdout.readline() == b"begun\n"
        assert len(list(tmp_path.iterdir())) == 1
        work.send_signal(number)
        assert work.wait(20) != 0
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_or_handled_already_stays_so() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with heard_as_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)


def test_afterwards_signals_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), heard_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
