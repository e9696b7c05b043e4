"""Weights & Biases, as a mirror of a run: online with a key, offline without, and never in the way.

The run folder is the truth; this only copies from it. Opening and closing are bounded in time, every call is guarded,
and what goes wrong is said once through the reporter. The key reaches the client in memory and is never written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from studio.core import events, outbound
from studio.core.files import write_text
from studio.tracking import secrets
from studio.tracking.limits import redacted, within, without_paths
from studio.tracking.reporter import Reporter
from studio.tracking.settings import PROJECT, Tracking
from studio.tracking.sink import STEP, Level, Sink, warn

if TYPE_CHECKING:
    from types import ModuleType

KEY = "WANDB_API_KEY"


class WandbSink(Sink):
    """An open W&B run."""

    label = "W&B"

    def __init__(self, run: Any, folder: Path, reporter: Reporter, finish_timeout: float) -> None:
        super().__init__(folder, reporter, finish_timeout)
        self._run = run
        self._mark = folder / "wandb" / "mirrored-step"

    @property
    def url(self) -> str | None:
        """Where the run can be seen; None offline."""
        return getattr(self._run, "url", None)

    @property
    def online(self) -> bool:
        """Whether it goes to the server now."""
        return not self._run.offline

    @property
    def folder(self) -> Path:
        """Where the client keeps this run on disk; `wandb sync` takes it."""
        return Path(getattr(self._run, "dir", self.run_folder / "wandb")).parent

    @property
    def upload(self) -> str:
        """The command that uploads what is kept on this disk."""
        return f"wandb sync {self.folder}"

    def last_step(self) -> float:
        """The last step that W&B has of this run; offline, where nobody can say, the last one that was written to a log."""
        if self.online:
            try:
                return float(self._run.summary.get(STEP) or 0)
            except Exception:
                return 0
        try:
            return float(self._mark.read_text("utf-8"))
        except (OSError, ValueError):
            return -1

    def _surroundings(self) -> contextlib.AbstractContextManager[None]:
        return _own_folders(self.run_folder)

    def _log(self, step: int, values: dict[str, float]) -> None:
        self._run.log({STEP: step, **values})
        write_text(self._mark, str(step), durable=False)

    def _summary(self, values: dict[str, Any]) -> None:
        self._run.summary.update(values)

    def _table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
        import wandb

        named: list[Any] = list(columns)
        values: list[Any] = list(rows)
        self._run.log({name: wandb.Table(columns=named, data=values)})

    def _page(self, name: str, html: str) -> None:
        import wandb

        self._run.log({name: wandb.Html(html, inject=False)})

    def _artifact(self, name: str, type: str, files: dict[str, Path], metadata: dict[str, Any], fleeting: bool) -> None:
        found = _artifact(name, type, metadata)
        for inside, file in files.items():
            found.add_file(str(file), name=inside, policy="mutable" if fleeting else "immutable", skip_cache=True)
        self._run.log_artifact(found)

    def _used(self, name: str, type: str, about: dict[str, Any]) -> None:
        if not self.online:
            return  # the client links inputs only online; offline they are in the config alone
        found = _artifact(name, type, about)
        with found.new_file(f"{type}.json", encoding="utf-8") as out:
            json.dump(about, out, indent=2, sort_keys=True)
        self._run.use_artifact(found)

    def _alert(self, title: str, text: str, level: Level) -> None:
        self._run.alert(title=title, text=text, level=level)

    def _finish(self, ok: bool) -> None:
        self._run.finish(exit_code=0 if ok else 1)


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
) -> WandbSink | None:
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
            sweep = _sweep(folder)
            run_id, tags = (sweep.run_id, [*settings.tags, f"sweep-{sweep.id}"]) if sweep else (run_id, settings.tags)
            arguments = _arguments(settings, tags, run_id, name, folder, {**config, "wandb_host": host}, job_type)
            limits = {"init_timeout": init_timeout, "finish_timeout": finish_timeout}
            hard_limit = 2 * init_timeout + 10
            reason = _why_not_online(key, host, connect_timeout) if mode == "online" else None
            if mode == "online" and not reason:
                try:
                    online = {"base_url": host, "api_key": key, **limits}
                    run = within(hard_limit, lambda: _start(wandb, "online", arguments, online))
                    reporter.event(events.Tracking(mode="online", url=run.url or ""))
                    return WandbSink(run, folder, reporter, finish_timeout)
                except RuntimeError as problem:  # a call that never came back still holds the client: no second one then
                    reason = redacted(problem)
                    if wandb.run is None:  # the failed start holds the run's id until the client's process ends
                        wandb.teardown()
            if reason:
                warn(reporter, f"W&B is kept offline: {reason}", hint="The log can be uploaded later: see docs/tracking.md.")
            run = within(hard_limit, lambda: _start(wandb, "offline", arguments, {"base_url": host, **limits}))
            sink = WandbSink(run, folder, reporter, finish_timeout)
            reporter.event(events.Tracking(mode="offline", upload=sink.upload))
            return sink
    except Exception as problem:
        warn(reporter, f"W&B could not be started ({redacted(problem)}); the run goes on without it")
        return None


class _Sweep(NamedTuple):
    """Which run of which sweep an agent has started."""

    run_id: str
    id: str


def _sweep(folder: Path) -> _Sweep | None:
    """The sweep this run belongs to, and the id that its agent chose; kept, so that a resumed run stays it."""
    kept = folder / "wandb" / "sweep.json"
    sweep, run_id = os.environ.get("WANDB_SWEEP_ID"), os.environ.get("WANDB_RUN_ID")
    if sweep and run_id and not (folder / "wandb").exists():
        write_text(kept, json.dumps(_Sweep(run_id, sweep)._asdict()))
    return _Sweep(**json.loads(kept.read_text("utf-8"))) if kept.exists() else None


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
        outbound.require(host, "WANDB_BASE_URL")
        within(seconds + 1, lambda: _knock(host, seconds))
    except Exception as problem:
        return f"{host} does not answer ({redacted(problem)})"
    return None


def _knock(host: str, seconds: float) -> None:
    """Whether the API answers there; any answer but a server error will do. The client itself would try for half a minute."""
    body, headers = b'{"query": "query { __typename }"}', {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{host.rstrip('/')}/graphql", body, headers, method="POST")
    try:
        outbound.open_url(request, seconds).close()
    except urllib.error.HTTPError as refused:
        refused.close()
        if refused.code >= 500:
            raise


def _arguments(
    settings: Tracking, tags: list[str], run_id: str, name: str, folder: Path, config: Mapping[str, Any], job_type: str | None
) -> dict[str, Any]:
    """What the client is told about the run."""
    return {
        "project": settings.project or PROJECT,
        "entity": settings.entity,
        "name": name,
        "id": run_id,
        "resume": "allow",
        "reinit": "create_new",  # a notebook may have a W&B run of its own
        "tags": tags or None,
        "notes": settings.note or None,
        "group": settings.group,
        "job_type": job_type and (settings.job_type or job_type),
        "config": config if "paths" in settings.include else without_paths(dict(config)),
        "dir": str(folder),
    }


def _start(wandb: ModuleType, mode: str, arguments: dict[str, Any], limits: dict[str, Any]) -> Any:
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

    return wandb.Artifact(re.sub(r"[^\w.-]+", "-", name)[:128], type=type, metadata=dict(metadata))


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
