"""What the model card and the deploy files say of a run besides its weights; never a row, a path or a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.text import shorten
from studio.tracking.secrets import redact

if TYPE_CHECKING:
    from studio.data.collected import CollectedRows
    from studio.data.desk_report import DeskReport
    from studio.data.made_rows import MadeRows
    from studio.data.report import DataReport
    from studio.evaluation.judge.opinion import Opinion
    from studio.evaluation.report import Report

_PLACE = re.compile(r"^(?:~|/|[A-Za-z]:[\\/]|\.\.?[\\/])")


@dataclass(frozen=True)
class RunInfo:
    """A run's resolved spec, its data report and its evidence; whatever there is of them."""

    spec: dict[str, Any] = field(default_factory=dict)
    """The resolved spec as plain values."""
    data: DataReport | None = None
    report: Report | None = None
    judged: Opinion | None = None
    """What a judge and people found of its answers."""
    checked: DeskReport | None = None
    """What the checks found in the rows it was trained on."""
    made_rows: tuple[MadeRows, ...] = ()
    """Of datasets whose rows a model wrote: which one, from what, on what terms."""
    collected: tuple[CollectedRows, ...] = ()
    """Of datasets with rows that people made by rating and correcting answers."""

    @property
    def hub_data(self) -> list[str]:
        """Datasets of the hub it was trained on; empty if any of its data is a file."""
        named = self.spec.get("data", {}).get("train") or []
        names = [named] if isinstance(named, str) else named
        return [name.removeprefix("hub:").split(":")[0] for name in names] if _all_on_hub(names) else []


def collect_run_info(
    spec: dict[str, Any],
    data: Path,
    evidence: Path,
    made_rows: tuple[MadeRows, ...] = (),
    collected: tuple[CollectedRows, ...] = (),
) -> RunInfo:
    """What is known of a run with the resolved `spec`, from its data report and its evaluation's where they are there."""
    from studio.data.desk_report import DeskReport
    from studio.data.report import DataReport
    from studio.evaluation.judge.opinion import opinion
    from studio.evaluation.report import Report

    report = Report.read(evidence) if evidence.exists() else None
    unseen = report.unseen if report else None
    judged = None
    if unseen is not None and unseen.answers and evidence.with_name("judge.json").exists():
        judged = opinion(unseen.answers, evidence.with_name("judge.json"), evidence.with_name("ratings.jsonl"))
    findings = data.with_name("findings.json")
    return RunInfo(
        spec=spec,
        data=DataReport.read(data) if data.exists() else None,
        report=report,
        judged=judged,
        checked=DeskReport.read(findings) if findings.exists() else None,
        made_rows=made_rows,
        collected=collected,
    )


def _all_on_hub(names: list[str]) -> bool:
    return bool(names) and all(name.startswith("hub:") for name in names)


def shown(value: object) -> Any:
    """Settings as they may be published: a place as the file's own name, what looks like a secret masked."""
    if isinstance(value, dict):
        return {shown(key): shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"[0-9a-f]{40}", value):
        return value  # a commit, which `redact` takes for an old key
    return redact(named(value))


def named(text: str) -> str:
    """A file's name without the place where it lies on this machine; other text as it is."""
    last = re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    return last if _PLACE.match(text) and "\n" not in text else text


def cell(value: object) -> str:
    """A value as one cell of a Markdown table."""
    return shorten(str(value), 200).replace("|", "\\|").replace("<", "&lt;")
