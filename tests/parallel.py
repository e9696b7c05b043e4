"""All tests in three processes side by side: `python -m tests.parallel [OPTION...]`.

One drives browsers and one whole commands, which both wait often; the third computes. Three keep two cores busy. Options go
to pytest in each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

COMPUTING_JOURNEYS = ("test_adapters.py", "test_real_model.py")
"""The journeys that go with what computes, so that the three take about as long."""
COMMANDS = tuple(str(file) for file in sorted(Path("tests/journeys").glob("test_*.py")) if file.name not in COMPUTING_JOURNEYS)
PARTS = {
    "what computes": tuple(f"--ignore={path}" for path in ("tests/ui", *COMMANDS)),
    "browsers": ("tests/ui",),
    "whole commands": COMMANDS,
}
"""Each part, and what pytest is asked for it."""
NO_TESTS = 5
"""pytest's exit code where the options leave no test to run."""


def main(options: list[str]) -> int:
    """Run all parts: the first prints as it goes, the others' reports follow it. The exit code of the first that failed."""
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / name for name in PARTS]
        try:
            for place, chosen in enumerate(PARTS.values()):
                command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *chosen]
                with reports[place].open("wb") as report:
                    started.append(subprocess.Popen(command, stdout=report if place else None, stderr=subprocess.STDOUT))
            codes = [process.wait() for process in started]
        finally:
            for process in started:
                process.terminate()
                process.wait()
        for name, report in list(zip(PARTS, reports, strict=True))[1:]:
            print(f"== {name}", flush=True)
            sys.stdout.buffer.write(report.read_bytes())
            sys.stdout.flush()
    return next((code for code in codes if code not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
