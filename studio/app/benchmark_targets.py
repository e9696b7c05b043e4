"""What is measured: names as given, the rows that all of them are asked, and what is known of their quality already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app import serving
from studio.benchmark import client, prompts
from studio.benchmark.client import Api
from studio.benchmark.result import Kind
from studio.core.errors import JobError, SpecError
from studio.core.files import read_json
from studio.evaluation.interval import Estimate
from studio.evaluation.metrics import TEXT_METRICS
from studio.runs.folder import find_export


@dataclass(frozen=True)
class BenchTarget:
    """One target of a benchmark. source: what `studio serve` is given; run: the folder of the run it is of."""

    name: str
    kind: Kind
    source: str = ""
    api: Api | None = None
    run: Path | None = None
    model: str = ""

    @property
    def is_gguf(self) -> bool:
        """llama.cpp serves it."""
        return self.source.endswith(".gguf") or (bool(self.source) and any(Path(self.source).glob("*.gguf")))


def targets(requested: Sequence[str], apis: Sequence[Api], home: Path) -> list[BenchTarget]:
    """What each name stands for. Raises SpecError, JobError, ModelError, Refused."""
    found = [_target(name, home) for name in dict.fromkeys(requested)]
    found += [BenchTarget(f"{api.model} · {api.host}", "api", api=api) for api in apis]
    if not found:
        raise SpecError("there is nothing to measure", hint="Name a run, an export or an API: studio bench last.")
    names = [one.name for one in found]
    twice = next((one.name for index, one in enumerate(found) if one.name in names[:index]), None)
    if twice:
        raise SpecError("it is named twice", hint="Name each once.", where=twice)
    return found


def _target(name: str, home: Path) -> BenchTarget:
    if "://" in name:
        url, sign, model = name.partition("#")
        if not sign or not model:
            raise SpecError("the address names no model", hint=f"Add it: {url}#MODEL.", where=name)
        api = client.api(url, model)
        return BenchTarget(f"{model} · {api.host}", "api", api=api)
    there = find_export(name, home)
    if there is not None:
        run = there.parent.parent
        return BenchTarget(f"{run.name}:{there.name}", "export", str(there), run=run)
    [source] = serving.sources(serving.ServeRequest((name,)), home)
    if source.run:
        return BenchTarget(
            source.run, "run", name, run=home / "runs" / source.run, model=source.model.name if source.model else ""
        )
    path = Path(name).expanduser()
    if (path / "artifact.json").exists():
        owner = path.absolute().parent.parent
        is_run = (owner / "asked.yaml").exists()
        return BenchTarget(
            f"{owner.name}:{path.name}" if is_run else path.name, "export", str(path), run=owner if is_run else None
        )
    return BenchTarget(source.name, "export" if source.gguf else "model", name, model=source.model.name if source.model else "")


def rows(targets: Sequence[BenchTarget], questions: str, most: int, home: Path) -> prompts.Chosen:
    """What everything is asked: a file, a run's held-out rows, those of the first run among `targets`, or general questions."""
    if questions:
        file = Path(questions).expanduser()
        if file.is_file():
            return prompts.from_file(file, most)
        from studio.app.runs import find

        run = find(questions, home)
        chosen = prompts.held_out(run.folder.data, run.id, most)
        if chosen is None:
            raise JobError("this run has no held-out rows to ask", hint="Give a file: --prompts FILE.", where=run.id)
        return chosen
    for folder in (target.run for target in targets):
        chosen = prompts.held_out(folder / "data", folder.name, most) if folder else None
        if chosen:
            return chosen
    return prompts.general(most, "starter" if any(target.model == "starter" for target in targets) else "")


def _report(folder: Path | None) -> dict[str, Any] | None:
    """The first set of a run's evidence."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        return read_json(folder / "evaluation" / "report.json")["sets"][0] if folder else None
    return None


def longest(targets: Sequence[BenchTarget]) -> int:
    """The limit on answers that the first run's evidence was measured with."""
    return max((int((_report(target.run) or {}).get("max_new_tokens") or 0) for target in targets), default=0)


def metric(targets: Sequence[BenchTarget]) -> str:
    """The text metric that is read first: the one a run's verdict reads, if it is one."""
    heads = [head for target in targets if (head := (_report(target.run) or {}).get("headline")) in TEXT_METRICS]
    return heads[0] if heads else "token_f1"


def evidence(target: BenchTarget) -> dict[str, Estimate]:
    """What was measured before: of a run by its evaluation, of an export by its verification."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if target.kind == "run":
            metrics = (_report(target.run) or {}).get("metrics", {})
            return {name: Estimate(**pair["tuned"]) for name, pair in metrics.items() if name in TEXT_METRICS}
        if target.kind == "export":
            told: dict[str, Any] = read_json(Path(target.source) / "artifact.json")["verification"].get("evidence") or {}
            figures: dict[str, Any] = told.get("metrics", {})
            return {
                name: Estimate(one["artifact"], None, None, told["rows"])
                for name, one in figures.items()
                if name in TEXT_METRICS
            }
    return {}
