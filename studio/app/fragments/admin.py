"""Fragments of the pages of owners: disk space, accounts, limits, and the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.app.audit import Entry
from studio.app.fragments.parts import badge, empty, facts, joined, note, table, when
from studio.app.quota import Bounds
from studio.app.upkeep import Unneeded
from studio.app.users import User
from studio.core.text import plural, size

if TYPE_CHECKING:
    from pathlib import Path

MOST = 200
"""Rows that a table of files shows."""
NAMES = {
    "ui": "Web studio: uploads and settings",
    "hub": "Downloaded models and datasets",
    "making": "Made rows",
    "bench": "Benchmarks",
}
"""What folders of a home are called where their own names do not say it."""
OUTCOMES = {"done": "good", "refused": "warn", "failed": "bad"}


def use(taken: Mapping[str, int], bounds: Bounds) -> Markup:
    """What takes how much, and the quota."""
    rows = [(NAMES.get(kind, kind[:1].upper() + kind[1:]), size(count)) for kind, count in taken.items() if count]
    quota = f"{size(bounds.used)} of the quota of {size(bounds.disk)} are taken; {size(bounds.free)} of the disk are free."
    return joined(facts(rows), note(quota))


def unneeded(items: Sequence[Unneeded], home: Path) -> Markup:
    """What would be deleted: each folder with its size and why nothing needs it."""
    if not items:
        return note("Nothing of the chosen kinds is there to delete.")
    rows = [[item.kind, item.path.relative_to(home), size(item.bytes), item.why] for item in items[:MOST]]
    total = f"{plural(len(items), 'item')}, {size(sum(item.bytes for item in items))}, would be deleted."
    more = [note(f"and {len(items) - MOST} more")] if len(items) > MOST else []
    return joined(note(total), table(["Kind", "Where", "Size", "Why"], rows, "What would be deleted", [2]), *more)


def accounts(users: Iterable[User]) -> Markup:
    """The accounts with their roles."""
    rows = [[user.name, badge(user.role, "good" if user.role == "owner" else "calm"), when(user.added)] for user in users]
    if not rows:
        return note("There are no accounts: one owner, who signs in with the link of the terminal or the shared password.")
    return table(["Account", "Role", "Added"], rows, "Accounts", narrow=True)


def audit(entries: Iterable[Entry]) -> Markup:
    """Who did what, the newest first."""
    rows: list[Sequence[Any]] = []
    for entry in entries:
        rows.append(
            [
                when(entry.time), f"{entry.who} {entry.address}".strip(), entry.action, entry.about,
                badge(entry.outcome, OUTCOMES.get(entry.outcome, "calm")),
            ]
        )  # fmt: skip
    if not rows:
        return note("Nothing has been done yet.")
    return table(["When", "Who", "Action", "What", "Outcome"], rows, "Audit log", narrow=True)


def limits(bounds: Bounds) -> Markup:
    """The limits in force."""
    return facts(
        [
            ("Uploads of a session, per day", size(bounds.session_uploads)),
            ("Disk quota of this studio", f"{size(bounds.disk)}, {size(bounds.used)} taken"),
        ]
    )


def hosts(rows: Iterable[tuple[str, str, bool]]) -> Markup:
    """Which hosts are asked for what: (host, purpose, whether it is allowed)."""
    cells = [[host, purpose, badge("yes", "good") if allowed else badge("no", "bad")] for host, purpose, allowed in rows]
    return table(["Host", "For", "Allowed"], cells, "Other servers", narrow=True)


def owners_only() -> Markup:
    """What somebody sees who is no owner."""
    return empty("Only owners see this page", "Ask an owner of this studio for the role.", "/", "Home")
