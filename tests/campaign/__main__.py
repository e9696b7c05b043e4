"""The campaign from the command line; writes `bench/results/campaign.json`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from studio.core.files import write_json
from studio.runs.folder import RunFolder
from tests.campaign import campaign


def main() -> int:
    """Run it and say what did not hold; 1 if anything did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", type=Path, help="a run folder that is damaged, beside those the campaign makes")
    parser.add_argument("--out", type=Path, default=Path("bench/results/campaign.json"))
    given = parser.parse_args()
    begun = time.monotonic()
    result = campaign.run(given.seconds, given.seed, RunFolder(given.run.absolute()) if given.run else None, whole_runs=True)
    report = {
        "version": 2,
        "seed": given.seed,
        "seconds": round(time.monotonic() - begun, 1),
        "faults": sum(result.tried.values()),
        "by_fault": dict(sorted(result.tried.items())),
        "by_moment": dict(sorted(result.moments.items())),
        "failures": len(result.failed),
        "first_failures": result.failed[:50],
    }
    write_json(given.out, report)
    print(f"{report['faults']} faults, {report['failures']} failures, in {report['seconds']} s; {given.out}")
    for line in result.failed[:50]:
        print(line)
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
