"""`python -m bench.first_card OUT [--pretend] [--parts a,b]`: all parts, one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studio.core.errors import StudioError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
PARTS = {
    "facts": 60,
    "kernels": 90,
    "product": 120,
    "memory": 120,
    "loader": 60,
    "speed": 180,
    "answers": 60,
    "old_gpu": 40,
}
"""The parts in order, and after how many seconds each is ended."""
TOTAL = 600
"""Seconds that all parts may take together; what is left over then is skipped, and said so."""


def main() -> int:
    """Run the parts, keep the report. Returns 0 if all passed, 1 if one failed, 2 if there is no GPU or it is in use."""
    words = argparse.ArgumentParser(prog="first_card.sh")
    words.add_argument("out", type=Path)
    words.add_argument("--pretend", action="store_true", help="without a GPU: tiny sizes on a pretended one")
    words.add_argument("--parts", default=",".join(PARTS), help="only these, with commas")
    words.add_argument(
        "--results", type=Path, help="where card-<name>.json is written: bench/results, and with --pretend OUT itself"
    )
    asked = words.parse_args()
    names = asked.parts.split(",")
    if unknown := set(names) - set(PARTS):
        words.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not asked.pretend and (why := _missing()):
        print(
            f"{why}\n→ Without a GPU, --pretend (or make card PRETEND=1) tries the same code; it gives no figures.",
            file=sys.stderr,
        )
        return 2
    try:
        with contextlib.nullcontext() if asked.pretend else _alone():
            return _measured(names, asked.out, asked.pretend, asked.results or (asked.out if asked.pretend else RESULTS))
    except StudioError as problem:
        print(f"{problem.message}\n→ {problem.hint}", file=sys.stderr)
        return 2


def _measured(names: list[str], out: Path, pretend: bool, results: Path) -> int:
    """Run the parts in order. The report is written however they end, of what was measured by then."""
    out.mkdir(parents=True, exist_ok=True)
    lines = out / "card.jsonl"
    lines.write_text("", encoding="utf-8")
    began, passed = time.monotonic(), list[bool]()
    try:
        for name in names:
            left = TOTAL - (time.monotonic() - began)
            outcome = run(name, out, min(PARTS[name] * (4 if pretend else 1), left), pretend)
            passed.append(outcome["passed"])
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"part": name, **outcome}) + "\n")
            word = "pass" if outcome["passed"] else "FAIL"
            print(f"{word}  {name:8} {outcome['seconds']:6.1f} s  {outcome['reason']}", flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(passed)} of {len(names)} parts", file=sys.stderr)
        return 130
    finally:
        report = summary(lines, pretend)
        file = results / f"card-{report['slug']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(f"written: {lines}, {file}")
    return 0 if all(passed) else 1


def command(name: str, out: Path, pretend: bool) -> list[str]:
    """What runs one part."""
    return [sys.executable, "-m", "bench.first_card.part", name, str(out), *(["--pretend"] if pretend else [])]


def run(name: str, out: Path, limit: float, pretend: bool) -> dict[str, Any]:
    """One part in a process group of its own, ended at its limit. What it measured is in card.jsonl already."""
    if limit < 5:
        return {"passed": False, "seconds": 0.0, "reason": "skipped: the ten minutes are over"}
    began, log = time.monotonic(), out / f"{name}.log"
    before = len(_lines(out))
    with log.open("w", encoding="utf-8") as file:
        child = subprocess.Popen(command(name, out, pretend), cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
        code: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(limit)
        finally:  # interrupted, too: nothing is left behind on the GPU
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    found = [line for line in _lines(out)[before:] if "check" in line]
    failed = [f"{line['check']}: {line['reason']}" for line in found if line["passed"] is False]
    if code is None:
        failed.append(f"not done after {limit:.0f} seconds")
    elif code != 0:
        last = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        failed.append(f"ended with exit code {code}: {last[-1][:200] if last else 'no output'}")
    elif not found:
        failed.append("nothing was checked")
    return {
        "passed": not failed,
        "seconds": round(time.monotonic() - began, 1),
        "reason": "; ".join(failed)[:1000] or f"{len(found)} checks",
    }


def summary(lines: Path, pretend: bool) -> dict[str, Any]:
    """Everything measured, with what it was measured on."""
    found = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    about = next((line["values"] for line in found if line.get("check") == "machine"), {})
    name = "pretend" if pretend else about.get("gpu") or "unknown"
    return {
        "slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "pretended": pretend,
        "machine": about,
        "parts": {
            line["part"]: {key: line[key] for key in ("passed", "seconds", "reason")} for line in found if "check" not in line
        },
        "checks": [line for line in found if "check" in line and line["check"] != "machine"],
    }


def _lines(out: Path) -> list[dict[str, Any]]:
    file = out / "card.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def _missing() -> str:
    """Why the parts cannot be run on this machine's GPU, and what to do, as the doctor says it; empty if they can."""
    from studio.hardware import doctor, machine

    if machine.probe().device == "cuda":
        return ""
    found = [item for item in doctor.check() if item.name in ("GPU", "torch") and item.ok is not True]
    return f"no GPU that this studio can use: {found[0].found}\n→ {found[0].fix}"


def _alone() -> contextlib.AbstractContextManager[None]:
    """The GPU for the whole time: no run of the studio begins meanwhile, and none is disturbed."""
    from studio.app import gpu_use

    return gpu_use.or_refuse("make card", "Wait for it to end, or stop it: figures beside other work would mean nothing.")


if __name__ == "__main__":
    sys.exit(main())
