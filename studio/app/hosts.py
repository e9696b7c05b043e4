"""Use cases of the other servers that this studio asks: which ones, what for, and which an owner allows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from studio.app import benchmark_results, cascades, indexes, making, runs
from studio.core import outbound
from studio.core.errors import StudioError
from studio.remote import answers
from studio.remote.endpoint import KEYS


def in_use(home: Path) -> list[tuple[str, str, bool]]:
    """Hosts this studio asks: (host, what for, whether it is allowed); those of the settings, then what people entered."""
    found: dict[str, str] = {}

    def add(url: str, purpose: str) -> None:
        host = urlsplit(url).hostname or ""
        if host and purpose not in found.get(host, ""):
            found[host] = f"{found[host]}, {purpose}" if host in found else purpose

    add(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", "models and datasets of the hub")
    add(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai", "Weights & Biases")
    for url, purpose in _models(home):
        add(url, purpose)
    for index in indexes.indexes(home):
        if index.record.url:
            add(index.record.url, f"index {index.record.name}")
    for host in answers.hosts_asked(home / answers.FILE):  # comparisons, judges by `--by`: whoever was asked and has answered
        add(f"//{host}", "answers kept from it")
    allowed = outbound.read(home)
    return [(host, purpose, outbound.is_allowed(host, allowed)) for host, purpose in found.items()]


def with_keys(home: Path) -> dict[str, str]:
    """Hosts of models, with their port where one is named, and what each is asked for, but those whose keys have names of
    their own."""
    found: dict[str, str] = {}
    for url, purpose in _models(home):
        parts = urlsplit(url)
        if parts.hostname and parts.hostname not in KEYS:
            found.setdefault(parts.netloc.rpartition("@")[2], purpose)
    return found


def _models(home: Path) -> Iterator[tuple[str, str]]:
    """The addresses of models that runs, cascades, measurements and jobs ask, and as what."""
    for run in runs.list_runs(home):
        with contextlib.suppress(StudioError, *runs.DAMAGED, OSError):
            spec = run.spec
            yield spec.evaluation.judge.model, f"judge of {run.id}"
            yield getattr(spec.training.method, "teacher", ""), f"teacher of {run.id}"
    for cascade in cascades.list_cascades(home):
        yield cascade.large.url, f"large model of {cascade.id}"
    for result in benchmark_results.results(home):
        for item in result.items:
            if item.kind == "api":
                yield f"//{item.engine}", f"measurement {result.id}"
    for job in making.list_jobs(home):
        with contextlib.suppress(StudioError, OSError, ValueError):
            spec = job.folder.spec
            for purpose, endpoint in (("teacher", spec.teacher), ("student", spec.student), ("judge", spec.judge)):
                if endpoint is not None:
                    yield endpoint.url, f"{purpose} of {job.id}"


def allowed(home: Path) -> tuple[str, ...]:
    """The hosts an owner allows; empty: all but link-local and metadata addresses."""
    return outbound.read(home).allowed


def allow(lines: str, home: Path) -> tuple[str, ...]:
    """Allow the hosts of a text, one a line, and no others; an empty text allows all. Raises SpecError."""
    return outbound.write(tuple(line for line in lines.split() if line), home).allowed
