"""What W&B is sent of a GPU, by its client's own monitor on a stand-in for the driver's library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tracking.conftest import Server

PROGRAM = """
import sys
from pathlib import Path
from studio.tracking.reporter import Silent
from studio.tracking.settings import Tracking
from studio.tracking.wandb import open_sink

sink = open_sink(Tracking(wandb="online"), "bot-1", "bot", Path(sys.argv[1]), {}, Silent())
assert sink is not None and sink.online
sink.log(1, {"loss": 1.0})
sys.stdin.read()  # until the test has seen enough
sink.finish()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler for the stand-in of the driver")
def test_the_use_of_a_gpu_is_sent_with_memory_temperature_and_power(tmp_path: Path, server: Server) -> None:
    driver = tmp_path / "driver"
    driver.mkdir()
    source = Path(__file__).with_name("driver.c")
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", driver / "libnvidia-ml.so.1", source], check=True, timeout=120)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        "LD_LIBRARY_PATH": str(driver), "WANDB_API_KEY": "c0ffee" * 6 + "abcd",
        "WANDB_BASE_URL": server.address, "WANDB__STATS_SAMPLING_INTERVAL": "0.2",
    }  # fmt: skip
    for attempt in range(2):  # the client gives its monitor a few seconds to come up, and does without it then
        if lines := _sent(server, tmp_path / f"run-{attempt}", environment):
            break
    else:
        pytest.skip("the monitor of W&B's client does not come up on this machine")
    sent = lines[0]
    assert sent["system.gpu.0.gpu"] == 87
    assert sent["system.gpu.0.memory"] == 41
    assert sent["system.gpu.0.temp"] == 63
    assert sent["system.gpu.0.powerWatts"] == 310
    assert round(sent["system.gpu.0.powerPercent"]) == 69


def _sent(server: Server, folder: Path, environment: dict[str, str]) -> list[dict[str, float]]:
    """The lines with GPU metrics that a run sent within 30 seconds; none, if its client goes without its monitor."""
    folder.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    program = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2])
    end = time.monotonic() + 30
    lines: list[dict[str, float]] = []
    while not lines and time.monotonic() < end:
        assert program.poll() is None, "the program has ended"
        time.sleep(0.1)
        lines = [line for line in server.system() if "system.gpu.0.gpu" in line]
    program.communicate(timeout=90)
    assert program.returncode == 0
    return lines
