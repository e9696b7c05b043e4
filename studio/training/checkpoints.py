"""Checkpoints: what a run needs to go on as if it had never stopped.

`checkpoints/step-000123/` holds the adapter (a PEFT folder), `optimizer.pt` (optimizer, scheduler, random generators;
tensors and plain values only) and `progress.json`, written last, with a digest of each other file. A folder is made aside
and renamed when its files are on the disk, so a killed run leaves either a whole checkpoint or none; a checkpoint that
was damaged later does not match its digests, is set aside, and the one before it is used.

What is to be written is copied to RAM at its step; a `Writer` then writes it while the next steps are computed.
"""

from __future__ import annotations

import copy
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import TrainingError
from studio.core.files import folder_aside, need_room, read_json, sha256, write_json
from studio.training import adapters
from studio.training.guards import disk_errors

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"step-(\d{6,})")
KEEP_NEWEST = 2
FILES = ("adapter_model.safetensors", "adapter_config.json", "optimizer.pt")
DAMAGED = "damaged-"
"""How the name of a checkpoint begins that was set aside."""


@dataclass(frozen=True)
class Progress:
    """How far a run is. Losses are held-out losses; step 0 is the base model. run is the run's fingerprint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    evaluated: int = -1
    """The step of the newest evaluation, -1 before the first."""
    base_loss: float | None = None
    last_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    worse: int = 0
    """Evaluations since the best one."""
    train_loss: float | None = None
    stopped_early: bool = False
    run: str = ""

    def after_evaluation(self, loss: float) -> Progress:
        """With the held-out loss of the present step. The base model is measured, but never the best step."""
        if self.step == 0:
            return replace(self, evaluated=0, base_loss=loss, last_loss=loss)
        if self.best_loss is None or loss < self.best_loss:
            return replace(self, evaluated=self.step, last_loss=loss, best_loss=loss, best_step=self.step, worse=0)
        return replace(self, evaluated=self.step, last_loss=loss, worse=self.worse + 1)


def folder_of(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return checkpoints / f"step-{step:06d}"


def snapshot(checkpoints: Path, progress: Progress, model: nn.Module, state: dict[str, Any]) -> Callable[[], None]:
    """A function that writes the checkpoint of this very moment, then removes all but the last two and the best.

    Everything it needs is copied now. It raises HardwareError if the disk is full, as this does if it is bound to be.
    """
    folder = folder_of(checkpoints, progress.step)
    adapter, state = adapters.parts(model), _copied(state)
    need_room(checkpoints, _bytes(state) + _bytes(adapter), "A checkpoint")

    def write() -> None:
        import torch

        with disk_errors(f"The checkpoint of step {progress.step}", folder), folder_aside(folder) as aside:
            adapters.write_parts(adapter, aside)
            torch.save(state, aside / "optimizer.pt")
            adapters.flush(aside / "optimizer.pt")
            write_json(aside / "progress.json", {**asdict(progress), "digests": _digests(aside)})
            adapters.flush(aside)
        adapters.flush(checkpoints)  # the new name is on the disk before any earlier checkpoint goes
        prune(checkpoints, progress)

    return write


class Writer:
    """Writes one checkpoint at a time: in a thread of its own if `background`, else before `begin` returns.

    A write that failed is raised by the next call of `done`, `begin` or `wait`, once.
    """

    def __init__(self, background: bool = True) -> None:
        self.background = background
        self._thread: threading.Thread | None = None
        self._step = 0
        self._problem: BaseException | None = None

    def begin(self, step: int, write: Callable[[], None]) -> None:
        """Start to write the checkpoint of `step`. The one before must have been asked for by `done` or `wait`."""
        if self._thread is not None:
            raise RuntimeError("the checkpoint before is still being written")
        self._step, self._thread = step, threading.Thread(target=self._run, args=(write,), name="checkpoint")
        self._thread.start()
        if not self.background:
            self._thread.join()

    def done(self) -> int | None:
        """The step whose checkpoint has come to be since this was last asked; None if there is none."""
        return None if self._thread is None or self._thread.is_alive() else self.wait()

    def wait(self) -> int | None:
        """The same, after waiting for it."""
        if self._thread is None:
            return None
        self.settle()
        self._thread, problem, self._problem = None, self._problem, None
        if problem is not None:
            raise problem
        return self._step

    def settle(self) -> BaseException | None:
        """Wait until nothing is being written any more. Gives what went wrong with it and was not raised yet."""
        if self._thread is not None:
            self._thread.join()
        return self._problem

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        except BaseException as problem:
            self._problem = problem


def prune(checkpoints: Path, progress: Progress) -> None:
    """Remove all checkpoints but the newest two and the best, and what killed runs left half-written."""
    steps = sorted(_steps(checkpoints))
    keep = {*[step for step in steps if step <= progress.step][-KEEP_NEWEST:], progress.best_step}
    for step in steps:
        if step not in keep:
            shutil.rmtree(folder_of(checkpoints, step), ignore_errors=True)
    for left in checkpoints.glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)


def newest(
    checkpoints: Path, run: str, on_damaged: Callable[[str, Path], None] = lambda reason, folder: None
) -> tuple[Path, Progress] | None:
    """The newest sound checkpoint of this run, or None. Half-written ones are passed over.

    A damaged one is set aside under another name, so that no later resume meets it again, and `on_damaged` is called with
    what is wrong and where it is now. Raises TrainingError if the checkpoints belong to a run with other settings or data.
    """
    for step in sorted(_steps(checkpoints), reverse=True):
        folder = folder_of(checkpoints, step)
        try:
            progress = _read(folder)
        except FileNotFoundError:
            continue
        except _Damaged as damage:
            on_damaged(str(damage), _set_aside(folder))
            continue
        if run and progress.run and progress.run != run:
            raise TrainingError(
                "The checkpoints here belong to a run with other settings or other data",
                hint="Resume with the settings the run was started with, or start a new run.",
                where=str(folder),
            )
        return folder, progress
    return None


def load_state(folder: Path) -> dict[str, Any]:
    """Optimizer, scheduler and random generators of a checkpoint. Nothing but tensors and plain values is unpickled."""
    import torch

    return torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)


def generators() -> dict[str, Any]:
    """The state of torch's random generators, the only ones drawn from while training (dropout)."""
    import torch

    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_generators(state: dict[str, Any]) -> None:
    """Set torch's random generators to what `generators` gave, those of the GPUs as far as there are as many as then."""
    import torch

    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        for device, generator in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(generator, device)


