"""What each role may do on the pages: every action by its name, with the least role that may do it.

This is the one list. The pages' events, Gradio's own endpoints and the routes of uploads and downloads all ask it; what is not
an action only shows something, and a viewer may do it.
"""

from __future__ import annotations

from typing import Literal

from studio.core.people import NotAllowed, Person, Role

Action = Literal[
    "data.upload", "data.add", "data.settings", "data.rename", "data.delete", "data.stop",
    "documents.add", "documents.edit", "documents.delete",
    "desk.edit", "desk.save", "desk.score", "desk.stop",
    "make.plan", "make.run", "make.pause",
    "run.start", "run.stop", "run.resume", "run.move", "run.cancel", "run.notes", "run.delete", "run.prune", "run.merge",
    "answers.rate", "chat.ask", "feedback.collect", "feedback.delete", "feedback.use",
    "export.make", "export.download", "export.install", "export.push",
    "serve.start", "serve.stop", "bench.start", "bench.stop",
    "index.build", "index.stop", "index.delete", "comparison.start", "comparison.stop", "cascade.calibrate",
    "cascade.report", "cascade.stop",
    "keys.save", "keys.remove", "limits.set", "hosts.set", "disk.clean", "users.change", "sessions.end",
]  # fmt: skip
OWNERS: frozenset[Action] = frozenset(
    {
        "documents.delete", "index.delete", "export.install", "export.push", "keys.save", "keys.remove", "limits.set",
        "hosts.set", "disk.clean", "users.change", "sessions.end", "feedback.collect", "feedback.delete",
    }
)  # fmt: skip
"""What only owners may do. Deleting, stopping and cancelling runs and deleting data are a member's own affair besides: the use
cases refuse what is another's (`people.require_own`)."""
VIEWERS: frozenset[Action] = frozenset({"export.download"})
WRITES: frozenset[Action] = frozenset(
    {
        "data.add", "documents.add", "desk.save", "make.plan", "make.run", "run.start", "run.resume", "run.prune", "run.merge",
        "export.make", "export.install", "index.build", "feedback.use",
    }
)  # fmt: skip
"""What stores something large, and is refused when the disk quota is used up."""


def least(action: Action) -> Role:
    """The least role that may do it."""
    return Role.owner if action in OWNERS else Role.viewer if action in VIEWERS else Role.member


def require(person: Person, action: Action) -> None:
    """Raise NotAllowed if somebody's role does not allow an action."""
    needed = least(action)
    if not person.role.covers(needed):
        raise NotAllowed(
            f"the role {person.role} does not allow this: it needs {needed}",
            hint="Ask an owner of this studio: studio users role NAME ROLE.",
            where=person.name,
        )
