"""The campaign from the command line; writes `bench/results/campaign.json`."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

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
    parser.add_argument("--writes", choices=("run", "export"), help="only the writes of one, until none of them is left")
    given = parser.parse_args()
    begun = time.monotonic()
    reference = RunFolder(given.run.absolute()) if given.run else None
    work = given.work.absolute() if given.work else None
    before = read_json(given.out) if given.add and given.out.exists() else {}

    def write(result: campaign.Result) -> None:  # after each fault: a campaign that is cut has done what it has done
        write_json(given.out, _report(result, before, given.seed, time.monotonic() - begun))

    if given.writes:
        kept = work or Path("build") / f"campaign-{given.writes}"
        result = campaign.fail_every_write(given.writes, given.seconds, given.seed, kept, write)
    else:
        result = campaign.run(given.seconds, given.seed, reference, whole_runs=True, work=work, tell=write)
    write(result)
    report = read_json(given.out)
    print(f"{report['faults']} faults, {report['failures']} failures, in {report['seconds']} s; {given.out}")
    for line in result.failed[:50]:
        print(line)
    return 1 if result.failed else 0


def _report(result: campaign.Result, before: dict[str, Any], seed: int, seconds: float) -> dict[str, Any]:
    """The counts by fault and by moment, with those of an earlier report."""
    by_fault, by_moment = Counter(before.get("by_fault")), Counter(before.get("by_moment"))
    by_fault.update(result.tried)
    by_moment.update(result.moments)
    return {
        "version": 6,
        "seeds": [*before.get("seeds", []), seed],
        "seconds": round(seconds + before.get("seconds", 0), 1),
        "cpu_seconds": round(_cpu_seconds() + before.get("cpu_seconds", 0), 1),
        "faults": sum(by_fault.values()),
        "by_fault": dict(sorted(by_fault.items())),
        "by_moment": dict(sorted(by_moment.items())),
        "writes_of_a_run": result.writes or before.get("writes_of_a_run", {}),
        "writes_of_an_export": result.export_writes or before.get("writes_of_an_export", {}),
        "failures": before.get("failures", 0) + len(result.failed),
        "first_failures": [*before.get("first_failures", []), *result.failed][:50],
    }


def _cpu_seconds() -> float:
    """What this process and those it waited for computed: on a busy machine far less than the time that passed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    sys.exit(main())
