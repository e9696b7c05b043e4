"""Compressed files: opened as streams, with limits, and with nothing in them ever written to a path they name."""

# pyarrow has no types, so this file is checked less strictly.
# pyright: standard

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from studio.core.errors import DataError
from studio.core.files import need_room
from studio.core.text import size

MEMBERS = 1_000
"""Files an archive may hold."""
UNPACKED = 256 << 30
"""Bytes an archive may unpack to."""
RATIO = 200
"""How many times its size an archive may unpack to, once that is over `HARMLESS` bytes. Text packs 3 to 20 times."""
HARMLESS = 64 << 20

_HELD_OUT = re.compile(
    r"(?:.*[-_. ])?(?:valid|validation|val|dev|test|testing|eval|held-?out)(?:[-_. ]\w+)*\.\w+", re.IGNORECASE
)
_ABOUT = frozenset(("readme", "license", "licence", "changelog", "notice", "copying", "contributing", "citation"))
COMPRESSED = {".gz": "gzip", ".gzip": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
"""Endings of compressed files, and what they are packed with."""
_FAULTS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class _Guarded(io.RawIOBase):
    """A stream that is being unpacked: counts what goes in and comes out, and turns faults of the archive into DataError."""

    def __init__(self, inner: BinaryIO, packed: Callable[[], int], name: str) -> None:
        """packed: the packed bytes so far, so that a bomb is known by its beginning, not after minutes."""
        self._inner, self._packed, self._name, self._out = inner, packed, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._inner.read(len(buffer))
        except _FAULTS as problem:
            raise DataError(
                f"it cannot be unpacked after {size(self._out)}: {problem}",
                hint="The file is damaged or cut off. Get it again whole.",
                where=self._name,
            ) from None
        self._out += len(block)
        if self._out > UNPACKED or (self._out > HARMLESS and self._out > RATIO * max(self._packed(), 1)):
            raise _bomb(self._out, self._packed(), self._name)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._inner.close()
        super().close()


def open_gzip(raw: BinaryIO, name: str) -> BinaryIO:
    """The unpacked bytes of a gzip file."""
    return io.BufferedReader(_Guarded(gzip.GzipFile(fileobj=raw), raw.tell, name), 1 << 20)  # type: ignore[arg-type]


def open_compressed(kind: str, raw: BinaryIO, name: str) -> BinaryIO:
    """The unpacked bytes of a file of one of `COMPRESSED`."""
    if kind == "gzip":
        return open_gzip(raw, name)
    if kind == "bzip2":
        import bz2

        inner: Any = bz2.BZ2File(raw)
    elif kind == "xz":
        inner = lzma.LZMAFile(raw)  # noqa: SIM115 - the caller closes it
    else:
        import pyarrow

        inner = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), "zstd")
    return io.BufferedReader(_Guarded(inner, raw.tell, name), 1 << 20)


def open_member(raw: BinaryIO, member: str, name: str) -> BinaryIO:
    """The unpacked bytes of a file in a zip archive."""
    archive = zipfile.ZipFile(raw)
    try:
        inner = archive.open(member)
    except _FAULTS as problem:
        raise DataError(f"it cannot be unpacked: {problem}", hint="Pack it again as an ordinary zip.", where=name) from None
    packed = archive.getinfo(member).compress_size
    return io.BufferedReader(_Guarded(inner, lambda: packed, name), 1 << 20)  # type: ignore[arg-type]


def members(path: Path, known: Callable[[str], bool], name: str, only: str = "") -> tuple[list[str], list[str]]:
    """Data files in a zip archive, in order of name, and remarks on what was passed over. Raises DataError if unsafe."""
    entries = safe_entries(path, name)
    found = sorted(entry.filename for entry in entries if known(entry.filename))
    if only:
        if only not in found:
            raise DataError(f"the archive holds no data file `{only}`", hint=f"It holds: {', '.join(found[:8])}.", where=name)
        return [only], []
    if any(not item.lower().endswith((".md", ".txt")) for item in found):
        found = [item for item in found if not is_about(item)]
    found, held_out = without_held_out(found)
    rest = [entry.filename for entry in entries if entry.filename not in found]
    remarks = [
        f"Not read: `{item}`"
        + (f": by its name it is for evaluation; for that, set data.holdout: {name}:{item}." if item in held_out else ".")
        for item in rest[:10]
    ]
    return found, remarks + ([f"Not read: {len(rest) - 10} more."] if rest[10:] else [])


