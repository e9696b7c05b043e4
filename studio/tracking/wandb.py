"""Weights & Biases, as a mirror of a run: online with a key, offline without, and never in the way.

The run folder is the truth; this only copies from it. Opening and closing are bounded in time, every call is guarded,
and what goes wrong is said once through the reporter. The key reaches the client in memory and is never written.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from studio.core import events
from studio.tracking import secrets
from studio.tracking.limits import redacted, within, without_paths
from studio.tracking.reporter import Reporter
from studio.tracking.settings import Tracking

T = TypeVar("T")
KEY = "WANDB_API_KEY"
STEP = "train/step"


class Sink:
    """An open W&B run. No method raises, and none blocks for long."""

    def __init__(self, run: Any, folder: Path, reporter: Reporter, finish_timeout: float) -> None:
        self._run, self._folder, self._reporter, self._finish_timeout = run, folder, reporter, finish_timeout
        self._failed = 0

    @property
    def url(self) -> str | None:
        """Where the run can be seen; None offline."""
        return getattr(self._run, "url", None)

    @property
    def online(self) -> bool:
        """Whether it goes to the server now."""
        return not self._run.offline

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One logged step: `loss` becomes `train/loss`, `eval_loss` becomes `eval/loss`, both over our own step."""
        named = {_metric_name(name): value for name, value in values.items() if math.isfinite(value)}
        self.guard("log", lambda: self._run.log({STEP: step, **named}))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Figures of the whole run, e.g. the verdict and the headline metric."""
        self.guard("summary", lambda: self._run.summary.update(dict(values)))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table, e.g. the sample answers."""

        def send() -> None:
            import wandb

            self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

        self.guard(f"table {name}", send)

    def page(self, name: str, html: str) -> None:
        """An HTML page as a panel."""

        def send() -> None:
            import wandb

            self._run.log({name: wandb.Html(html, inject=False)})

        self.guard(f"page {name}", send)

    def artifact(self, name: str, type: str, paths: Sequence[Path], metadata: Mapping[str, Any]) -> None:
        """Files and folders with their lineage in `metadata`; they are read where they lie, not copied. Of two files of one
        name the first counts."""

        def send() -> None:
            found = _artifact(name, type, metadata)
            files: dict[str, Path] = {}
            for path in paths:
                inside = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
                for file in inside:
                    files.setdefault(file.name if path.is_file() else file.relative_to(path).as_posix(), file)
            for name_inside, file in files.items():
                found.add_file(str(file), name=name_inside, policy="immutable", skip_cache=True)
            self._run.log_artifact(found)

        self.guard(f"artifact {name}", send)

    def used(self, name: str, type: str, about: Mapping[str, Any]) -> None:
        """What the run read, e.g. its dataset: an artifact that describes it without its content. The client links inputs
        only online; offline they are in the config alone."""

        def send() -> None:
            found = _artifact(name, type, shown := without_paths(dict(about)))
            with found.new_file(f"{type}.json", encoding="utf-8") as out:
                json.dump(shown, out, indent=2, sort_keys=True)
            self._run.use_artifact(found)

        if self.online:  # the client waits until the server has it
            self.guard(f"input {name}", lambda: within(self._finish_timeout / 2, send))

    def alert(self, title: str, text: str, level: Literal["INFO", "WARN", "ERROR"] = "INFO") -> None:
        """A message to whoever has W&B's alerts switched on."""
        self.guard("alert", lambda: self._run.alert(title=title, text=secrets.redact(text), level=level))

    def last_step(self) -> float:
        """The last step that W&B has of this run; 0 for a new one, and -1 offline, where nobody can say."""
        if not self.online:
            return -1
        try:
            return float(self._run.summary.get(STEP) or 0)
        except Exception:
            return 0

    def finish(self, ok: bool = True) -> str | None:
        """Send what is left, for at most the finish timeout, and close. The run's address, or None offline."""
        url = self.url
        try:
            within(self._finish_timeout + 10, lambda: self._run.finish(exit_code=0 if ok else 1))
        except Exception as problem:
            where = self.folder
            _warn(
                self._reporter,
                f"not everything reached W&B in time ({redacted(problem)}); the rest is kept in {where}",
                hint=f"Upload it later with: wandb sync {where}",
            )
        if self._failed > 1:
            _warn(self._reporter, f"{self._failed} calls to W&B failed in this run; the run folder has everything")
        return url

    @property
    def folder(self) -> Path:
        """Where the client keeps this run on disk; `wandb sync` takes it."""
        return Path(getattr(self._run, "dir", self._folder / "wandb")).parent

    def guard(self, what: str, call: Callable[[], object]) -> None:
        """Call it; an error is counted, and the first one said."""
        try:
            with _own_folders(self._folder):
                call()
        except Exception as problem:
            self._failed += 1
            if self._failed == 1:
                _warn(self._reporter, f"W&B did not take the {what}: {redacted(problem)}; the run goes on")


