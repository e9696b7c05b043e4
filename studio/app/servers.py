"""Use cases of running servers: start one, see how it does, read its log, stop it.

A server is `studio serve` in a process and a session of its own: it goes on when its page, its terminal or the web server
ends. What was started from here is noted in `<home>/serving/started/`, beside its log.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from studio.app import serving
from studio.app.serving import ServerNote
from studio.core.errors import HardwareError, JobError, StudioError
from studio.core.files import make_home
from studio.core.records import Record, RecordError
from studio.processes import spawn, terminate
from studio.processes.command import error_of
from studio.processes.identity import ProcessId, process_of
from studio.runs.folder import RunFolder, read_object

State = Literal["starting", "ready", "ending", "not answering", "failed"]
KEPT = 20
"""Notes and logs of ended servers that are kept."""


class StartedNote(Record):
    """`serving/started/<time>.json`: a server that was started from a page or by Python, beside its log."""

    label: ClassVar[str] = "note of a started server"
    remedy: ClassVar[str] = "Set it aside: studio doctor --repair"

    process: Annotated[ProcessId, BeforeValidator(process_of)]
    given: tuple[str, ...]
    since: float
    """Seconds since 1970."""
    port: int = 0
    stopped: bool = False
    """Somebody asked it to end."""


@dataclass(frozen=True)
class Server:
    """A server of this home. url is empty until it listens; log is None where its terminal has it."""

    process: ProcessId
    state: State
    url: str = ""
    models: tuple[str, ...] = ()
    since: float = 0.0
    models_requested: tuple[str, ...] = ()
    log: Path | None = None
    error: StudioError | None = None
    collecting: bool = False
    """Its answers are kept in the home, to be rated."""

    @property
    def key(self) -> str:
        """What tells it from every other."""
        return f"{self.process.pid}-{self.process.start_ticks}"


@dataclass(frozen=True)
class ServerStats:
    """How a server does, from its own metrics. Times in seconds; None where nothing was asked yet."""

    requests: int = 0
    failed: int = 0
    active: int = 0
    waiting: int = 0
    written: int = 0
    first_p50: float | None = None
    first_p95: float | None = None
    speed: float | None = None
    """Tokens per second of one answer, median."""
    engines: dict[str, str] = field(default_factory=dict[str, str])
    """Model to engine."""
    locked: bool = False
    """It asks for an API key, also for its metrics."""


def start(names: Sequence[str], home: Path, port: int = 0, extra: Sequence[str] = (), until: ProcessId | None = None) -> Server:
    """Start `studio serve` and return at once. port 0 takes a free one; until: it ends when that process is gone.

    Raises StudioError for what cannot be served.
    """
    serving.sources(serving.ServeRequest(tuple(names)), home)  # what is wrong with a name is said here, not in a log
    folder = make_home(home) / "serving" / "started"
    folder.mkdir(parents=True, exist_ok=True)
    _tidy(folder)
    log = folder / f"{time.time_ns()}.log"
    command = spawn.python("studio", "serve", *names, "--port", str(port), "--home", str(home), *extra)
    if until is not None:
        command += ["--until", str(until)]
    process = spawn.detached(command, log)
    note = StartedNote(process=process, given=tuple(names), since=time.time(), port=port)
    note.write(log.with_suffix(".json"))
    return Server(process, "starting", since=note.since, models_requested=note.given, log=log)


def servers(home: Path) -> list[Server]:
    """Every server of this home that lives, and those started here that failed; the newest first."""
    notes = _notes(home / "serving" / "started")
    listening = {note.process: note for note in serving.running(home)}
    found: list[Server] = []
    for file, note in notes.items():
        there = listening.pop(note.process, None)
        base = Server(note.process, "starting", since=note.since, models_requested=note.given, log=file.with_suffix(".log"))
        if there is not None:
            found.append(_listening(base, there))
        elif note.process.alive():
            found.append(base)
        elif not note.stopped:
            found.append(replace(base, state="failed", error=_why(base)))
    for there in listening.values():
        found.append(_listening(Server(there.process, "starting", since=there.since), there))
    return sorted(found, key=lambda item: item.since, reverse=True)


def find(key: str, home: Path) -> Server:
    """The server of that key. Raises JobError."""
    for server in servers(home):
        if server.key == key:
            return server
    raise JobError("there is no such server any more", hint="Choose one from the list.", where="Serve")


def choices(home: Path) -> list[tuple[str, str]]:
    """What could be served, as (label, what `studio serve` is given): runs with an adapter, their exports, models."""
    from studio.app import library, runs

    found: list[tuple[str, str]] = []
    for run in runs.list_runs(home):
        if (run.folder.adapter / "adapter_config.json").exists():
            found.append((f"{run.title} · {run.id}", run.id))
        for kind, folder in _exports(run.folder):
            if kind in ("merged", "gguf"):
                found.append((f"{run.title} · {run.id} · {folder.name}", str(folder)))
    found += [(path.name, str(path)) for path in library.models(home)]
    return [*found, ("starter, as shipped", "starter")]


def _exports(folder: RunFolder) -> list[tuple[str, Path]]:
    """The exports whose manifest can be read."""
    found: list[tuple[str, Path]] = []
    for file in folder.manifests():
        with contextlib.suppress(StudioError, OSError):
            found.append((str(read_object(file).get("kind")), file.parent))
    return found


def wait_until_ready(server: Server, home: Path, seconds: float = 900.0) -> Server:
    """The server once it answers. Raises what it said when it could not start, or HardwareError after so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        now = find(server.key, home)
        if now.state == "ready":
            return now
        if now.error is not None:
            raise now.error
        time.sleep(0.1)
    raise HardwareError(
        f"the server was not ready after {seconds:.0f} seconds",
        hint="See its log, or try a smaller model.",
        where=str(server.log),
    )


