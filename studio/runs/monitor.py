"""The parent of a run's worker: waits for it and writes how it ended, so that even a kill -9 leaves its cause.

Run as `python -P -m studio.runs.monitor FOLDER LOCK`. It imports nothing but the standard library and takes almost no memory.
LOCK is the descriptor of the run's lock: this process and the worker hold it for as long as they live.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(folder: Path, lock: int) -> int:
    """Start the worker, wait, write exit.json (aside, then renamed). Returns the worker's exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)  # a handler, not SIG_IGN: that one the worker would inherit
    worker = subprocess.Popen([sys.executable, "-P", "-m", "studio.worker", str(folder)], pass_fds=(lock,))
    code = worker.wait()
    said = json.dumps({"code": code, "time": time.time(), "pid": worker.pid})
    for _ in range(2):
        with contextlib.suppress(OSError):  # of a folder that was removed, the lock tells enough
            aside = folder / ".exit.json"
            aside.write_text(said)
            os.replace(aside, folder / "exit.json")
            break
        with contextlib.suppress(OSError):  # on a full disk: what the run keeps for its last word
            (folder / ".reserve").unlink()
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
