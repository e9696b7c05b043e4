"""CPU seconds from the command to a finished plan of an 8B model, nothing downloaded; and how far published peaks are met."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
ROUNDS = 3
CARDS = ("RTX 3060", "RTX 4090", "H200")


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of a child."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE.parent)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def accuracy() -> dict[str, dict[str, float]]:
    """Relative errors of the memory model on tests/hardware/published.json, by source."""
    from tests.hardware.test_published import TABLE, errors

    found = {}
    for source in (None, *TABLE["sources"]):
        values = errors(source)
        found[source or "all"] = {
            "rows": len(values),
            "median_absolute_error": round(statistics.median(map(abs, values)), 4),
            "under_by_more_than_a_tenth": round(sum(value < -0.1 for value in values) / len(values), 4),
            "least": round(min(values), 4),
            "most": round(max(values), 4),
        }
    return found


def main() -> None:
    """Measure in turn, print and keep."""
    figures: dict[str, list[float]] = {name: [] for name in CARDS}
    for _ in range(ROUNDS):
        for name in CARDS:
            command = [sys.executable, "-m", "studio", "plan", "configs/qwen3-8b.yaml", "--gpu", name, "--json"]
            figures[name].append(round(cpu_seconds(command), 3))
    result = {
        "bench": "plan",
        "date": time.strftime("%Y-%m-%d"),
        "what": "CPU seconds of `studio plan configs/qwen3-8b.yaml --gpu NAME`, a process each, interleaved",
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": [round(part, 1) for part in os.getloadavg()],
        "median": {name: statistics.median(values) for name, values in figures.items()},
        "all": figures,
        "published_peaks": accuracy(),
    }
    out = HERE / "results" / "plan.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result["median"].items():
        print(f"plan of an 8B model on an {name:<10} {value:.2f} CPU s")
    whole = result["published_peaks"]["all"]
    print(f"{whole['rows']} published peaks: median error {whole['median_absolute_error']:.1%}")


if __name__ == "__main__":
    main()
