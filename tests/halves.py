"""All tests in two processes side by side, which takes half the time on two cores: `python -m tests.halves [OPTION...]`.

One half drives browsers and whole commands, and mostly waits; the other one computes. Options go to pytest in both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

WAITING = ("tests/ui", "tests/journeys")
"""The folders of the half that waits; the other half is everything else."""
NO_TESTS = 5
"""pytest's exit code where the options leave no test to run."""


def main(options: list[str]) -> int:
    """Run both halves; the exit code of the first that failed. The second half's report follows the first's."""
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    with tempfile.TemporaryFile() as report:
        waiting = subprocess.Popen([*pytest, *WAITING], stdout=report, stderr=subprocess.STDOUT)
        try:
            computing = subprocess.run([*pytest, *(f"--ignore={folder}" for folder in WAITING)], check=False).returncode
            ended = waiting.wait()
        except BaseException:
            waiting.terminate()
            waiting.wait()
            raise
        report.seek(0)
        print(f"== {' '.join(WAITING)}", flush=True)
        sys.stdout.buffer.write(report.read())
        sys.stdout.flush()
    return next((code for code in (computing, ended) if code not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
