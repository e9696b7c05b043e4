"""The scores of the reference, made once and kept beside the checkpoints.

Preference methods compare with the model as the run found it. Its scores never change, so one forward pass over the rows
replaces a second model and a pass every step. They are taken with the adapter as it starts, which is right for a fresh one,
whose update is zero, and for one that is trained further.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio.core.files import write_bytes
from studio.training.batches import Tokens
from studio.training.guards import disk_errors
from studio.training.measuring import logps
from studio.training.reference import Mismatched, Reference

if TYPE_CHECKING:
    from studio.tracking.reporter import Reporter
    from studio.training.loss_model import LossModel


def references(loss_model: LossModel, run: str, reporter: Reporter) -> tuple[Reference | None, Reference | None]:
    """Those of the training and of the held-out rows, read or scored now; None where the method compares with nothing.

    loss_model must stand as the run begins: nothing learned, no checkpoint loaded. Raises Stopped if asked to stop.
    """
    job = loss_model.job
    method = job.training.method
    if not method.compares:
        return None, None
    file = job.checkpoints / "reference.npz"
    kept = _read(file, run)
    parts = {"train": job.train, **({"held_out": job.held_out} if job.held_out is not None else {})}
    arrays: dict[str, np.ndarray] = {}
    for name, tokens in parts.items():
        versions: dict[str, Tokens] = {
            name: tokens,
            **({f"{name}_mismatched": Mismatched(tokens)} if method.mismatches else {}),
        }
        for key, rows in versions.items():
            before = kept.get(key)
            fits = before is not None and len(before) == len(rows)
            arrays[key] = (
                before if fits and before is not None else logps(loss_model, rows, reporter, "answer scored before training")
            )
    if arrays.keys() != kept.keys() or any(arrays[key] is not kept[key] for key in arrays):
        _write(file, run, arrays)
    train = Reference(arrays["train"], arrays.get("train_mismatched"))
    held_out = Reference(arrays["held_out"], arrays.get("held_out_mismatched")) if "held_out" in arrays else None
    return train, held_out


def _read(file: Path, run: str) -> dict[str, np.ndarray]:
    """The scores that were kept of this run; none if there are none, or they are not whole: they can be made again."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files if name != "run"} if str(kept["run"]) == run else {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _write(file: Path, run: str, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, run=np.array(run), **arrays)  # pyright: ignore[reportArgumentType] - any names
    with disk_errors("The scores before training", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, buffer.getvalue())
