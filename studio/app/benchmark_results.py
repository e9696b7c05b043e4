"""Measurements as they are kept: `<home>/bench/<id>.json`, written as it grows, and `<id>.html` at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from studio.benchmark import figures as figures
from studio.benchmark import page as page
from studio.benchmark.result import Item, Progress, Result
from studio.core.errors import JobError
from studio.core.files import make_home, write_text
from studio.core.records import RecordError
from studio.processes import tasks, terminate
from studio.processes.tasks import Task

Tell = Callable[[Progress], None]


def results(home: Path) -> list[Result]:
    """Every kept result, the newest first."""
    files = sorted((home / "bench").glob("*.json"), reverse=True)
    return [found for file in files if (found := _read(file)) is not None]


def result(name: str, home: Path) -> Result:
    """The kept result of that id, or `last`. Raises JobError."""
    every = results(home)
    for one in every:
        if name in ("last", one.id):
            return one
    raise JobError(f"there is no measurement `{name}`", hint="studio bench makes one.", where=str(home / "bench"))


def page_file(result: Result, home: Path) -> Path:
    """Where the page of a result is."""
    return home / "bench" / f"{result.id}.html"


def written_page(name: str, home: Path) -> Path | None:
    """The page of a result that has ended, drawn now if whoever measured it was killed; None without one."""
    found = next((one for one in results(home) if one.id == name and one.state != "running"), None)
    if found is None:
        return None
    file = page_file(found, home)
    if not file.exists():
        from studio.benchmark import page

        write_text(file, page.render(found))
    return file


def begin(words: list[str], home: Path) -> Task:
    """Begin `studio bench WORDS` in a process of its own. Raises JobError while another runs on this machine."""
    if any(one.state == "running" for one in results(home)):
        raise JobError("something is being measured already", hint="Wait for it, or stop it.", where="Bench")
    return tasks.begin(home / "bench" / ".work", "bench", "page", ["bench", *words], home)


def begun(home: Path) -> Task | None:
    """What was last begun from a page."""
    return next(iter(tasks.tasks(home / "bench" / ".work")), None)


def stop(home: Path) -> None:
    """Ask the running measurement to end; it keeps what is whole. Raises JobError if there is none."""
    for one in results(home):
        if one.state == "running" and one.process:
            terminate.request(one.process)
            return
    raise JobError("nothing is being measured", hint="It may have ended meanwhile.", where="Bench")


def _read(file: Path) -> Result | None:
    """A kept result; one whose process is gone without a word was interrupted. None if the file is not one."""
    try:
        found = Result.read(file)
    except (FileNotFoundError, RecordError):
        return None
    if found.state == "running" and not (found.process and found.process.alive()):
        return found.model_copy(update={"state": "interrupted"})
    return found


class ResultWriter:
    """Writes the result as it grows."""

    def __init__(self, result: Result, home: Path) -> None:
        self.result, self._home, self._written = result, home, 0.0

    @property
    def _file(self) -> Path:
        return self._home / "bench" / f"{self.result.id}.json"

    def put(self, item: Item) -> None:
        """Keep an item, in place of what was kept of it before."""
        others = [one for one in self.result.items if one.name != item.name]
        self.result = self.result.model_copy(update={"items": [*others, item]})
        self.write()

    def named(self, item: Item) -> Item:
        """What is kept of an item, or the item itself."""
        return next((one for one in self.result.items if one.name == item.name), item)

    def progress(self, at: Progress, tell: Tell) -> None:
        """Tell how far it is; keep it at most once a second."""
        self.result = self.result.model_copy(update={"progress": at})
        tell(at)
        if time.monotonic() - self._written > 1:
            self.write(durable=False)

    def end(self, state: Literal["done", "interrupted"]) -> None:
        """Keep the end, and the page; nothing of a measurement that ended without a figure."""
        if state == "done" and not any(item.levels for item in self.result.items):
            self.result = self.result.model_copy(update={"state": state, "progress": None})
            self._file.unlink(missing_ok=True)
            return
        self.result = self.result.model_copy(update={"state": state, "progress": None})
        self.write()
        from studio.benchmark import page

        write_text(page_file(self.result, self._home), page.render(self.result))

    def write(self, durable: bool = True) -> None:
        """Write the file aside and give it its name."""
        self.result.write(self._file, durable)
        self._written = time.monotonic()


@contextmanager
def writing(result: Result, home: Path) -> Generator[ResultWriter]:
    """A writer whose result is ended whatever happens."""
    writer, state = ResultWriter(result, make_home(home)), "interrupted"
    writer.write()
    try:
        yield writer
        state = "done"
    except KeyboardInterrupt:
        pass
    finally:
        writer.end(state)


def other_host(url: str) -> str:
    """The host of an API that is not on this machine; empty for one that is, and for what is no address."""
    from studio.benchmark import client
    from studio.http.hosts import LOOPBACK

    host = client.Api(url.strip(), "").host
    return host if "://" in url and host not in LOOPBACK else ""


def require_api(url: str, model: str) -> None:
    """Raise SpecError for an address or a model that no API can have."""
    from studio.benchmark import client

    client.api(url, model)
