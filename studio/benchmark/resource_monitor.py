"""What a server takes while it is asked: memory of its process tree, memory and energy of the graphics cards.

NVML counts energy in the card itself (Volta and later); older cards tell their power, which is summed up here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Any, Self

import psutil

from studio.hardware.machine import nvml

EVERY = 0.2
"""Seconds between two looks."""


class ResourceMonitor:
    """Looks at a process and its children until it is left. Peaks in bytes; 0 where nothing was seen."""

    def __init__(self, pid: int) -> None:
        self.memory = self.gpu_memory = 0
        self._root, self._ended = pid, threading.Event()
        self._joules: float | None = None
        self._looked = 0.0
        self._counters: dict[int, float] = {}
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(5)

    def joules(self) -> float | None:
        """Energy of the cards this process computes on, since the first look; None where no card tells any."""
        return self._joules

    def _follow(self) -> None:
        with nvml() as driver:
            while True:
                with contextlib.suppress(psutil.Error):
                    pids = self._look_at_memory()
                    if driver is not None:
                        self._look_at_cards(driver, pids)
                if self._ended.wait(EVERY):
                    return

    def _look_at_memory(self) -> set[int]:
        root = psutil.Process(self._root)
        tree = [root, *root.children(recursive=True)]
        held = 0
        for process in tree:
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
        self.memory = max(self.memory, held, _high_water(self._root) if len(tree) == 1 else 0)
        return {process.pid for process in tree}

    def _look_at_cards(self, driver: Any, pids: set[int]) -> None:
        now, held = time.monotonic(), 0
        since, self._looked = now - (self._looked or now), now
        for index in range(driver.nvmlDeviceGetCount()):
            with contextlib.suppress(driver.NVMLError):
                card = driver.nvmlDeviceGetHandleByIndex(index)
                # a container sees the pids of its host there: one that exists nowhere here can only be ours
                using = driver.nvmlDeviceGetComputeRunningProcesses(card)
                mine = [item for item in using if item.pid in pids or not psutil.pid_exists(item.pid)]
                if not mine:
                    continue
                held += sum(int(item.usedGpuMemory or 0) for item in mine)
                spent = self._spent(driver, card, index, since)
                self._joules = (self._joules or 0.0) + spent
        self.gpu_memory = max(self.gpu_memory, held)

    def _spent(self, driver: Any, card: Any, index: int, seconds: float) -> float:
        """Joules of a card since the last look."""
        try:
            counted = driver.nvmlDeviceGetTotalEnergyConsumption(card) / 1000
        except driver.NVMLError:
            return driver.nvmlDeviceGetPowerUsage(card) / 1000 * seconds
        before = self._counters.get(index, counted)
        self._counters[index] = counted
        return counted - before


def _high_water(pid: int) -> int:
    """The kernel's own peak of a process's resident memory, so that no short peak is missed; 0 where it tells none."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0
