"""Weights & Biases, as a mirror of a run: online with a key, offline without, and never in the way.

The run folder is the truth; this only copies from it. Opening and closing are bounded in time, every call is guarded,
and what goes wrong is said once through the reporter. The key reaches the client in memory and is never written.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from studio.core import events
from studio.tracking import secrets
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
        self._guard("log", lambda: self._run.log({STEP: step, **named}))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Figures of the whole run, e.g. the verdict and the headline metric."""
        self._guard("summary", lambda: self._run.summary.update(dict(values)))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table, e.g. the sample answers."""

        def send() -> None:
            import wandb

            self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

        self._guard(f"table {name}", send)

    def artifact(self, name: str, type: str, path: Path, metadata: Mapping[str, Any]) -> None:
        """A file or folder with its lineage in `metadata`; the files are read where they lie, not copied."""

        def send() -> None:
            import wandb

            found = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name)[:128], type=type, metadata=dict(metadata))
            for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
                inside = file.name if path.is_file() else file.relative_to(path).as_posix()
                found.add_file(str(file), name=inside, policy="immutable", skip_cache=True)
            self._run.log_artifact(found)

        self._guard(f"artifact {name}", send)

    def finish(self, ok: bool = True) -> str | None:
        """Send what is left, for at most the finish timeout, and close. The run's address, or None offline."""
        url = self.url
        try:
            _within(self._finish_timeout + 10, lambda: self._run.finish(exit_code=0 if ok else 1))
        except Exception as problem:
            where = self.folder
            _warn(
                self._reporter,
                f"not everything reached W&B in time ({_said(problem)}); the rest is kept in {where}",
                hint=f"Upload it later with: wandb sync {where}",
            )
        if self._failed > 1:
            _warn(self._reporter, f"{self._failed} calls to W&B failed in this run; the run folder has everything")
        return url

    @property
    def folder(self) -> Path:
        """Where the client keeps this run on disk; `wandb sync` takes it."""
        return Path(getattr(self._run, "dir", self._folder / "wandb")).parent

    def _guard(self, what: str, call: Callable[[], object]) -> None:
        try:
            with _own_folders(self._folder):
                call()
        except Exception as problem:
            self._failed += 1
            if self._failed == 1:
                _warn(self._reporter, f"W&B did not take the {what}: {_said(problem)}; the run goes on")


def open_sink(
    settings: Tracking,
    run_id: str,
    name: str,
    folder: Path,
    config: Mapping[str, Any],
    reporter: Reporter,
    *,
    connect_timeout: float = 5,
    init_timeout: float = 30,
    finish_timeout: float = 60,
) -> Sink | None:
    """Open the W&B run of a run folder, or None if it is off or the client cannot be started.

    run_id is ours, so that a resumed run goes on in the same W&B run. config: the resolved spec, and what the run came
    from (dataset hash, model revision, parent run), since lineage by artifacts needs the server. Timeouts in seconds.
    """
    key = secrets.get(KEY)
    mode = _mode(settings, key)
    if mode is None:
        return None
    try:
        with _own_folders(folder):
            import wandb

            host = os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url
            arguments = _arguments(settings, run_id, name, folder, {**config, "wandb_host": host})
            limits = {"init_timeout": init_timeout, "finish_timeout": finish_timeout}
            hard_limit = 2 * init_timeout + 10
            reason = _why_not_online(key, host, connect_timeout) if mode == "online" else None
            if mode == "online" and not reason:
                try:
                    online = {"base_url": host, "api_key": key, **limits}
                    run = _within(hard_limit, lambda: _start(wandb, "online", arguments, online))
                    reporter.event(events.Tracking(mode="online", url=run.url or ""))
                    return Sink(run, folder, reporter, finish_timeout)
                except RuntimeError as problem:  # a call that never came back still holds the client: no second one then
                    reason = _said(problem)
            if reason:
                _warn(reporter, f"W&B is kept offline: {reason}", hint="The log can be uploaded later: see docs/tracking.md.")
            run = _within(hard_limit, lambda: _start(wandb, "offline", arguments, {"base_url": host, **limits}))
            sink = Sink(run, folder, reporter, finish_timeout)
            reporter.event(events.Tracking(mode="offline", upload=f"wandb sync {sink.folder}"))
            return sink
    except Exception as problem:
        _warn(reporter, f"W&B could not be started ({_said(problem)}); the run goes on without it")
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
        _within(seconds + 1, lambda: _knock(host, seconds))
    except Exception as problem:
        return f"{host} does not answer ({_said(problem)})"
    return None


def _knock(host: str, seconds: float) -> None:
    """Whether anything answers there; any HTTP answer will do. The client itself would try for over half a minute."""
    try:
        urllib.request.urlopen(urllib.request.Request(host, method="HEAD"), timeout=seconds).close()
    except urllib.error.HTTPError:
        return


def _arguments(settings: Tracking, run_id: str, name: str, folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
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
        "config": _without_home(dict(config)),
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


def _metric_name(name: str) -> str:
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


def _without_home(value: Any) -> Any:
    """The value with the user's home folder written as ~ in every text: its name is nobody's business."""
    if isinstance(value, dict):
        return {key: _without_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_home(item) for item in value]
    if isinstance(value, Path):
        value = str(value)
    home = str(Path.home())
    return value.replace(home + os.sep, "~" + os.sep) if isinstance(value, str) and len(home) > 1 else value


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


def _within(seconds: float, call: Callable[[], T]) -> T:
    """The call's result or error, or TimeoutError after `seconds`; the call is then left behind in its thread."""
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(call())
        except BaseException as problem:
            error.append(problem)

    thread = threading.Thread(target=run, daemon=True, name="wandb-call")
    thread.start()
    thread.join(seconds)
    if error:
        raise RuntimeError(_said(error[0])) from error[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return result[0]


def _said(problem: BaseException) -> str:
    """An error in one line, without secrets."""
    return secrets.redact(" ".join(str(problem).split())[:300]) or type(problem).__name__


def _warn(reporter: Reporter, message: str, hint: str = "") -> None:
    with contextlib.suppress(Exception):
        reporter.event(events.Warning(message=message, hint=hint))
