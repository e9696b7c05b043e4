"""Fragments of exports: what one would take, what is there, how it was verified, where it was uploaded; what is in progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from studio.app.fragments.parts import badge, error, joined, note, notice, number, progress, section, sentence, table, when
from studio.core.html import Fragments
from studio.core.text import count, duration, plural, size
from studio.export.artifacts.push import caveat

if TYPE_CHECKING:
    from studio.app.exports import ExportEstimate, ListedExport
    from studio.evaluation.judge.conversion import JudgedExport
    from studio.export.artifacts.manifest import Artifact
    from studio.export.artifacts.push import PushRecord, Upload
    from studio.export.verification.result import Verification
    from studio.processes.tasks import Task

_html = Fragments("studio.app", "exports.html")
IN_PROGRESS = {"export": "Exporting and verifying", "push": "Uploading", "install": "Installing"}
FAILED = {"export": "could not be exported", "push": "could not be uploaded", "install": "could not be installed"}
MOST = 8
"""Files that are listed one by one before an upload."""


def target(kind: str, summary: str, estimate: ExportEstimate | None = None) -> Markup:
    """A kind of export: what it is, about how large, and whether it can be made."""
    about = "" if estimate is None or estimate.bytes is None else size(estimate.bytes)
    about += f", about {duration(estimate.seconds)} of CPU time" if estimate and estimate.seconds else ""
    missing = estimate.missing if estimate else ""
    reason, _, command = missing.rpartition(": ")
    state = badge("not installed", "warn") if missing else badge("ready", "good") if estimate else ""
    if estimate and estimate.refused:
        state = badge("not possible", "bad")
    words = sentence(reason) if reason else missing
    notes = [note(sentence(words)) for words in (estimate.refused, estimate.note) if words] if estimate else []
    return joined(_html("target", kind, summary.replace("`", ""), about, state, words, command if reason else ""), *notes)


def artifacts(run: str, listed: Sequence[ListedExport]) -> Markup:
    """The exports of a run, each with its verification, a download and the command that serves it."""
    if not listed:
        return joined(section("Exports"), note("None yet."))
    return joined(section("Exports"), *(artifact(run, item.artifact, item.pushes) for item in listed))


def artifact(run: str, artifact: Artifact, pushes: Sequence[PushRecord]) -> Markup:
    """One export with its verification and the command that serves it; with a download where `run` names its run."""
    verification = artifact.verification
    marks = {True: "✓", False: "✗"}
    checks = [(marks[check.passed], check.name, number(check.value), check.explanation) for check in verification.checks]
    deployed = any(file.path.startswith("deploy/") for file in artifact.files)
    notes = [
        *(
            sentence(words)
            for words in (verification.note, *(cost.sentence for cost in verification.sets), verification.advice)
            if words
        ),
        *_judged(verification.judged),
        *(["With deployment files: deploy/README.md has the steps."] if deployed else []),
    ]
    state, pushed = _state(verification), _push(pushes)
    return _html("artifact", run, artifact.folder, artifact.bytes, state, notes, checks, artifact.serve, pushed)


def _judged(export: JudgedExport | None) -> list[str]:
    """What a judge export of an export, with the reasons why it decides nothing where there are such."""
    if export is None:
        return []
    doubts = f" (decides nothing: {'; '.join(export.doubts)})" if export.doubts else ""
    return [sentence(f"{export.sentence}{doubts}")]


def _state(verification: Verification) -> Markup:
    """The badge: verified and nothing lost, verified but losing some, or not verified."""
    if verification.passed is None:
        return badge(verification.status if verification.checks else "not run here", "warn")
    if not verification.passed:
        return badge("not verified", "bad")
    return badge(verification.status, "warn" if verification.loses_some else "good")


def _push(pushes: Sequence[PushRecord]) -> dict[str, str] | None:
    if not pushes:
        return None
    last = pushes[-1]
    return {
        "repository": last.repository,
        "link": last.url if last.url.startswith("https://") else "",
        "visibility": "private" if last.private else "public",
        "commit": last.commit[:7],
    }


def upload(prepared: Upload) -> Markup:
    """What would be uploaded, to where, and who will see it."""
    rows = [[path, size(bytes)] for path, bytes in prepared.files[:MOST]]
    more = len(prepared.files) - MOST
    if more > 0:
        rows.append([f"and {count(more)} more", size(sum(bytes for _, bytes in prepared.files[MOST:]))])
    seen = "Only you, and whom you give access, will see it." if prepared.private else "Everyone will see it."
    words = f"{plural(len(prepared.files), 'file')}, {size(prepared.bytes)}, will be uploaded to {prepared.repository}."
    reason = caveat(prepared.artifact)
    caution = notice(sentence(reason), "The model card says so too.") if reason else ""
    listed = table(["File", "Size"], rows, "What would be uploaded", [1])
    return joined(notice(words, seen, "note" if prepared.private else "warn"), caution, listed)


def working(tasks: Sequence[Task]) -> Markup:
    """What is being exported, uploaded or installed, and what failed the last time."""
    shown: list[Markup] = []
    for item in tasks:
        if item.state == "running":
            shown.append(progress(0, 0, f"{IN_PROGRESS[item.kind]} {item.name}, since {when(item.begun)}"))
            shown.append(_html("working", item.progress))
        elif item.state == "failed" and item.error:
            shown += [note(sentence(f"{item.name} {FAILED[item.kind]}")), error(item.error)]
    return joined(*shown)
