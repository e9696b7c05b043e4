"""Fragments of exports: what one would take, what is there, how it was verified, where it was uploaded; what is in progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from studio.core.html import Fragments
from studio.core.text import count, plural, size
from studio.ui.fragments.parts import badge, error, joined, note, notice, number, progress, section, sentence, table, when

_html = Fragments("studio.ui", "exports.html")
IN_PROGRESS = {"export": "Exporting and verifying", "push": "Uploading", "install": "Installing"}
FAILED = {"export": "could not be exported", "push": "could not be uploaded", "install": "could not be installed"}
MOST = 8
"""Files that are listed one by one before an upload."""


def target(kind: str, summary: str, estimate: Any = None) -> Markup:
    """A kind of export: what it is, about how large, and whether all is there to make it."""
    about = "" if estimate is None or estimate.bytes is None else size(estimate.bytes)
    missing = estimate.missing if estimate else ""
    reason, _, command = missing.rpartition(": ")
    state = badge("not installed", "warn") if missing else badge("ready", "good") if estimate else ""
    words = sentence(reason) if reason else missing
    return _html("target", kind, summary.replace("`", ""), about, state, words, command if reason else "")


def artifacts(run: str, items: Sequence[dict[str, Any]]) -> Markup:
    """The exports of a run, each with its verification, a download and the command that serves it."""
    if not items:
        return joined(section("Exports"), note("None yet."))
    return joined(section("Exports"), *(_artifact(run, item) for item in items))


def _artifact(run: str, item: dict[str, Any]) -> Markup:
    verification = item["verification"]
    not_run = item.get("status", "") if verification.get("checks") else "not run here"
    state = {True: badge("verified", "good"), False: badge("not verified", "bad")}.get(
        verification.get("passed"), badge(not_run, "warn")
    )
    marks = {True: "✓", False: "✗", None: "·"}
    checks = [
        (marks[check["passed"]], check["name"], number(check["value"]), check["explanation"])
        for check in verification.get("checks", [])
    ]
    cost = (verification.get("evidence") or {}).get("sentence", "")
    deployed = any(str(file["path"]).startswith("deploy/") for file in item.get("files", []))
    notes = [
        *(sentence(words) for words in (verification.get("note") or "", cost) if words),
        *(["With deploy files: deploy/README.md has the steps."] if deployed else []),
    ]
    return _html("artifact", run, item["folder"], item["bytes"], state, notes, checks, item.get("serve", []), _push(item))


def _push(item: dict[str, Any]) -> dict[str, str] | None:
    last = next(reversed(item.get("pushes") or []), None)
    if last is None:
        return None
    return {
        "repository": str(last["repository"]),
        "link": str(last["url"]) if str(last["url"]).startswith("https://") else "",
        "visibility": "private" if last["private"] else "public",
        "commit": str(last["commit"])[:7],
    }


def upload(prepared: Any) -> Markup:
    """What would be uploaded, to where, and who will see it."""
    rows = [[path, size(bytes)] for path, bytes in prepared.files[:MOST]]
    more = len(prepared.files) - MOST
    if more > 0:
        rows.append([f"and {count(more)} more", size(sum(bytes for _, bytes in prepared.files[MOST:]))])
    seen = "Only you, and whom you give access, will see it." if prepared.private else "Everyone will see it."
    words = f"{plural(len(prepared.files), 'file')}, {size(prepared.bytes)}, will be uploaded to {prepared.repository}."
    verified = prepared.standing == "verified"
    caution = "" if verified else notice(sentence(prepared.artifact.verification.note), "The model card says so too.")
    listed = table(["File", "Size"], rows, "What would be uploaded", [1])
    return joined(notice(words, seen, "note" if prepared.private else "warn"), caution, listed)


def working(works: Sequence[Any]) -> Markup:
    """What is being exported, uploaded or installed, and what failed the last time."""
    shown: list[Markup] = []
    for item in works:
        if item.state == "running":
            shown.append(progress(0, 0, f"{IN_PROGRESS[item.kind]} {item.name}, since {when(item.begun)}"))
            shown.append(_html("working", item.said))
        elif item.state == "failed" and item.error:
            shown += [note(sentence(f"{item.name} {FAILED[item.kind]}")), error(item.error)]
    return joined(*shown)
