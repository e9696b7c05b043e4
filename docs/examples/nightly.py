"""Retrain on tonight's data, and promote the new model only if its evidence is better.

    python nightly.py bot.yaml serving/

The spec's `data.holdout` is a file of its own: every night's model answers the same questions. `serving/current` links to the
promoted export; it is changed in one step, and only after the new model was found better than its base, lower in held-out loss
than the promoted model, and verified as an export. Exit code: 0 promoted, 4 trained and not promoted, else what went wrong.
"""

import os
import sys
from pathlib import Path

import studio

NOT_PROMOTED = 4
"""The exit code of a night whose model is no better."""


def held_out_loss(run: studio.Run) -> float:
    """The tuned model's loss on the held-out questions, in nats per token."""
    held_out = run.report.set("held-out")
    if held_out is None:
        raise SystemExit("no held-out rows: set data.holdout to a file")
    return held_out.metrics["loss"].tuned.value


def promoted(current: Path) -> studio.Run | None:
    """The run whose export is served now."""
    return studio.find(current.resolve().parents[1]) if current.exists() else None


def main(spec: str, serving: str) -> int:
    current = Path(serving) / "current"
    before = promoted(current)
    run = studio.train(spec)  # raises what went wrong: nothing is promoted then
    if run.report.verdict.kind != "better":
        print(f"not promoted: {run.report.verdict.text}")
        return NOT_PROMOTED
    if before is not None and held_out_loss(run) >= held_out_loss(before):
        print(f"not promoted: loss {held_out_loss(run):.3f}, promoted {held_out_loss(before):.3f}")
        return NOT_PROMOTED
    artifact = run.export("merged")
    if not artifact.verification.passed:
        raise SystemExit(f"not promoted: {artifact.verification.status}")
    current.parent.mkdir(parents=True, exist_ok=True)
    fresh = current.with_name(".current")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(artifact.path, target_is_directory=True)
    os.replace(fresh, current)
    print(f"promoted {run.id}: {run.report.verdict.text}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except studio.StudioError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
