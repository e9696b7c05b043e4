"""Merging methods on the starter: what each run could do alone on its own held-out rows, and what the merged adapter does.

Two pairs of runs by the plan's own settings: two halves of one task (support questions of some products and of the others),
and two tasks that have nothing in common (support answers, ticket labels). One seed, each figure with its interval:
`python bench/merging.py`. Writes bench/results/merging.json.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from kit.machine import facts, keep

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 4
METHODS: dict[str, dict[str, Any]] = {
    "cat, equal shares": {},
    "cat, weights 1 and 1": {"weights": (1.0, 1.0)},
    "svd, rank 16": {"method": "svd", "rank": 16},
    "ties": {"method": "ties"},
    "ties, weights 1 and 1": {"method": "ties", "weights": (1.0, 1.0)},
    "dare": {"method": "dare"},
    "dare, weights 1 and 1": {"method": "dare", "weights": (1.0, 1.0)},
}
WHAT = "adapters of the starter merged: right answers on each parent's held-out rows, the parent alone and the merged one"


def halves(folder: Path) -> list[tuple[Path, Path]]:
    """The support rows, training and held out, in two halves by the facts they ask for: equal answers stay together."""
    made = []
    for number in (0, 1):
        files = []
        for name in ("support", "support-heldout"):
            rows = [json.loads(line) for line in (ROOT / "datasets" / f"{name}.jsonl").read_text("utf-8").splitlines()]
            answers = sorted({row["answer"] for row in rows})
            mine = set(answers[number::2])
            file = folder / f"{name}-{number + 1}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows if row["answer"] in mine), "utf-8")
            files.append(file)
        made.append((files[0], files[1]))
    return made


def trained(name: str, train: Path, holdout: Path | float, home: Path) -> Any:
    """A run that is done."""
    import studio
    from studio.app import runs

    run = runs.start(
        studio.RunSpec(
            name=name,
            data={"train": str(train), "holdout": str(holdout) if isinstance(holdout, Path) else holdout},
            model={"quantization": "none", "dtype": "fp32"},
            training={"epochs": EPOCHS},
            evaluation={"general": "off"},
            tracking={"wandb": "off"},
        ),
        home,
    )
    return finished(run)


def finished(run: Any) -> Any:
    """The run, after it has ended. Ends this script if it failed."""
    if run.wait().state != "done":
        raise SystemExit(f"{run.id}: {run.error}")
    return run


def merged(parents: list[Any], options: dict[str, Any], home: Path) -> dict[str, Any]:
    """A merge of two runs, and its figures against each of them."""
    from studio.app import adapters

    made = adapters.merge(adapters.MergeRequest(tuple(run.id for run in parents), **options), home)
    adapters.start(made)
    report = finished(made.run).report
    sides = {}
    for run in parents:
        side = report.set(f"parent:{run.id}")
        figure = side.metrics[side.headline]
        sides[run.id.rpartition("-")[0]] = {
            "rows": side.rows,
            "alone": figure.base.value,
            "merged": figure.tuned.value,
            "change": [figure.change.value, figure.change.low, figure.change.high],
        }
    record = made.record
    return {"sides": sides, "rank": record.rank, "left_out": record.error, "changed": record.changed}


def main() -> None:
    """Both pairs of runs, merged by every method."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        (one, one_held), (two, two_held) = halves(Path(folder))
        first = [trained("first-half", one, one_held, home), trained("second-half", two, two_held, home)]
        rows = ROOT / "datasets"
        other = [
            trained("support", rows / "support.jsonl", rows / "support-heldout.jsonl", home),
            trained("tickets", rows / "tickets.jsonl", 0.2, home),
        ]
        for pair, parents in (("two halves of a task", first), ("two tasks", other)):
            found[pair] = {}
            for name, options in METHODS.items():
                found[pair][name] = merged(parents, options, home)
                print(pair, name, json.dumps(found[pair][name]), flush=True)
    keep("merging", {"what": WHAT, **facts("torch", "transformers", "peft"), "epochs": EPOCHS, "pairs": found})


if __name__ == "__main__":
    main()
