"""One variant of a training benchmark, measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from kit.machine import ONE_THREAD


def measured(name: str, command: list[str], turn: int) -> dict[str, Any]:
    """What the child process prints on its last line, with one thread, which is also shown. turn: 0 is the first round."""
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    rate, peak = result["tokens_per_cpu_second"], result["peak_mib"]
    print(f"round {turn + 1}  {name:28} {rate:7.0f} tokens per CPU second  {peak:6.0f} MiB", flush=True)
    return result