def stop(server: Server, patience: float = 0.0) -> None:
    """Ask a server to end after the answers under way; wait so long, then end it. Asked a second time, it ends at once."""
    if server.log is not None:
        file = server.log.with_suffix(".json")
        with contextlib.suppress(OSError, RecordError):
            StartedNote.read(file).model_copy(update={"stopped": True}).write(file)
    if patience:
        terminate.end(server.process, patience)
    else:
        terminate.request(server.process)


def stats(server: Server) -> ServerStats:
    """How a server does, asked of itself; all zeros while it does not answer."""
    import httpx

    if not server.url:
        return ServerStats()
    root = server.url.removesuffix("/v1")
    try:
        with httpx.Client(timeout=2, trust_env=False) as client:
            metrics, models = client.get(f"{root}/metrics"), client.get(f"{server.url}/models")
    except httpx.HTTPError:
        return ServerStats()
    if 401 in (metrics.status_code, models.status_code):
        return ServerStats(locked=True)
    listed: list[dict[str, Any]] = models.json().get("data", []) if models.status_code == 200 else []
    return read_metrics(metrics.text, {item["id"]: item.get("engine", "") for item in listed})


def read_metrics(text: str, engines: dict[str, str] | None = None) -> ServerStats:
    """What a server's `/metrics` says, over all its models."""
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = {}
    requests = failed = 0.0
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            values[name] = values.get(name, 0.0) + value
            if name.endswith("_bucket"):
                bound = float(labels["le"])
                found = buckets.setdefault(family.name, {})
                found[bound] = found.get(bound, 0.0) + value
            if name == "studio_requests_total" and labels.get("path", "").endswith("completions"):
                requests += value
                failed += value * (not labels.get("status", "").startswith("2"))
    first, speed = buckets.get("studio_first_token_seconds", {}), buckets.get("studio_tokens_per_second", {})
    return ServerStats(
        requests=int(requests),
        failed=int(failed),
        active=int(values.get("studio_active", 0)),
        waiting=int(values.get("studio_queue", 0)),
        written=int(values.get("studio_written_tokens_total", 0)),
        first_p50=quantile(first, 0.5),
        first_p95=quantile(first, 0.95),
        speed=quantile(speed, 0.5),
        engines=engines or {},
    )


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """A quantile of a Prometheus histogram (bound to cumulative count), linear within its bucket; None if it is empty."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    low, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= share * total:
            if bound == float("inf"):
                return low
            inside = buckets[bound] - below
            return low + (bound - low) * ((share * total - below) / inside if inside else 1.0)
        low, below = bound, buckets[bound]
    return low


def log_tail(server: Server, most: int = 8000) -> str:
    """The end of its log, without what looks like a key; empty where its terminal has it."""
    from studio.tracking.secrets import redact

    if server.log is None or not server.log.exists():
        return ""
    with open(server.log, "rb") as lines:
        lines.seek(max(0, server.log.stat().st_size - most))
        return redact(lines.read().decode("utf-8", "replace"))


def _listening(server: Server, note: ServerNote) -> Server:
    url, state = note.url, _state(note.url)
    return replace(server, url=url, models=note.models, since=note.since, collecting=note.collecting, state=state)


def _state(url: str) -> State:
    import httpx

    try:
        found = httpx.get(f"{url.removesuffix('/v1')}/ready", timeout=2, trust_env=False)
        word = found.json().get("status", "")
    except (httpx.HTTPError, ValueError):
        return "not answering"
    states: dict[str, State] = {"ready": "ready", "draining": "ending", "loading": "starting"}
    return states.get(word, "not answering")


def _why(server: Server) -> StudioError:
    told = log_tail(server)
    return error_of("", told, 1, "serve")


def _notes(folder: Path) -> dict[Path, StartedNote]:
    """The notes of servers started here, the oldest first; one that is damaged or deleted meanwhile is passed over."""
    found: dict[Path, StartedNote] = {}
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, RecordError):
            found[file] = StartedNote.read(file)
    return found


def _tidy(folder: Path) -> None:
    """Let go of the oldest notes of servers that have ended."""
    ended = [file for file, note in _notes(folder).items() if not note.process.alive()]
    for file in ended[: max(0, len(ended) - KEPT)]:
        file.unlink(missing_ok=True)
        file.with_suffix(".log").unlink(missing_ok=True)
