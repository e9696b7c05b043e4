"""Fragments of exports: what one would take, what is there, how it was checked, where it was pushed; what is being made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.core.text import count, plural, size
from studio.ui.fragments.parts import badge, error, notice, number, progress, section, sentence, table, text, when

DOING = {"export": "Making and checking", "push": "Pushing", "install": "Installing"}
FAILED = {"export": "was not made", "push": "was not pushed", "install": "was not installed"}
MOST = 8
"""Files that are listed one by one before an upload."""


def target(kind: str, summary: str, found: Any = None) -> str:
    """A kind of export: what it is, about how large, and whether all is there to make it."""
    about = "" if found is None or found.bytes is None else f'<small class="soft">about {text(size(found.bytes))}</small>'
    missing = found.missing if found else ""
    said, _, how = missing.rpartition(": ")
    need = f'<p class="note">{text(sentence(said))}</p>{command(how)}' if said else f'<p class="note">{text(missing)}</p>'
    state = badge("not installed", "warn") if missing else badge("ready", "good") if found else ""
    return (
        f'<h3 class="kind">{text(kind)} {about} {state}</h3><p class="note">{text(summary.replace("`", ""))}</p>'
        f"{need if missing else ''}"
    )


def made(run: str, artifacts: Sequence[dict[str, Any]]) -> str:
    """The exports of a run, each with its verification, a download and the command that serves it."""
    if not artifacts:
        return section("Exports") + '<p class="note">None yet.</p>'
    return section("Exports") + "".join(_one(run, item) for item in artifacts)


def _one(run: str, item: dict[str, Any]) -> str:
    found = item["verification"]
    passed = found.get("passed")
    unrun = item.get("status", "") if found.get("checks") else "not run here"
    state = {True: badge("verified", "good"), False: badge("not verified", "bad")}.get(passed, badge(unrun, "warn"))
    marks = {True: "✓", False: "✗", None: "·"}
    checks = "".join(
        f"<li>{marks[check['passed']]} {text(check['name'])}: {text(number(check['value']))} "
        f"<span class='soft'>{text(check['explanation'])}</span></li>"
        for check in found.get("checks", [])
    )
    note = f'<p class="note">{text(sentence(found["note"]))}</p>' if found.get("note") else ""
    cost = found.get("evidence") or {}
    evidence = f'<p class="note">{text(sentence(cost["sentence"]))}</p>' if cost.get("sentence") else ""
    checked = f"<details><summary>How it was checked</summary><ul>{checks}</ul></details>" if checks else ""
    serving = "".join(command(line) for line in item.get("serve", []))
    served = f"<details><summary>How to run it</summary>{serving}</details>" if serving else ""
    folder = text(item["folder"])
    deployed = any(str(file["path"]).startswith("deploy/") for file in item.get("files", []))
    steps = '<p class="note">With deploy files: deploy/README.md tells the steps.</p>' if deployed else ""
    return (
        f'<div class="sample"><div class="verdict">{state}<span>{folder}</span>'
        f'<small class="soft">{text(size(item["bytes"]))}</small></div>{note}{evidence}{checked}{served}{steps}{_pushes(item)}'
        f'<div class="links" style="margin-top:12px"><a class="link-button plain" href="/download/{text(run)}/export/{folder}" '
        f'download aria-label="Download {folder}">Download</a></div></div>'
    )


def _pushes(item: dict[str, Any]) -> str:
    last = next(reversed(item.get("pushes") or []), None)
    if last is None:
        return ""
    seen = "private" if last["private"] else "public"
    link = text(last["url"]) if str(last["url"]).startswith("https://") else ""
    name = f'<a href="{link}" rel="noreferrer">{text(last["repository"])}</a>' if link else text(last["repository"])
    return f'<p class="note">Pushed to {name} ({seen}), commit <code>{text(str(last["commit"])[:7])}</code>.</p>'


def command(line: str) -> str:
    """A command with a button that copies it."""
    return (
        f'<div class="command" style="margin-top:6px"><code>{text(line)}</code>'
        f'<button type="button" data-copy="{text(line)}" aria-label="Copy the command">Copy</button></div>'
    )


def upload(found: Any) -> str:
    """What would go up, to where, and who will see it."""
    rows = [[text(path), text(size(bytes))] for path, bytes in found.files[:MOST]]
    more = len(found.files) - MOST
    if more > 0:
        rows.append([text(f"and {count(more)} more"), text(size(sum(bytes for _, bytes in found.files[MOST:])))])
    seen = "Only you, and whom you let in, will see it." if found.private else "Everyone will see it."
    kind = "note" if found.private else "warn"
    said = f"{plural(len(found.files), 'file')}, {size(found.bytes)}, go to {found.repository}."
    unrun = "" if found.standing == "verified" else notice(sentence(found.artifact.verification.note), "The card says so too.")
    return notice(said, seen, kind) + unrun + table(["File", "Size"], rows, "What would be uploaded", [1])


def working(works: Sequence[Any]) -> str:
    """What is being made, pushed or installed, and what failed the last time."""
    html = ""
    for item in works:
        if item.state == "running":
            html += progress(0, 0, f"{DOING[item.kind]} {item.name}, since {when(item.begun)}")
            html += f'<p class="note" aria-live="polite">{text(item.said)}</p>' if item.said else ""
        elif item.state == "failed" and item.error:
            html += f'<p class="note">{text(sentence(f"{item.name} {FAILED[item.kind]}"))}</p>{error(item.error)}'
    return html
