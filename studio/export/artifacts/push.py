"""Uploading a verified export to a hub repository: private unless asked, one commit, nothing sent twice.

What goes up is what the manifest lists, after every hash was found true, and the manifest without the held-out rows it shows
beside answers. The token comes from the environment, the system keyring, the studio's settings or `hf auth login`; it is
never an argument and never written. Files that reached the hub before an interruption are not sent again (the hub knows
them by content), so pushing again is resuming.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core import outbound
from studio.core.errors import ExportError, JobError
from studio.core.files import sha256
from studio.core.records import Record
from studio.core.text import plural
from studio.export.artifacts import manifest as artifacts
from studio.export.artifacts.manifest import MANIFEST, Artifact
from studio.export.verification.result import STRUCTURAL
from studio.tracking import secrets

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo
    from huggingface_hub.errors import HfHubHTTPError

RECORD = "pushed.json"
"""Beside the manifest: where the export was pushed to, when, as which commit."""
TOKEN = "HF_TOKEN"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,94}/[A-Za-z0-9][\w.-]{0,94}")


class PushRecord(Record):
    """One upload of an export: where to, as which commit, when."""

    label: ClassVar[str] = "upload"

    repository: str
    url: str
    commit: str
    private: bool
    status: str
    """The status of the export then."""
    files: int
    bytes: int
    removed: list[str]
    """Files of an earlier push that were removed from the repository."""
    pushed_at: str


class PushHistory(Record):
    """Where an export was pushed to, oldest first: `pushed.json`."""

    label: ClassVar[str] = "record of uploads"

    pushes: list[PushRecord]


@dataclass(frozen=True)
class Upload:
    """What would be uploaded, and to where."""

    artifact: Artifact
    repository: str
    private: bool

    @property
    def files(self) -> list[tuple[str, int]]:
        """Path and bytes of every file, the manifest first."""
        return [(MANIFEST, len(published(self.artifact))), *((file.path, file.bytes) for file in self.artifact.files)]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)

    @property
    def status(self) -> str:
        """`verified`, or that only the structure could be checked."""
        return self.artifact.verification.status


def prepare_upload(folder: Path, repository: str, public: bool = False) -> Upload:
    """What pushing the export in `folder` would upload; asks nobody. Raises JobError for what must not or cannot go up."""
    if not _REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise JobError("this is not the name of a repository", hint="Write it as user/name.", where=repository)
    artifact = artifacts.read(folder)
    if not artifact.verification.holds:
        why = artifact.verification.note or "its check did not pass"
        raise JobError(
            f"the export {artifact.folder} is not verified: {why}",
            hint="Only verified exports are pushed. Install what is missing and export it again.",
            where=str(folder),
        )
    if not artifact.is_whole():
        raise JobError("files of this export are gone or cut", hint="Export it again; then push.", where=str(folder))
    return Upload(artifact, repository, not public)


def send(upload: Upload, on_step: Callable[[str], None] = lambda line: None) -> PushRecord:
    """Upload in one commit and keep the record beside the manifest. Returns the record.

    Raises JobError for a missing token, an altered file or a repository that is seen by others than asked; ExportError
    for what the hub or the way to it refused.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    outbound.require_hub()
    api = HfApi(token=_token(), endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="slm-studio")
    artifact, name = upload.artifact, upload.repository
    with _explained(name):
        there = _there(api, name)
        _refuse_other_eyes(there, upload)
        on_step(f"checking {plural(len(artifact.files), 'file')} against their hashes")
        _refuse_altered(artifact)
        if there is None:
            api.create_repo(name, private=upload.private, exist_ok=True)
            there = _there(api, name)
            _refuse_other_eyes(there, upload)  # made by another meanwhile
        stale = _stale(api, there, artifact)
        operations: list[Any] = [CommitOperationDelete(path) for path in stale]
        operations += [CommitOperationAdd(MANIFEST, published(artifact))]
        operations += [CommitOperationAdd(file.path, str(artifact.path / file.path)) for file in artifact.files]
        on_step(f"uploading to {name}, {'private' if upload.private else 'public'}")
        commit = api.create_commit(
            name,
            operations,
            commit_message=f"{artifact.folder}, {upload.status}",
            parent_commit=there.sha if there else None,
        )
    record = PushRecord(
        repository=name,
        url=f"{api.endpoint}/{name}",
        commit=commit.oid,
        private=upload.private,
        status=upload.status,
        files=len(upload.files),
        bytes=upload.bytes,
        removed=stale,
        pushed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    PushHistory(pushes=[*pushes(artifact.path), record]).write(artifact.path / RECORD)
    return record


def pushes(folder: Path) -> list[PushRecord]:
    """Where an export was pushed to, oldest first."""
    file = folder / RECORD
    return PushHistory.read(file).pushes if file.exists() else []


def published(artifact: Artifact) -> bytes:
    """The manifest as it may be shown: without the rows and answers its verification keeps."""
    import json

    found = artifact.verification
    cost, *general = [
        replace(item, lost=[], indices=[], answers=[], tuned_answers=[]) if item else None
        for item in (found.evidence, *found.general)
    ]
    shown = artifact.with_values(verification=replace(found, samples=[], evidence=cost, general=general))
    return (json.dumps(shown.as_json(), indent=2, ensure_ascii=False, default=str) + "\n").encode()


def caveat(artifact: Artifact) -> str:
    """What must be said before an export is uploaded that could not be run here or loses some; empty for any other."""
    found = artifact.verification
    notes = (found.note if found.status == STRUCTURAL else "", found.statement if found.loses_some else "", found.advice)
    return " ".join(filter(None, notes))


def _token() -> str:
    from huggingface_hub import get_token

    found = secrets.get(TOKEN) or get_token()
    if not found:
        raise JobError(
            "there is no token for the hub",
            hint=f"Make one that may write at huggingface.co/settings/tokens; then `hf auth login`, or set {TOKEN}.",
        )
    return found


def _there(api: HfApi, name: str) -> Any:
    """The repository as it is, or None."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return api.model_info(name)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError as problem:
        if problem.response is not None and problem.response.status_code == 401:
            api.whoami()  # tells a wrong token from a repository that is not there
        return None


def _refuse_other_eyes(there: ModelInfo | None, upload: Upload) -> None:
    if there is None or bool(there.private) == upload.private:
        return
    if upload.private:
        raise JobError(
            "this repository exists and is public; a private upload was asked for",
            hint="Name another one, make it private on the hub, or pass --public.",
            where=upload.repository,
        )
    raise JobError(
        "this repository exists and is private; a public upload was asked for",
        hint="Leave out --public, or make it public on the hub.",
        where=upload.repository,
    )


def _refuse_altered(artifact: Artifact) -> None:
    for file in artifact.files:
        if sha256(artifact.path / file.path) != file.sha256:
            raise JobError(
                f"{file.path} is not the file that was verified",
                hint="It was changed afterwards. Export it again; then push.",
                where=str(artifact.path),
            )


def _stale(api: Any, there: Any, artifact: Artifact) -> list[str]:
    """Files an earlier push of the same export left in the repository that it no longer has, such as other shards. Those of
    another export stay: several quantisations may share a repository."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    found = {item.rfilename for item in (there.siblings or [])} if there else set()
    if MANIFEST not in found:
        return []
    place = f"{api.endpoint}/{there.id}/resolve/{there.sha}/{MANIFEST}"
    answer = get_session().get(place, headers=build_hf_headers(token=api.token), follow_redirects=True)
    hf_raise_for_status(answer)
    before = answer.json()
    if before.get("folder") != artifact.folder:
        return []
    listed = {str(file.get("path")) for file in before.get("files", []) if isinstance(file, dict)}
    return sorted(found & listed - {file.path for file in artifact.files})


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What the hub client raises, in a user's words."""
    from huggingface_hub import errors

    network: type[Exception] = getattr(errors, "HTTPError", OSError)  # of the HTTP library the client is built on
    try:
        yield
    except (JobError, ExportError):
        raise
    except errors.OfflineModeIsEnabled:
        raise ExportError(
            "the hub client is set offline",
            hint="Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) and push again.",
            where=name,
        ) from None
    except errors.GatedRepoError:
        raise ExportError(
            "this repository is gated", hint="Ask for access on its page, or name your own.", where=name
        ) from None
    except errors.HfHubHTTPError as problem:
        raise _refused(problem, name) from None
    except (network, OSError, RuntimeError, ValueError) as problem:
        cause = problem.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            raise _refused(cause, name) from None
        if isinstance(problem, ValueError) and not isinstance(problem, OSError):
            raise ExportError(f"the hub refused a file: {_short(problem)}", hint="See the file it names.", where=name) from None
        raise ExportError(
            f"the hub was not reached to the end: {_short(cause or problem)}",
            hint="Push again when the network is back: what has arrived is not sent twice.",
            where=name,
        ) from None


def _refused(problem: HfHubHTTPError, name: str) -> ExportError:
    code = problem.response.status_code if problem.response is not None else 0
    said = _short(problem.server_message or "")
    match code:
        case 401:
            return ExportError(
                "the hub does not know this token (401)",
                hint=f"It is wrong or was revoked. `hf auth login`, or set {TOKEN} anew.",
                where=name,
            )
        case 403:
            return ExportError(
                f"this token may not write there (403){f': {said}' if said else ''}",
                hint="Use a token with the right to write, and a repository of yours or of your organisation.",
                where=name,
            )
        case 404:
            return ExportError("the hub has no such repository or user (404)", hint="Check the name: user/name.", where=name)
        case 409 | 412:
            return ExportError("the repository changed meanwhile", hint="Push again.", where=name)
        case 429:
            return ExportError("the hub asks for fewer requests (429)", hint="Wait a little, then push again.", where=name)
    return ExportError(
        f"the hub answered {code}{f': {said}' if said else ''}",
        hint="Push again: what has arrived is not sent twice. status.huggingface.co tells whether the hub is well.",
        where=name,
    )


def _short(problem: object) -> str:
    from studio.core.text import shorten

    return shorten(secrets.redact(str(problem)) or type(problem).__name__, 200)
