"""The campaign from the command line; writes `bench/results/campaign.json`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from studio.core.files import read_json, write_json
from studio.runs.folder import RunFolder
from tests.campaign import campaign


def main() -> int:
    """Run it and say what did not hold; 1 if anything did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", type=Path, help="a run folder that is damaged, beside those the campaign makes")
    parser.add_argument("--out", type=Path, default=Path("bench/results/campaign.json"))
    parser.add_argument(
        "--work", type=Path, help="a folder that the next call goes on with; what is damaged is made there once"
    )
    parser.add_argument("--add", action="store_true", help="add the counts to those in --out")
    given = parser.parse_args()
    begun = time.monotonic()
    reference = RunFolder(given.run.absolute()) if given.run else None
    work = given.work.absolute() if given.work else None
    result = campaign.run(given.seconds, given.seed, reference, whole_runs=True, work=work)
    before = read_json(given.out) if given.add and given.out.exists() else {}
    by_fault, by_moment = Counter(before.get("by_fault")), Counter(before.get("by_moment"))
    by_fault.update(result.tried)
    by_moment.update(result.moments)
    report = {
        "version": 3,
        "seeds": [*before.get("seeds", []), given.seed],
        "seconds": round(time.monotonic() - begun + before.get("seconds", 0), 1),
        "faults": sum(by_fault.values()),
        "by_fault": dict(sorted(by_fault.items())),
        "by_moment": dict(sorted(by_moment.items())),
        "failures": before.get("failures", 0) + len(result.failed),
        "first_failures": [*before.get("first_failures", []), *result.failed][:50],
    }
    write_json(given.out, report)
    print(f"{report['faults']} faults, {report['failures']} failures, in {report['seconds']} s; {given.out}")
    for line in result.failed[:50]:
        print(line)
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
