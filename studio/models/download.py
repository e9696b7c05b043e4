"""Download: the files of a hub model that a run needs, into the hub's own cache, with progress and before a GPU is held.

A download that was cut or killed is resumed: the hub's own client gives every try a file of a new name, so large files are
written here, under their checksum beside the cache's other files, and asked for from where they end. Only safetensors weights,
the tokenizer and settings are downloaded; a large file enters the cache only if it has the checksum that the hub names.
`HF_ENDPOINT` names a mirror and `HF_HOME` another cache, as everywhere.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from studio.core import events
from studio.core.errors import DoesNotFit, HardwareError, ModelError, Stopped
from studio.core.files import sha256
from studio.core.machine_errors import Fault, machine_fault
from studio.core.records import Record, RecordError
from studio.core.text import size
from studio.hardware import machine
from studio.models.finding import FoundModel
from studio.models.hub_errors import hub_error
from studio.processes import locks

if TYPE_CHECKING:
    from studio.tracking.reporter import Reporter

FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""Files of a model that are of use: never pickled weights, code, or copies in other formats."""
UNUSED = ("*/*", "consolidated*.safetensors")
"""Other formats lie in folders; Mistral's own copy of the weights lies beside them."""
SPARE = 1 << 30
"""Bytes of the cache's disk that a download leaves free."""
SHORT = 1 << 24
"""Bytes below which a download says nothing of the connection."""
WHAT = "Downloading"
"""What a run does meanwhile, as its status says it."""


class DownloadRate(Record):
    """How fast the last download was."""

    label: ClassVar[str] = "record of the last download"

    bytes_per_second: float


def fetch(model: FoundModel, reporter: Reporter) -> None:
    """Download what a hub model lacks on this machine; returns at once for a folder, or where the hub may not be asked.

    Raises ModelError for what the hub refuses, DoesNotFit if the cache's disk is too small, Stopped if asked to stop. What was
    downloaded by then is kept.
    """
    from huggingface_hub import constants

    if model.local or constants.is_offline_mode():
        return
    wanted = missing(model)
    total = sum(wanted.values())
    if not wanted:
        return
    check_disk(model.name, total)
    reporter.event(events.Note(message=f"downloading {model.name}: {size(total)} into {constants.HF_HUB_CACHE}"))
    began, done = time.monotonic(), 0
    for file, length in wanted.items():
        reporter.progress(done, total, WHAT)
        _fetch_one(model, file, _bar(lambda so_far, before=done: _report(reporter, before + so_far, total)))
        done += length
    reporter.progress(total, total, WHAT)
    seconds = time.monotonic() - began
    if total >= SHORT and seconds > 0:
        rate_file().parent.mkdir(parents=True, exist_ok=True)
        DownloadRate(bytes_per_second=total / seconds).write(rate_file())


def missing(model: FoundModel) -> dict[str, int]:
    """The files of a hub model that are not in the cache, with their bytes; the weights last. Raises ModelError."""
    from huggingface_hub import snapshot_download

    try:
        files = snapshot_download(
            model.path_or_id,
            revision=model.revision,
            allow_patterns=list(FILES),
            ignore_patterns=list(UNUSED),
            tqdm_class=_bar(lambda so_far: None),
            dry_run=True,
        )
    except Exception as problem:  # the client's errors have no common base
        raise _translated(problem, model) from None
    lacking = {file.filename: file.file_size or 0 for file in files if file.will_download}
    return dict(sorted(lacking.items(), key=lambda item: (item[0].endswith(".safetensors"), item[0])))


def check_disk(name: str, wanted: int) -> None:
    """Raise DoesNotFit if the disk of the hub's cache is too small for a download."""
    from huggingface_hub import constants

    free = machine.disk(Path(constants.HF_HUB_CACHE))
    if wanted + SPARE > free:
        raise DoesNotFit(
            f"downloading it needs {size(wanted + SPARE)} of disk space ({size(wanted)}, and {size(SPARE)} to spare); "
            f"only {size(free)} is free at {constants.HF_HUB_CACHE}",
            hint="Free disk space there, or set HF_HOME to a folder on a larger disk.",
            where=name,
        )


