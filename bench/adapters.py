"""Kinds of adapters on the starter: right answers with their interval, what else is lost, and CPU time a step against LoRA.

All kinds in one run of this script, on the shipped support rows, by the plan's own settings: `python bench/adapters.py`.
Writes bench/results/adapters.json. Figures are ratios within one run on one machine, one seed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
VARIANTS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora, rank 64": {"adapter.kind": "rslora", "adapter.rank": 64},
    "lora, rank 64": {"adapter.rank": 64},
    "dora": {"adapter.kind": "dora"},
    "pissa": {"adapter.kind": "pissa"},
    "olora": {"adapter.kind": "olora"},
    "eva": {"adapter.kind": "eva"},
    "LoRA+ 8": {"adapter.lora_plus": 8.0},
    "NEFTune 5": {"training.neftune": 5.0},
    "full": {"adapter.kind": "full"},
}
EPOCHS = 4


def measure(settings: dict[str, Any], home: Path) -> dict[str, Any]:
    """Train and evaluate one variant; what came out."""
    import studio
    from studio.app import runs
    from studio.core import events

    rows = ROOT / "datasets"
    spec = studio.RunSpec(
        name="bench",
        data={"train": str(rows / "support.jsonl"), "holdout": str(rows / "support-heldout.jsonl")},
        model={"quantization": "none", "dtype": "fp32"},
        training={"epochs": EPOCHS},
        tracking={"wandb": "off"},
    )
    run = runs.start(studio.edit(spec, settings), home)
    status = run.wait()
    if status.state != "done":
        raise SystemExit(f"{settings}: {run.error}")
    done = {event.stage: event for event in run.events if isinstance(event, events.StageDone)}
    training = json.loads(run.folder.training.read_text("utf-8"))
    main = run.report.sets[0]
    general = run.report.set("general")
    found, seconds = main.metrics[main.headline], done["training"].cpu_seconds
    return {
        "rate": run.folder.resolved_spec().training.learning_rate,
        "right": found.tuned.value,
        "low": found.tuned.low,
        "high": found.tuned.high,
        "loss": main.metrics["loss"].tuned.value,
        "general_before": general.metrics[general.headline].base.value if general else None,
        "general": general.metrics[general.headline].tuned.value if general else None,
        "steps": training["steps"],
        "cpu_seconds": seconds,
        "trained": run.plan.counts.trained_parameters if run.plan else None,
    }


def main() -> None:
    """All variants, one after another."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = {}
    with tempfile.TemporaryDirectory() as home:
        for name, settings in VARIANTS.items():
            found[name] = measure(settings, Path(home))
            found[name]["time_to_lora"] = round(found[name]["cpu_seconds"] / found["lora"]["cpu_seconds"], 2)
            print(name, json.dumps(found[name]), flush=True)
    out = ROOT / "bench" / "results" / "adapters.json"
    out.write_text(json.dumps({"epochs": EPOCHS, "variants": found}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
