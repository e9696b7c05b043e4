"""vLLM as what writes the answers that a model learns from (`studio.training.sampled.SamplingEngine`)."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.core.errors import ExportError, HardwareError, TrainingError
from studio.export.toolchains.remote import Remote
from studio.tracking.reporter import Reporter, Silent

FIELD = "training.method.engine"


@dataclass(frozen=True)
class Settings:
    """What vLLM is opened with: the base's folder or hub id with its commit, and the number format in vLLM's words."""

    folder: str
    revision: str | None
    dtype: str
    context: int
    """Tokens of prompt and answer together, at most."""
    rank: int
    """The largest rank of an adapter; one that vLLM has kernels for."""
    at_once: int
    """Answers written at once."""
    share: float
    """What it may take of the GPU's memory, from 0 to 1."""


class VllmEngine:
    """vLLM in a process of its own, and the folders in which it is handed one adapter after another."""

    def __init__(self, remote: Remote) -> None:
        self._remote, self._version = remote, 0

    @property
    def _folder(self) -> Path:
        return self._remote.folder / f"adapter-{self._version}"

    def new_folder(self) -> Path:
        """An empty folder for the next adapter; the one before is removed."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._version += 1
        self._folder.mkdir()
        return self._folder

    def sample(
        self, prompts: Sequence[Sequence[int]], ends: Sequence[int], longest: int, temperature: float, seeds: Sequence[int]
    ) -> list[tuple[list[int], list[float]]]:
        """An answer to each prompt by the newest adapter: token ids, the end token included, and log p of each.

        Raises TrainingError if vLLM fails or ends.
        """
        asked = [list(map(int, prompt)) for prompt in prompts]
        with _as_training_error():
            adapter = (str(self._folder), self._version)
            answers = self._remote.ask("sample", asked, list(ends), longest, temperature, list(seeds), *adapter)
        return [(list(ids), list(logps)) for ids, logps in answers]


@contextmanager
def opened(settings: Settings, reporter: Reporter) -> Generator[VllmEngine]:
    """vLLM with a base, until the block ends. Raises TrainingError if it cannot load it, Stopped if asked to stop meanwhile."""
    opening = _Opening(reporter)
    remote = Remote("vllm", "studio.export.toolchains.vllm.runtime:sampling", asdict(settings), opening)
    with _as_training_error():
        remote.__enter__()
    opening.done = True
    try:
        yield VllmEngine(remote)
    finally:
        remote.__exit__()


class _Opening(Silent):
    """Asked to stop, a run ends the opening of vLLM, which takes minutes, and not a step, which is finished and saved."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.done = reporter, False

    def should_stop(self) -> bool:
        """As the run is asked, until vLLM is open."""
        return not self.done and self.reporter.should_stop()


@contextmanager
def _as_training_error() -> Generator[None]:
    try:
        yield
    except (ExportError, HardwareError) as error:
        hint = f"{error.hint} Or set {FIELD} to transformers.".lstrip()
        raise TrainingError(f"vLLM failed: {error.message}", hint=hint, where=FIELD) from None
    except MemoryError:
        raise TrainingError(
            "vLLM does not fit beside the training", hint=f"Set {FIELD} to transformers.", where=FIELD
        ) from None