def _steps(checkpoints: Path) -> Iterator[int]:
    for folder in checkpoints.glob("step-*"):
        if match := NAME.fullmatch(folder.name):
            yield int(match[1])


def damage(folder: Path) -> str | None:
    """What is wrong with a finished checkpoint, or None if it is as it was written."""
    try:
        _read(folder)
    except (_Damaged, FileNotFoundError) as error:
        return str(error)
    return None


class _Damaged(Exception):
    """A checkpoint that is not what was written; the message says which file."""


def _read(folder: Path) -> Progress:
    """The progress of a checkpoint. Raises FileNotFoundError if it was never finished, _Damaged if it changed since."""
    try:
        values = read_json(folder / "progress.json")
        progress = Progress(**{f.name: values[f.name] for f in fields(Progress) if f.name in values})
        digests = dict(values.get("digests", {}))  # checkpoints of older versions have none
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _Damaged(f"progress.json cannot be read ({error})") from error
    for name in digests or FILES:
        try:
            sound = sha256(folder / name) == digests[name] if digests else (folder / name).stat().st_size > 0
        except OSError as error:
            raise _Damaged(f"{name} cannot be read ({error.strerror})") from error
        if not sound:
            raise _Damaged(f"{name} is not what was written")
    return progress


def _digests(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in FILES}


def _set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint; what an earlier one of that name left is replaced."""
    aside = folder.with_name(DAMAGED + folder.name)
    shutil.rmtree(aside, ignore_errors=True)
    return folder.rename(aside)


def _copied(state: Any) -> Any:
    """The same with every tensor copied to the CPU."""
    match state:
        case dict():
            return {name: _copied(value) for name, value in state.items()}
        case list() | tuple():
            return [_copied(value) for value in state]
        case _:
            return state.detach().to("cpu", copy=True) if hasattr(state, "detach") else copy.copy(state)


def _bytes(state: object) -> int:
    match state:
        case dict():
            return sum(_bytes(value) for value in state.values())
        case list() | tuple():
            return sum(_bytes(value) for value in state)
        case _:
            return getattr(state, "nbytes", 0)
