"""CPU seconds until the command, the import and the first help text are there, against importing TRL's trainer."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 5
CASES = {
    "import studio": "import studio; studio.RunSpec",
    "studio --help": "import sys; sys.argv = ['studio', '--help']; from studio.cli.main import main; main()",
    "import trl.SFTTrainer (peer)": "from trl import SFTTrainer",
}


def cpu_seconds(code: str) -> float:
    """User and system seconds of a child that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu_model() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    """Measure in turn, print and keep."""
    figures: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, code in CASES.items():
            figures[name].append(round(cpu_seconds(code), 3))
    result = {
        "what": "CPU seconds, one child process each, interleaved",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "median": {name: statistics.median(values) for name, values in figures.items()},
        "all": figures,
    }
    out = Path(__file__).parent / "results" / "startup.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result["median"].items():
        print(f"{name:<32} {value:.2f} s")


if __name__ == "__main__":
    main()
