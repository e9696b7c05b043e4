"""The parent of a run's process: waits for it and writes how it ended, so that even a kill -9 leaves its cause.

Run as `python -m studio.runs.keeper FOLDER`. It imports nothing but the standard library and takes almost no memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(folder: Path) -> int:
    """Start the worker, wait, write exit.json (aside, then renamed). Returns the worker's exit code."""
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(asked, signal.SIG_IGN)
    worker = subprocess.Popen(
        [sys.executable, "-m", "studio.worker", str(folder)],
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (15, 2)],
    )
    code = worker.wait()
    aside = folder / ".exit.json"
    aside.write_text(json.dumps({"code": code, "time": time.time(), "pid": worker.pid}))
    os.replace(aside, folder / "exit.json")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
