"""Cascades for Python and notebooks: calibrate one, test it on new questions, see its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.app import cascades, local_server
from studio.app.cascade_questions import Files
from studio.core.files import studio_home

if TYPE_CHECKING:
    from studio.cascade.calibration import Calibration
    from studio.cascade.record import Cascade, CascadeFolder, CascadeReport

Names = Sequence[str | Path]


@dataclass(frozen=True)
class CalibratedCascade:
    """A cascade: its record, its calibration, and the report once it was tested."""

    folder: CascadeFolder
    home: Path

    @property
    def id(self) -> str:
        """Its name in the command and on pages: `studio cascade serve ID`."""
        return self.folder.path.name

    @property
    def record(self) -> Cascade:
        """Both models, what counts as right, and warnings."""
        return self.folder.read()

    @property
    def calibration(self) -> Calibration:
        """Signal, confidence, threshold and promise."""
        return self.record.calibration

    @property
    def report(self) -> CascadeReport | None:
        """How it did on new questions; None before it was tested."""
        from studio.cascade.record import CascadeReport

        return CascadeReport.read(self.folder.report) if self.folder.report.exists() else None

    def test(
        self,
        held_out: Names = (),
        *,
        fresh: Names = (),
        out_of_scope: Names = (),
        ceiling: float | None = None,
        machine: float = 0.0,
    ) -> CascadeReport:
        """Ask both models new questions. ceiling: US dollars that the large one may cost at most; machine: US dollars an hour
        of the small one's. Raises StudioError, also for questions that the cascade or its run has seen."""
        return cascades.report(
            self.folder, _files(held_out, fresh, out_of_scope), self.home, ceiling=ceiling, small_cost_per_hour=machine
        )

    def _repr_html_(self) -> str:
        return str(cascades.page(self.folder))


def calibrate_cascade(
    small: str,
    large: str,
    held_out: Names = (),
    *,
    fresh: Names = (),
    out_of_scope: Names = (),
    risk: float = 0.02,
    level: float = 0.95,
    right: str = "",
    price: tuple[float, float] | None = None,
    key: str | None = None,
    home: str | Path | None = None,
) -> CalibratedCascade:
    """Find the threshold between a small and a large model. Only the small one is asked.

    small: a run, an export or a model. large: `URL#MODEL`; price: its US dollars per million tokens read and written; key: the
    environment variable with its key. held_out, fresh, out_of_scope: files of questions; without any the run's held-out rows.
    risk: the share of all questions that may be answered locally and wrong, at this level of confidence. Raises StudioError.
    """
    root = studio_home(home)
    endpoint, files = local_server.endpoint(large, key, price), _files(held_out, fresh, out_of_scope)
    folder, _ = cascades.calibrate(small, endpoint, files, root, risk=risk, level=level, right=right)
    return CalibratedCascade(folder, root)


def _files(held_out: Names, fresh: Names, out_of_scope: Names) -> Files:
    return Files(tuple(map(str, held_out)), tuple(map(str, fresh)), tuple(map(str, out_of_scope)))
