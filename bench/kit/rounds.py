"""The variants of a training benchmark, each measured in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kit.machine import ONE_THREAD


def measured(name: str, command: list[str], turn: int, kept: Path | None = None) -> dict[str, Any]:
    """What the child process prints on its last line, with one thread, which is also shown. turn: 0 is the first round.

    kept: a folder of measurements; one that is there already is not made again.
    """
    file = kept / f"{turn + 1} {name}.json" if kept else None
    if file is not None and file.exists():
        return json.loads(file.read_text("utf-8"))
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    rate, peak = result["tokens_per_cpu_second"], result["peak_mib"]
    print(f"round {turn + 1}  {name:28} {rate:7.0f} tokens per CPU second  {peak:6.0f} MiB", flush=True)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result), "utf-8")
    return result


def all_measured(
    file: str, variants: Mapping[str, Mapping[str, Any]], sides: Mapping[str, Callable[..., dict[str, Any]]]
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The rounds asked for by `--rounds`, and what each variant gave in each; they take turns. file: the benchmark's own.
    With `--only`, only some variants. With `--kept FOLDER`, measurements that are there are not made again.

    variants: by name, its `side` and that side's settings; sides: what measures a variant in a folder. A process that is asked
    for one variant (`--child`) prints its result and ends here.
    """
    parser = argparse.ArgumentParser(description=f"python bench/{Path(file).name}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kept", type=Path, help="folder of single measurements; those that are there are not made again")
    parser.add_argument("--only", nargs="*", choices=list(variants), default=list(variants), metavar="VARIANT")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        settings = dict(variants[asked.child])
        run = sides[settings.pop("side")]
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run(Path(folder), **settings)))
        sys.exit()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in variants if name in asked.only}
    for turn in range(asked.rounds):
        for name in found:
            found[name].append(measured(name, [sys.executable, file, "--child", name], turn, asked.kept))
    return asked.rounds, found


def losses_apart(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
    """The losses of the first round side by side, their largest relative distance, and whether they are the same."""
    both = list(zip(one[0]["losses"], other[0]["losses"], strict=True))
    apart = max(abs(a - b) / max(abs(b), 1e-9) for a, b in both)
    return {"steps": both, "relative": apart, "equal": apart < 1e-3}
