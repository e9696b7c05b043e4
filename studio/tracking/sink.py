"""The seam behind which every tracker is: what a run sends, in names of our own, guarded and bounded in time.

A tracker is one subclass: it says how a step, a table or an artifact is sent by its client, and may raise. What is called from
outside never raises and never blocks for long; what goes wrong is said once through the reporter, and counted.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from studio.core import events
from studio.tracking import secrets
from studio.tracking.limits import redacted, within, without_paths
from studio.tracking.reporter import Reporter

Level = Literal["INFO", "WARN", "ERROR"]
Rows = Sequence[Sequence[Any]]
STEP = "train/step"
"""Our own step, over which every tracker shows the curves."""


class Sink(ABC):
    """An open run of a tracker. folder: the run folder, which has everything whatever happens here."""

    label: ClassVar[str]
    """What users call it."""

    def __init__(self, folder: Path, reporter: Reporter, finish_timeout: float) -> None:
        self.run_folder, self._reporter, self._finish_timeout = folder, reporter, finish_timeout
        self._failed = 0

    @property
    @abstractmethod
    def url(self) -> str | None:
        """Where the run can be seen; None where nothing serves it now."""

    @property
    @abstractmethod
    def upload(self) -> str:
        """The command that uploads or shows later what is kept on this disk."""

    @abstractmethod
    def last_step(self) -> float:
        """The last logged step that the tracker has of this run; 0 for a new one."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One logged step: `loss` becomes `train/loss`, `eval_loss` becomes `eval/loss`, both over our own step."""
        named = {metric_name(name): value for name, value in values.items() if math.isfinite(value)}
        self.guard("log", lambda: self._log(step, named))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Figures of the whole run, e.g. the verdict and the headline metric."""
        self.guard("summary", lambda: self._summary(dict(values)))

    def table(self, name: str, columns: Sequence[str], rows: Rows) -> None:
        """A table, e.g. the sample answers."""
        self.guard(f"table {name}", lambda: self._table(name, list(columns), [list(row) for row in rows]))

    def page(self, name: str, html: str) -> None:
        """An HTML page as a panel."""
        self.guard(f"page {name}", lambda: self._page(name, html))

    def artifact(
        self, name: str, type: str, paths: Sequence[Path], metadata: Mapping[str, Any], *, fleeting: bool = False
    ) -> None:
        """Files and folders with their lineage in `metadata`. Of two files of one name the first counts. They are read where
        they lie, not copied, unless they are `fleeting`, as checkpoints are."""
        about = without_paths(dict(metadata))
        self.guard(f"artifact {name}", lambda: self._artifact(name, type, _files(paths), about, fleeting))

    def used(self, name: str, type: str, about: Mapping[str, Any]) -> None:
        """What the run read, e.g. its dataset: an artifact that describes it without its content."""
        described = without_paths(dict(about))
        self.guard(f"input {name}", lambda: within(self._finish_timeout / 2, lambda: self._used(name, type, described)))

    def alert(self, title: str, text: str, level: Level = "INFO") -> None:
        """A message to whoever has alerts switched on."""
        self.guard("alert", lambda: self._alert(title, secrets.redact(text), level))

    def finish(self, ok: bool = True) -> str | None:
        """Send what is left, for at most the finish timeout, and close. The run's address, or None."""
        url = self.url
        try:
            within(self._finish_timeout + 10, lambda: self._finish(ok))
        except Exception as problem:
            warn(
                self._reporter,
                f"not everything reached {self.label} in time ({redacted(problem)}); the rest is kept on this disk",
                hint=f"Upload it later with: {self.upload}",
            )
        if self._failed > 1:
            warn(self._reporter, f"{self._failed} calls to {self.label} failed in this run; the run folder has everything")
        return url

    def guard(self, what: str, call: Callable[[], object]) -> None:
        """Call it; an error is counted, and the first one said."""
        try:
            with self._surroundings():
                call()
        except Exception as problem:
            self._failed += 1
            if self._failed == 1:
                warn(
                    self._reporter,
                    f"a call to {self.label} failed ({what}: {redacted(problem)}); further ones are only counted",
                )

    def _surroundings(self) -> contextlib.AbstractContextManager[None]:
        """What every call of the client is made in, e.g. an environment that keeps its files in the run folder."""
        return contextlib.nullcontext()

    @abstractmethod
    def _log(self, step: int, values: dict[str, float]) -> None: ...

    @abstractmethod
    def _summary(self, values: dict[str, Any]) -> None: ...

    @abstractmethod
    def _table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None: ...

    @abstractmethod
    def _page(self, name: str, html: str) -> None: ...

    @abstractmethod
    def _artifact(self, name: str, type: str, files: dict[str, Path], metadata: dict[str, Any], fleeting: bool) -> None: ...

    @abstractmethod
    def _used(self, name: str, type: str, about: dict[str, Any]) -> None: ...

    @abstractmethod
    def _alert(self, title: str, text: str, level: Level) -> None: ...

    @abstractmethod
    def _finish(self, ok: bool) -> None: ...


def metric_name(name: str) -> str:
    """The name a logged figure is sent under."""
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


def warn(reporter: Reporter, message: str, hint: str = "") -> None:
    """Say what went wrong, if that can be said at all."""
    with contextlib.suppress(Exception):
        reporter.event(events.Warning(message=message, hint=hint))


def _files(paths: Sequence[Path]) -> dict[str, Path]:
    """Every file, by its name in an artifact: beside its folder's name for a folder."""
    return {name: file for path in reversed(paths) for name, file in _inside(path)}


def _inside(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file
