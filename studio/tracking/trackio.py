"""Trackio, the second tracker: an open dashboard whose runs lie in SQLite files on this disk, or on a server of your own."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from studio.core import events
from studio.tracking.limits import redacted, within, without_paths
from studio.tracking.reporter import Reporter
from studio.tracking.settings import PROJECT, Tracking
from studio.tracking.sink import STEP, Level, Sink, warn


class TrackioSink(Sink):
    """An open Trackio run. Its project is the spec's, its name the run's id."""

    label = "Trackio"

    def __init__(self, run: Any, folder: Path, reporter: Reporter, finish_timeout: float, last_step: float) -> None:
        super().__init__(folder, reporter, finish_timeout)
        self._run, self._last_step, self._figures = run, last_step, {}

    @property
    def url(self) -> str | None:
        """The server of your own it goes to; None on this disk."""
        return self._run.url if _server(self._run) else None

    @property
    def upload(self) -> str:
        """The command that shows what is kept on this disk."""
        return f"trackio show --project {self._run.project}"

    def last_step(self) -> float:
        """The last step that Trackio has of this run; 0 for a new one."""
        return self._last_step

    def _log(self, step: int, values: dict[str, float]) -> None:
        self._run.log({STEP: step, **values}, step=step)
        self._last_step = max(self._last_step, step)

    def _summary(self, values: dict[str, Any]) -> None:
        """Trackio has no summary: figures of the whole run are logged at its last step, texts as a table of their own."""
        self._figures.update(values)
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        texts = [[name, str(value)] for name, value in self._figures.items() if not isinstance(value, int | float)]
        self._at_the_end(numbers)
        if texts:
            self._table("summary", ["name", "value"], texts)

    def _table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
        import trackio

        self._at_the_end({name: trackio.Table(columns=columns, data=rows)})

    def _page(self, name: str, html: str) -> None:
        import trackio

        self._at_the_end({name: trackio.Html(html, inject=False)})

    def _at_the_end(self, values: dict[str, Any]) -> None:
        if values:
            self._run.log(values, step=int(self._last_step))

    def _artifact(self, name: str, type: str, files: dict[str, Path], metadata: dict[str, Any], fleeting: bool) -> None:
        import trackio

        made = trackio.Artifact(_name(name), type=type, metadata=metadata)
        for inside, file in files.items():
            made.add_file(file, name=inside)
        with _quiet():
            self._run.log_artifact(made)

    def _used(self, name: str, type: str, about: dict[str, Any]) -> None:
        """An input is logged as an artifact first: Trackio links what it has."""
        import trackio

        with tempfile.TemporaryDirectory() as folder, _quiet():
            file = Path(folder) / f"{type}.json"
            file.write_text(json.dumps(about, indent=2, sort_keys=True), encoding="utf-8")
            made = trackio.Artifact(_name(name), type=type, metadata=about)
            made.add_file(file, name=file.name)
            self._run.use_artifact(self._run.log_artifact(made))

    def _alert(self, title: str, text: str, level: Level) -> None:
        import trackio

        with _quiet():
            self._run.alert(title=title, text=text, level=trackio.AlertLevel(level.lower()))

    def _finish(self, ok: bool) -> None:
        with _quiet():
            self._run.finish()


def open_sink(
    settings: Tracking,
    run_id: str,
    folder: Path,
    config: Mapping[str, Any],
    reporter: Reporter,
    *,
    open_timeout: float = 30,
    finish_timeout: float = 60,
) -> TrackioSink | None:
    """Open the Trackio run of a run folder, or None if it is off, not installed or cannot be started. Timeouts in seconds."""
    if settings.trackio == "off":
        return None
    if find_spec("trackio") is None:
        warn(reporter, "Trackio is not installed; the run goes on without it", hint="pip install 'slm-studio[trackio]'")
        return None
    told = dict(config) if "paths" in settings.include else without_paths(dict(config))
    try:
        run, last = within(open_timeout, lambda: _start(settings, run_id, told))
    except Exception as problem:
        warn(reporter, f"Trackio could not be started ({redacted(problem)}); the run goes on without it")
        return None
    sink = TrackioSink(run, folder, reporter, finish_timeout, last)
    mode = "online" if sink.url else "offline"
    reporter.event(events.Tracking(tracker="Trackio", mode=mode, url=sink.url or "", upload=sink.upload))
    return sink


def _start(settings: Tracking, run_id: str, config: dict[str, Any]) -> tuple[Any, float]:
    import trackio

    with _quiet():
        run: Any = trackio.init(
            project=settings.project or PROJECT,
            name=run_id,
            group=settings.group,
            config=config,
            resume="allow",
            embed=False,
            private=True,
        )
    run.config["_Username"] = None  # who you are on the hub does not describe a run
    return run, max(0.0, float(run._next_step - 1))


def _server(run: Any) -> bool:
    return not run._is_local


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)[:128]


@contextlib.contextmanager
def _quiet():
    """Without what the client prints: stdout is for documents."""
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        yield
