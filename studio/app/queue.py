"""Use cases of the queue: submit, look at the order, change it, cancel."""

from __future__ import annotations

from pathlib import Path

from studio.app.runs import Run, create, made_by
from studio.core import events, people
from studio.core.files import studio_home
from studio.runs import environment, queue, supervisor
from studio.runs.folder import RunFolder
from studio.runs.queue import Waiting
from studio.runs.status import Status
from studio.spec import RunSpec


def submit(spec: RunSpec, home: str | Path | None = None, who: str = "") -> Run:
    """Put a new run into the queue and make sure that a supervisor lives. Returns at once."""
    root = studio_home(home)
    run = create(spec, home)
    who = who or people.current().name
    position = queue.add(root, run.id, who)
    run.folder.event(events.Queued(position=position, who=who))
    supervisor.ensure(root)
    return run


def secrets_left_behind(spec: RunSpec, home: str | Path | None = None) -> list[str]:
    """The secrets of this environment that a queued run will not have, the keys of its judge and teacher included."""
    return environment.left_behind(supervisor.secrets_known(studio_home(home)), environment.keys_of(spec))


def order(home: str | Path | None = None) -> list[Waiting]:
    """The runs that wait, in order."""
    return queue.waiting(studio_home(home))


def move(run: str, position: int, home: str | Path | None = None) -> None:
    """Move a waiting run; 1 is next. Raises JobError if it does not wait."""
    queue.move(studio_home(home), run, position)


def cancel(run: str, home: str | Path | None = None) -> None:
    """Take a run out of the queue and mark it stopped. Raises JobError if it does not wait."""
    root = studio_home(home)
    found = RunFolder(root / "runs" / run)
    people.require_own(made_by(found), "cancel this run")
    with queue.leaving(root, run):
        if found.asked.exists():
            Status(state="stopped").write(found.status)
            found.event(events.Ended(state="stopped"))


def stop(run: Run, home: str | Path | None = None) -> None:
    """Take a waiting run out of the queue; ask a running one to save a checkpoint and stop. Returns at once."""
    people.require_own(made_by(run.folder), "stop this run")
    if any(item.run == run.id for item in order(home)):
        cancel(run.id, home)
    else:
        run.request_stop()


def work(home: str | Path | None = None, until_idle: bool = False) -> bool:
    """Run the supervisor of this home; False if one is already running."""
    return supervisor.supervise(studio_home(home), 0 if until_idle else None)
