"""All tests in parts, three at a time: `python -m tests.parallel [OPTION...]`.

A part is a process of its own; what takes longest begins first, and whenever one has ended the next begins. Browsers and whole
commands wait often, so three parts keep two cores busy. Options go to pytest in each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOURNEYS = Path("tests/journeys")
LONG_JOURNEYS = ("test_notebooks.py", "test_real_model.py", "test_wandb.py")
"""The journeys that are a part of their own, as one part with the others they would be the last to end."""
PATHS = {
    "browsers": ("tests/ui",),
    "notebooks": tuple(str(JOURNEYS / name) for name in LONG_JOURNEYS),
    "whole commands": tuple(str(file) for file in sorted(JOURNEYS.glob("test_*.py")) if file.name not in LONG_JOURNEYS),
    "training": ("tests/training", "tests/models", "tests/gpu"),
    "export": ("tests/export", "tests/serving", "tests/benchmark"),
}
"""The parts that are named, in the order they begin in; all other tests are the last part."""
AT_ONCE = 3
ALWAYS = ("-p", "no:cacheprovider", "--durations=12")
NO_TESTS = 5
"""pytest's exit code where the options leave no test to run."""


def parts() -> dict[str, list[str]]:
    """Each part, and what pytest is asked for it."""
    others = [f"--ignore={path}" for paths in PATHS.values() for path in paths]
    return {**{name: list(paths) for name, paths in PATHS.items()}, "all others": others}


def main(options: list[str]) -> int:
    """Run all parts, print the report of each when it has ended; the exit code of the first that failed."""
    waiting = parts()
    running: dict[str, subprocess.Popen[bytes]] = {}
    codes: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    name = next(iter(waiting))
                    command = [sys.executable, "-m", "pytest", *ALWAYS, *options, *waiting.pop(name)]
                    with (Path(folder) / name).open("wb") as report:
                        running[name] = subprocess.Popen(command, stdout=report, stderr=subprocess.STDOUT)
                    print(f"== {name}: begun", flush=True)
                time.sleep(0.5)
                for name in [name for name, process in running.items() if process.poll() is not None]:
                    codes.append(running.pop(name).returncode)
                    print(f"== {name}", flush=True)
                    sys.stdout.buffer.write((Path(folder) / name).read_bytes())
                    sys.stdout.flush()
        finally:
            for process in running.values():
                process.terminate()
                process.wait()
    return next((code for code in codes if code not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
