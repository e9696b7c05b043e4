"""Use case of comparing runs: the settings in which they differ, and their results side by side."""

# pyright: reportMissingTypeStubs=false
# pandas brings no types of its own.

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import runs
from studio.app.run_summary import RunSummary
from studio.app.runs import Run
from studio.core.errors import JobError
from studio.core.plain import is_object

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs side by side."""

    runs: tuple[Run, ...]
    settings: tuple[tuple[str, list[Any]], ...]
    """Spec fields in which they differ, each with its value in every run."""
    summaries: tuple[RunSummary, ...]
    evidence: tuple[list[tuple[str, ...]], ...]
    """The rows of each run's evidence as a table; none for a run without."""

    @property
    def results(self) -> dict[str, list[Any]]:
        """State, held-out loss and every figure (base → tuned), by name, one value a run."""
        columns = [
            {
                "state": summary.state,
                "held-out loss": summary.held_out_loss,
                **{f"{part}: {figure}": f"{base} → {tuned}" for part, figure, base, tuned, *_ in rows},
            }
            for summary, rows in zip(self.summaries, self.evidence, strict=True)
        ]
        names = dict.fromkeys(name for column in columns for name in column)
        return {name: [column.get(name) for column in columns] for name in names}

    def to_pandas(self) -> DataFrame:
        """One column a run; rows are settings that differ and results, told apart by the index (`part`, `name`)."""
        import pandas

        rows = [("setting", name, values) for name, values in self.settings]
        rows += [("result", name, values) for name, values in self.results.items()]
        index = pandas.MultiIndex.from_tuples([(part, name) for part, name, _ in rows], names=["part", "name"])
        return pandas.DataFrame([values for *_, values in rows], index=index, columns=[run.id for run in self.runs])

    def __repr__(self) -> str:
        lines = (
            ["", *(run.id for run in self.runs)],
            *([name, *values] for name, values in (*self.settings, *self.results.items())),
        )
        cells = [[_cell(value) for value in line] for line in lines]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)

    def _repr_html_(self) -> str:
        from studio.app import display

        return display.comparison(self)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def compare(*which: Run | str | Path, home: str | Path | None = None) -> Comparison:
    """Runs side by side: `studio.compare(run, "last")`. Takes runs, ids and id prefixes. Raises JobError for fewer than two."""
    if len(which) < 2:
        raise JobError("a comparison takes two runs or more", hint="studio.compare(run, other)", where="compare")
    found = tuple(item if isinstance(item, Run) else runs.find(item, home) for item in which)
    return Comparison(
        found,
        tuple(differences(list(found))),
        tuple(run.summary() for run in found),
        tuple(evidence_rows(run) for run in found),
    )


def differences(runs: list[Run]) -> list[tuple[str, list[Any]]]:
    """The spec fields in which runs differ: (field, value in each run)."""
    flat = [_flat(run.spec.model_dump(mode="json")) for run in runs]
    names = sorted({name for values in flat for name in values})
    rows = [(name, [values.get(name) for values in flat]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values[1:])]


def _flat(values: object, prefix: str = "") -> dict[str, Any]:
    if is_object(values) and values:
        return {name: value for key, inner in values.items() for name, value in _flat(inner, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): values}


def evidence_rows(run: Run) -> list[tuple[str, ...]]:
    """The evidence of a run as the rows of a table; none before there is any."""
    if not run.folder.report.exists():
        return []
    from studio.evaluation import table

    return [tuple(row) for row in table.rows(run.report)]
