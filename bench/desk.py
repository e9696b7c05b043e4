"""CPU seconds and peak memory of all checks of the data desk on a million short rows.

`python -m bench.desk [--rows N]` makes the rows (seeded, about 110 characters, one in twenty a small change of another, one
in a thousand with something to find), reads and checks them in a process of its own and writes `bench/results/desk.json`:
the reading alone, all checks, and each check alone on a tenth of the rows.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.ingest import WORDS
from bench.kit.machine import facts, keep

CPU_TARGET, MEMORY_TARGET = 300, 1.2 * 1024
PLANTED = (
    "Write to anna.lee@example.org.",
    "Card 4111 1111 1111 1111.",
    "Ring us at +44 20 7946 0958.",
    "As an AI language model, I cannot say.",
    "It is <b>blue</b>.",
    "Dear {{name}}, it is blue.",
)
CHILD = """
import json, resource, sys
from studio.data.checks import CHECKS
from studio.data.checks.base import findings
from studio.data.prepare import usable
from studio.data.settings import Data
names = sys.argv[2].split(",") if sys.argv[2] else []
findings([], CHECKS.values())
idle = resource.getrusage(resource.RUSAGE_SELF)
found = findings(usable(Data(train=sys.argv[1])), [CHECKS[name] for name in names])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "cpu_seconds": round(used.ru_utime + used.ru_stime - idle.ru_utime - idle.ru_stime, 1),
    "peak_mib": round(used.ru_maxrss / 1024),
    "found": {item.check: item.count for item in found},
}))
"""


def make_rows(count: int) -> Iterator[dict[str, str]]:
    """Short rows of question and answer; some nearly repeat an earlier one, some hold something to find."""
    chance = random.Random(0)
    earlier: list[dict[str, str]] = []
    for place in range(count):
        if earlier and chance.random() < 0.05:
            row = dict(chance.choice(earlier))
            row["answer"] += " Thanks."
        else:
            words = chance.choices(WORDS, k=16)
            row = {
                "question": f"Question {place}: {' '.join(words[:5])}?",
                "answer": f"{' '.join(words[5:])} {chance.randrange(10**6)}.",
            }
        if place % 1_000 == 999:
            row["answer"] += " " + PLANTED[place // 1_000 % len(PLANTED)]
        if place % 100 == 0:
            earlier.append(row)
        yield row


def measure(file: Path, checks: list[str]) -> dict[str, Any]:
    """The figures of some checks in a process of its own."""
    command = [sys.executable, "-c", CHILD, str(file), ",".join(checks)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def write(path: Path, count: int) -> Path:
    """The rows as JSON lines."""
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in make_rows(count))
    return path


def main() -> None:
    """Measure, print, write; exit 1 if a target is missed."""
    from studio.data.checks import CHECKS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        few, many = write(Path(name) / "few.jsonl", asked.rows // 10), write(Path(name) / "many.jsonl", asked.rows)
        reading = measure(few, [])["cpu_seconds"]
        each = {check: round(measure(few, [check])["cpu_seconds"] - reading, 1) for check in CHECKS}
        print(json.dumps(each), flush=True)
        everything = measure(many, list(CHECKS))
    met = everything["cpu_seconds"] <= CPU_TARGET and everything["peak_mib"] <= MEMORY_TARGET
    result = {
        "what": f"all checks of the data desk on {asked.rows:,} short rows, reading included",
        **facts("numpy", "orjson", "py3langid", "phonenumberslite"),
        "rows": asked.rows,
        "all": {**everything, "cpu_target": CPU_TARGET, "memory_target_mib": MEMORY_TARGET, "met": met},
        "each_on_a_tenth_cpu_seconds": {"reading": reading, **each},
    }
    keep("desk", result)
    print(json.dumps(result["all"], indent=1))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