def open_sink(
    settings: Tracking,
    run_id: str,
    name: str,
    folder: Path,
    config: Mapping[str, Any],
    reporter: Reporter,
    *,
    job_type: str | None = "train",
    connect_timeout: float = 5,
    init_timeout: float = 30,
    finish_timeout: float = 60,
) -> Sink | None:
    """Open the W&B run of a run folder, or None if it is off or the client cannot be started.

    run_id is ours, so that a resumed run goes on in the same W&B run; job_type None leaves the type it
    has. config: the resolved spec, and what the run came from (dataset hash, model revision), since the client links inputs
    only online. Timeouts in seconds.
    """
    key = secrets.get(KEY)
    mode = _mode(settings, key)
    if mode is None:
        return None
    try:
        with _own_folders(folder):
            import wandb

            host = os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url
            arguments = _arguments(settings, run_id, name, folder, {**config, "wandb_host": host}, job_type)
            limits = {"init_timeout": init_timeout, "finish_timeout": finish_timeout}
            hard_limit = 2 * init_timeout + 10
            reason = _why_not_online(key, host, connect_timeout) if mode == "online" else None
            if mode == "online" and not reason:
                try:
                    online = {"base_url": host, "api_key": key, **limits}
                    run = within(hard_limit, lambda: _start(wandb, "online", arguments, online))
                    reporter.event(events.Tracking(mode="online", url=run.url or ""))
                    return Sink(run, folder, reporter, finish_timeout)
                except RuntimeError as problem:  # a call that never came back still holds the client: no second one then
                    reason = redacted(problem)
                    if wandb.run is None:  # the failed start holds the run's id until the client's process ends
                        wandb.teardown()
            if reason:
                _warn(reporter, f"W&B is kept offline: {reason}", hint="The log can be uploaded later: see docs/tracking.md.")
            run = within(hard_limit, lambda: _start(wandb, "offline", arguments, {"base_url": host, **limits}))
            sink = Sink(run, folder, reporter, finish_timeout)
            reporter.event(events.Tracking(mode="offline", upload=f"wandb sync {sink.folder}"))
            return sink
    except Exception as problem:
        _warn(reporter, f"W&B could not be started ({redacted(problem)}); the run goes on without it")
        return None


def _mode(settings: Tracking, key: str | None) -> Literal["online", "offline"] | None:
    """`auto` follows W&B's own WANDB_MODE, then whether there is a key; what the spec names outright wins."""
    if settings.wandb == "off":
        return None
    if settings.wandb == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
        if wanted == "disabled":
            return None
        return "online" if key and wanted not in ("offline", "dryrun") else "offline"
    return settings.wandb


def _why_not_online(key: str | None, host: str, seconds: float) -> str | None:
    if not key:
        return f"there is no key; set {KEY}, or store one with `keyring set {secrets.SERVICE} {KEY}`"
    try:
        within(seconds + 1, lambda: _knock(host, seconds))
    except Exception as problem:
        return f"{host} does not answer ({redacted(problem)})"
    return None


def _knock(host: str, seconds: float) -> None:
    """Whether the API answers there; any answer but a server error will do. The client itself would try for half a minute."""
    body, headers = b'{"query": "query { __typename }"}', {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{host.rstrip('/')}/graphql", body, headers, method="POST")
    try:
        urllib.request.urlopen(request, timeout=seconds).close()
    except urllib.error.HTTPError as refused:
        refused.close()
        if refused.code >= 500:
            raise


def _arguments(
    settings: Tracking, run_id: str, name: str, folder: Path, config: Mapping[str, Any], job_type: str | None
) -> dict[str, Any]:
    """What the client is told about the run."""
    return {
        "project": settings.project,
        "entity": settings.entity,
        "name": name,
        "id": run_id,
        "resume": "allow",
        "reinit": "create_new",  # a notebook may have a W&B run of its own
        "tags": settings.tags or None,
        "notes": settings.note or None,
        "group": settings.group,
        "job_type": job_type,
        "config": config if "paths" in settings.include else without_paths(dict(config)),
        "dir": str(folder),
    }


def _start(wandb: Any, mode: str, arguments: dict[str, Any], limits: dict[str, Any]) -> Any:
    """Start the client's run: nothing of the terminal, the code, git, the machine or its packages is collected."""
    client = wandb.Settings(
        finish_timeout_raises=True,
        console="off",
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
        host="",
        silent=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        **limits,
    )
    run = wandb.init(mode=mode, settings=client, **arguments)
    run.define_metric(STEP)
    run.define_metric("train/*", step_metric=STEP)
    run.define_metric("eval/*", step_metric=STEP)
    return run


def _artifact(name: str, type: str, metadata: Mapping[str, Any]) -> Any:
    import wandb

    return wandb.Artifact(re.sub(r"[^\w.-]+", "-", name)[:128], type=type, metadata=without_paths(dict(metadata)))


def _metric_name(name: str) -> str:
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


@contextlib.contextmanager
def _own_folders(folder: Path) -> Iterator[None]:
    """W&B's staging and cache inside the run folder, so that the folder alone is enough to upload it later."""
    wanted = {"WANDB_DATA_DIR": str(folder / "wandb" / "data"), "WANDB_CACHE_DIR": str(folder / "wandb" / "cache")}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _warn(reporter: Reporter, message: str, hint: str = "") -> None:
    with contextlib.suppress(Exception):
        reporter.event(events.Warning(message=message, hint=hint))
