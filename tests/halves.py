"""All tests in two processes side by side, which takes half the time on two cores: `python -m tests.halves [OPTION...]`.

One half drives browsers and whole commands, and mostly waits; the other one computes, the tests of a real model with it.
Options go to pytest in both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

COMPUTING = ("test_adapters.py", "test_real_model.py")
"""The journeys that go with the other half, so that both take about as long."""
WAITING = ("tests/ui", *sorted(str(file) for file in Path("tests/journeys").glob("test_*.py") if file.name not in COMPUTING))
"""The half that waits; the other half is everything else."""
NO_TESTS = 5
"""pytest's exit code where the options leave no test to run."""


def main(options: list[str]) -> int:
    """Run both halves; the exit code of the first that failed. The second half's report follows the first's."""
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    with tempfile.TemporaryFile() as report:
        waiting = subprocess.Popen([*pytest, *WAITING], stdout=report, stderr=subprocess.STDOUT)
        try:
            computing = subprocess.run([*pytest, *(f"--ignore={path}" for path in WAITING)], check=False).returncode
            ended = waiting.wait()
        except BaseException:
            waiting.terminate()
            waiting.wait()
            raise
        report.seek(0)
        print("== browsers and whole commands", flush=True)
        sys.stdout.buffer.write(report.read())
        sys.stdout.flush()
    return next((code for code in (computing, ended) if code not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
