"""Facts that stand beside every figure, and how figures of several rounds are told."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "WANDB_MODE": "offline",
}


def facts(*packages: str) -> dict[str, Any]:
    """Date, processor, load and versions."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def cpu() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def spread(values: Iterable[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest."""
    values = list(values)
    return {name: round(how(values), digits) for name, how in (("median", statistics.median), ("low", min), ("high", max))}


def ratio(ours: list[float], theirs: list[float], target: float | None = None) -> dict[str, Any]:
    """Ratios within the rounds, whose noise both sides share; met: whether their median reaches the target."""
    each = spread(a / b for a, b in zip(ours, theirs, strict=True))
    return {**each, "target": target, "met": each["median"] >= target} if target is not None else each


def keep(name: str, result: dict[str, Any]) -> None:
    """Write `results/NAME.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
