"""Files: written aside and renamed, hashed in blocks, and checked for room before anything large is begun."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from studio.core.errors import DoesNotFit, SpecError
from studio.core.text import nearest, size

SPARE = 64 << 20
"""Bytes of a disk that are left free whatever is written: for logs, records and what others write meanwhile."""


def studio_home(folder: str | Path | None = None) -> Path:
    """The folder that holds runs, datasets, models and settings: `folder`, else $STUDIO_HOME, else ~/.studio."""
    return Path(folder or os.environ.get("STUDIO_HOME") or Path.home() / ".studio").expanduser().absolute()


def make_home(root: Path) -> Path:
    """The home, made where it is missing: for its owner alone, since training data and evidence lie in it.

    Whoever first writes into a home calls this. One that holds runs or uploads, or is empty, becomes its owner's; any other
    folder that somebody named keeps its mode.
    """
    if not root.exists():
        with contextlib.suppress(OSError):  # whoever writes into it says what is wrong
            root.mkdir(parents=True, mode=0o700)
        return root
    with contextlib.suppress(OSError):  # another user's is left to its owner
        is_home = any((root / name).is_dir() for name in ("runs", "ui/uploads")) or not any(root.iterdir())
        if is_home and root.stat().st_mode & 0o077:
            root.chmod(0o700)
    return root


def write_text(path: Path, text: str, durable: bool = True) -> Path:
    """Write text as UTF-8, as `write_bytes` does."""
    return write_bytes(path, text.encode("utf-8"), durable)


def write_bytes(path: Path, content: bytes, durable: bool = True) -> Path:
    """Write a file so that a reader sees the old one or the new one, never half of it (write aside, then rename).

    durable waits for the disk; leave it out only for what is written many times a second and may be a moment old. Raises
    SpecError if the path is a folder.
    """
    if path.is_dir():
        raise SpecError("this is a folder", hint="Name a file.", where=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # made with the modes the user's umask gives
    try:
        with open(aside, "xb") as out:
            out.write(content)
            if durable:
                out.flush()
                os.fsync(out.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        _name(error, path)
        raise
    return path


def _name(error: BaseException, path: Path) -> None:
    """Let an error of the disk say which file it was: writing and waiting for the disk do not."""
    if isinstance(error, OSError):
        error.filename = str(path)
        error.filename2 = None


def write_json(path: Path, value: object, durable: bool = True) -> Path:
    """Write a JSON document, indented, by `write_text`."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", durable)


def read_json(path: Path) -> Any:
    """The JSON document in `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_json(path: Path, value: object) -> None:
    """Append one JSON line in a single write, so that lines of several writers never interleave.

    It is a line of its own also after one that a torn write left unfinished. Raises OSError, also where only a part of it fits.
    """
    text = json.dumps(value, ensure_ascii=False, default=str) + "\n"
    with open(path, "ab+", buffering=0) as out:
        line = line_break(out.fileno()) + text.encode()
        written = out.write(line)
        if written < len(line):
            out.write(line[written:])  # and the disk says why


def line_break(file: int) -> bytes:
    """What must come before a line that is appended to an open file: an end of line where the last one has none."""
    size = os.fstat(file).st_size
    return b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""


def whole_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """The lines of `path` from byte `start`, each with its end; a last line that is still being written is left out."""
    if not path.exists():
        return
    with open(path, "rb") as lines:
        lines.seek(start)
        for line in lines:
            if line.endswith(b"\n"):
                yield line


def read_json_lines(path: Path, start: int = 0) -> Iterator[Any]:
    """The JSON values of `whole_lines`; a line that is not JSON is left out."""
    for line in whole_lines(path, start):
        with contextlib.suppress(ValueError):  # not JSON, or not UTF-8
            yield json.loads(line)


ASIDE = r"\.(?P<target>.+?)\.(?:[0-9a-f]{8}|old\.\w{8})"
"""The names of what is written, or was moved, aside of `target`: a regular expression."""


@contextlib.contextmanager
def folder_aside(target: Path) -> Generator[Path]:
    """A new folder beside `target` that becomes `target` when the block ends well, and vanishes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    aside.mkdir()  # with the mode the user's umask gives
    try:
        yield aside
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
            os.replace(target, old / "was")
            os.replace(aside, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder (its files' relative names and hashes, in sorted order), as hex."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(item for item in path.rglob("*") if item.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
        return digest.hexdigest()
    with open(path, "rb") as blocks:
        for block in iter(lambda: blocks.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def bytes_in(path: Path) -> int:
    """Bytes a file, or all files below a folder, take."""
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


def nearest_file(path: Path, pattern: str = "*") -> str | None:
    """The file in `path`'s folder that was most likely meant. Names are compared without their endings: those agree anyway.
    Of several with one name, it is the one with the ending that was asked for."""
    if not path.parent.is_dir():
        return None
    files = sorted(path.parent.glob(pattern), key=lambda item: (item.suffix.lower() == path.suffix.lower(), item.name))
    by_stem = {item.stem: item.name for item in files}
    near = nearest(path.stem, by_stem)
    return by_stem[near] if near else None


def need_room(folder: Path, need: int, what: str) -> None:
    """Raise DoesNotFit unless the disk of `folder` has `need` bytes free and a little to spare."""
    there = folder
    while not there.exists():
        there = there.parent
    free, wanted = shutil.disk_usage(there).free, int(need * 1.05) + SPARE
    if free < wanted:
        raise DoesNotFit(
            f"{what} needs {size(wanted)} of disk space ({size(need)}, and {size(wanted - need)} to spare); "
            f"only {size(free)} is free",
            hint="Free some disk (studio clean shows what takes room), or choose another folder with --home.",
            where=str(folder),
        )