def safe_entries(path: Path, name: str) -> list[zipfile.ZipInfo]:
    """The files in a zip archive, without folders and litter. Raises DataError if it is unsafe or no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(archive, name)
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError) as problem:
        refuse_pointer(path, name)
        raise DataError(
            f"it cannot be opened as a zip archive: {problem}", hint="Get it again whole, or unpack it.", where=name
        ) from None
    for entry in entries:
        refuse_unsafe(entry, name)
        _refuse_archive(entry, name)
    return [entry for entry in entries if not _is_litter(PurePosixPath(entry.filename))]


def refuse_pointer(path: Path, name: str) -> None:
    """Raise DataError if the file is a pointer of Git LFS to one that was not fetched, whatever its name ends in."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if is_pointer(file.read(64)):
            raise pointer(name)


def is_pointer(head: bytes) -> bool:
    """Whether a file that begins so is a pointer of Git LFS."""
    return head.startswith(b"version https://git-lfs")


def pointer(name: str) -> DataError:
    """The refusal of a pointer of Git LFS."""
    return DataError("it is a pointer to a file in Git LFS, not the file", hint="Run git lfs pull.", where=name)


def without_held_out(names: list[str]) -> tuple[list[str], list[str]]:
    """Files to train on, and those that by their names are for evaluation; where all are, all are to train on."""
    held_out = [item for item in names if _HELD_OUT.match(PurePosixPath(item).name)]
    return ([item for item in names if item not in held_out], held_out) if len(held_out) < len(names) else (names, [])


def refuse_bomb(archive: zipfile.ZipFile, name: str) -> None:
    """Raise DataError if an archive says it holds too many files or unpacks to too much."""
    entries = archive.infolist()
    if len(entries) > MEMBERS:
        raise DataError(
            f"the archive holds {len(entries):,} files, more than {MEMBERS:,}", hint="Join them into fewer files.", where=name
        )
    out, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if out > UNPACKED or (out > HARMLESS and out > RATIO * max(packed, 1)):
        raise _bomb(out, packed, name)


def seekable(stream: BinaryIO, name: str, capacity: int) -> BinaryIO:
    """The stream's bytes in a temporary file that vanishes when closed, for formats that are read from their end."""
    need_room(Path(tempfile.gettempdir()), capacity, f"Unpacking {name}")
    aside = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    for block in iter(lambda: stream.read(1 << 20), b""):
        aside.write(block)
    aside.seek(0)
    return aside


def is_about(name: str) -> bool:
    """Whether a file by its name is about the data rather than data: a readme, a licence."""
    return PurePosixPath(name).name.split(".")[0].lower() in _ABOUT


def _is_litter(path: PurePosixPath) -> bool:
    """What other systems leave in archives: `__MACOSX/`, `.DS_Store` and other hidden files."""
    return any(part == "__MACOSX" or part.startswith(".") for part in path.parts)


def refuse_unsafe(entry: zipfile.ZipInfo, name: str) -> None:
    """Raise DataError for a member of an archive that leads out of it, is a link, or is locked."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    where = f"{name}:{entry.filename}"
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise DataError(
            "the archive holds a path that leads out of it", hint="Pack it again from inside its folder.", where=where
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError("the archive holds a link", hint="Pack the file itself.", where=where)
    if entry.flag_bits & 1:
        raise DataError("the archive is locked with a password", hint="Unpack it first, or pack it without one.", where=where)


def _refuse_archive(entry: zipfile.ZipInfo, name: str) -> None:
    path, where = PurePosixPath(entry.filename), f"{name}:{entry.filename}"
    if path.suffix.lower() in (".zip", ".gz", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst"):
        raise DataError("the archive holds an archive", hint="Unpack the outer one first.", where=where)


def _bomb(out: int, packed: int, name: str) -> DataError:
    return DataError(
        f"it unpacks to more than {size(out)} from {size(packed)}: this looks like a decompression bomb",
        hint="If it is your own, unpack it first and give the unpacked file.",
        where=name,
    )