def measured_rate() -> float | None:
    """Bytes a second of the last download on this machine; None before there was one."""
    try:
        return DownloadRate.read(rate_file()).bytes_per_second
    except (FileNotFoundError, RecordError):
        return None


def rate_file() -> Path:
    """Where the rate of the last download is kept: with the machine's other caches, for all homes."""
    from studio.models.smollm2 import folder

    return folder().parent / "download.json"


def _fetch_one(model: FoundModel, file: str, bar: type) -> None:
    """One file, whole and as the hub has it."""
    from huggingface_hub import hf_hub_download

    try:
        _fetch_large(model, file, bar)
        hf_hub_download(model.path_or_id, file, revision=model.revision, tqdm_class=bar)
    except (Stopped, ModelError):
        raise
    except Exception as problem:
        raise _translated(problem, model) from None


def _fetch_large(model: FoundModel, file: str, bar: type) -> None:
    """The content of a file that the hub keeps by checksum, into the cache; nothing for a small file."""
    from huggingface_hub import constants, file_download, utils

    headers = utils.build_hf_headers()
    url = file_download.hf_hub_url(model.path_or_id, file, revision=model.revision)
    about = file_download.get_hf_file_metadata(url, headers=headers)
    checksum = about.etag or ""
    if not re.fullmatch("[0-9a-f]{64}", checksum):
        return
    folder = file_download.repo_folder_name(repo_id=model.path_or_id, repo_type="model")
    blob = Path(constants.HF_HUB_CACHE) / folder / "blobs" / checksum
    part = blob.with_name(f"{checksum}.part")
    blob.parent.mkdir(parents=True, exist_ok=True)
    if urlsplit(about.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the token is the hub's, not its storage's
    with locks.hold(blob.with_name(f"{checksum}.lock"), lambda holder: False):  # another run may be fetching it
        if blob.exists():
            return
        with part.open("ab") as stream:
            file_download.http_get(
                about.location, stream, resume_size=stream.tell(), headers=headers, expected_size=about.size, tqdm_class=bar
            )
        if sha256(part) != checksum:
            part.unlink()
            raise ModelError(
                f"{file} is damaged: its checksum is not the one that the hub names; it was removed",
                hint="Run it again: the file is downloaded anew. If it happens again, the mirror or a proxy changes it.",
                where=model.name,
            )
        part.rename(blob)
        blob.with_name(f"{checksum}.lock").unlink(missing_ok=True)


def _report(reporter: Reporter, done: int, total: int) -> None:
    reporter.progress(min(done, total), total, WHAT)
    if reporter.should_stop():
        raise Stopped


def _bar(report: Callable[[int], None]) -> Any:
    """A progress bar of the hub's client that shows nothing and reports the bytes of its file so far."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, initial: int = 0, **named: Any) -> None:
            known = {key: value for key, value in named.items() if key not in ("name", "disable", "file")}
            super().__init__(*args, initial=initial, **known, file=io.StringIO(), disable=True)
            self.so_far = initial

        def update(self, n: float | None = 1) -> None:
            self.so_far += int(n or 0)
            report(self.so_far)

    return Bar


def _translated(problem: Exception, model: FoundModel) -> Exception:
    """What a download may meet, with what to do."""
    cause = problem.__cause__ if isinstance(problem.__cause__, Exception) else problem
    if answer := hub_error(problem, model.name, model.revision) or hub_error(cause, model.name, model.revision):
        return answer
    if machine_fault(problem) is Fault.DISK_FULL:
        from huggingface_hub import constants

        return HardwareError(
            f"the disk is full at {constants.HF_HUB_CACHE}; what was downloaded is kept",
            hint="Free disk space there, or set HF_HOME to a folder on a larger disk, and run it again.",
            where=model.name,
        )
    first = str(problem).strip().splitlines()
    return ModelError(
        f"the download was cut ({type(problem).__name__}{f': {first[0][:160]}' if first else ''}); what was downloaded is kept",
        hint="Run it again: it goes on where it was. HF_ENDPOINT names a mirror, if the hub cannot be reached from here.",
        where=model.name,
    )
