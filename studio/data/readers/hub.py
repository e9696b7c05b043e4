"""Datasets of the hub, and local folders laid out as such, streamed by the `datasets` library; their code is never run."""

# datasets has no types, so this file is checked less strictly.
# pyright: standard

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from studio.core import noise, outbound
from studio.core.errors import DataError
from studio.core.text import shorten
from studio.data.readers.columnar import compact, named, note_classes
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row


def rows(name: str, subset: str | None, split: str, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of a split of `owner/name` (`owner/name@revision`), or of a folder; a row's line is its number, from 1."""
    noise.quiet_loggers()
    import datasets

    path, _, revision = name.partition("@")
    number = 0
    if not Path(path).is_dir():
        outbound.require_hub()
    try:
        stream = datasets.load_dataset(path, name=subset, split=split, streaming=True, revision=revision or None)
        facts.details |= {"subset": subset or "default", "split": split} | ({"revision": revision} if revision else {})
        if hasattr(stream, "decode"):
            stream = stream.decode(False)  # pictures and sounds stay undecoded: only text is trained on
        classes = {
            key: feature.names for key, feature in (stream.features or {}).items() if type(feature).__name__ == "ClassLabel"
        }
        note_classes(classes, facts)
        for values in stream:
            number += 1
            yield Row(named({key: compact(value) for key, value in values.items()}, classes), facts.name, number)
    except DataError:
        raise
    except Exception as problem:
        raise _translated(problem, path, subset, split, number) from None


def _translated(problem: Exception, path: str, subset: str | None, split: str, number: int) -> DataError:
    """What went wrong in the words of this house. The library raises many kinds, some only told apart by their text."""
    kinds = {kind.__name__ for kind in type(problem).__mro__}
    text = str(problem)
    chain = f"{text} {problem.__cause__ or ''} {problem.__context__ or ''}"
    folder = Path(path).is_dir()
    where = path if folder else f"hub:{path}"
    if "Config name is missing" in text or ("BuilderConfig" in text and "not found" in text):
        known = text.partition("[")[2].partition("]")[0]
        message = f"there is no subset `{subset}`" if subset else "it has several subsets"
        hint = f"Set data.subset to one of: {known}." if known else "Set data.subset."
        return DataError(message, hint=hint, where=where)
    if "Bad split" in text or "Unknown split" in text or "unknown split" in text:
        known = text.partition("[")[2].partition("]")[0]
        return DataError(f"there is no split `{split}`", hint=f"Set data.split to one of: {known}.", where=where)
    if "gated" in text or "GatedRepoError" in kinds or "401" in text or "403" in text:
        return DataError(
            "the hub does not let you read it", hint="Accept its terms there, then log in: hf auth login.", where=where
        )
    if "offline" in chain.lower() or "OfflineModeIsEnabled" in kinds:
        return DataError(
            "the hub is switched off here (HF_HUB_OFFLINE) and the dataset is not on this machine",
            hint="Unset HF_HUB_OFFLINE, or give a local file.",
            where=where,
        )
    if kinds & {"ConnectionError", "ConnectError", "Timeout", "TimeoutException", "LocalEntryNotFoundError"} or any(
        sign in chain for sign in ("Couldn't reach", "Max retries", "Name or service", "getaddrinfo", "timed out")
    ):
        return DataError(
            f"the hub cannot be reached{f' any more after row {number}' if number else ''}",
            hint="Check the network and try again, or give a local file.",
            where=where,
        )
    if "scripts are no longer supported" in text or "trust_remote_code" in text:
        return DataError(
            "it needs code of its own to be read, and that is never run here",
            hint="Use a version of it in parquet or JSON (many have one under the revision refs/convert/parquet).",
            where=where,
        )
    if folder and kinds & {"FileNotFoundError", "EmptyDatasetError", "DataFilesNotFoundError"}:
        return DataError(
            "the folder holds no data files that are found by their names",
            hint="Give the file itself, or name files by their split, such as train.jsonl.",
            where=where,
        )
    if "DatasetNotFoundError" in kinds or "FileNotFoundError" in kinds or "doesn't exist" in text:
        return DataError("there is no such dataset", hint="Check owner/name, or give a local file.", where=where)
    return DataError(
        f"it cannot be read{f' after row {number}' if number else ''}: {type(problem).__name__}: {shorten(text, 200)}",
        hint="Download it and give a local file, e.g. parquet or jsonl.",
        where=where,
    )
