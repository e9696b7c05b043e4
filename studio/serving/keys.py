"""API keys: shown once when made, kept only as SHA-256 in a file that only its owner can read.

A key holds 256 random bits, so a plain hash cannot be searched back; slow hashes are for what people think up.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from pathlib import Path

from studio.core.errors import SpecError
from studio.core.files import write_text

PREFIX = "sk-studio-"
_LINE = re.compile(r"^(?P<name>[\w.@-]+)\s+sha256:(?P<hash>[0-9a-f]{64})\s*(?:#.*)?$")


def new_key(file: Path, name: str) -> str:
    """Make a key, append its hash to `file` under `name`, and return it: it cannot be shown again. Raises SpecError."""
    if not re.fullmatch(r"[\w.@-]+", name):
        raise SpecError(
            f"a key's name is letters, digits and . _ @ -, not {name!r}", hint="Name who will use it.", where="--new-key"
        )
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    if any(line.split()[:1] == [name] for line in there.splitlines()):
        raise SpecError(
            f"there is a key named {name!r} already", hint="Choose another name, or remove its line.", where=str(file)
        )
    key = PREFIX + secrets.token_urlsafe(32)
    line = f"{name} sha256:{_hash(key)}  # made {time.strftime('%Y-%m-%d')}\n"
    write_text(file, (there if not there or there.endswith("\n") else there + "\n") + line)
    os.chmod(file, 0o600)
    return key


class Keys:
    """The keys that are let in. The file is read again when it changes, so that a removed line ends a key at once."""

    def __init__(self, file: Path) -> None:
        """Raises SpecError for a file that is missing, holds no key or holds something else."""
        self._file, self._seen = file, (0, 0)
        self._hashes: dict[str, str] = {}
        self._read()

    def name_of(self, header: str) -> str | None:
        """Whose key an Authorization header holds; None if nobody's."""
        kind, _, key = header.partition(" ")
        if kind.lower() != "bearer" or not key:
            return None
        self._read_if_changed()
        given, found = _hash(key.strip()), None
        for name, known in self._hashes.items():
            if hmac.compare_digest(given, known):
                found = name
        return found

    def _read_if_changed(self) -> None:
        try:
            about = self._file.stat()
        except OSError:
            self._hashes = {}  # the file was taken away: nobody is let in
            return
        if (about.st_mtime_ns, about.st_size) != self._seen:
            try:
                self._read()
            except SpecError:
                self._hashes = {}

    def _read(self) -> None:
        try:
            about = self._file.stat()
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            raise SpecError(
                f"the keys cannot be read: {problem}", hint="Make one: studio serve --new-key NAME.", where=str(self._file)
            ) from None
        found = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.match(line.strip())
            if match is None:
                raise SpecError(
                    "this line is not `NAME sha256:HASH`; a key itself must not stand here",
                    hint="Make keys with studio serve --new-key NAME.",
                    where=f"{self._file}, line {number}",
                )
            found[match["name"]] = match["hash"]
        if not found:
            raise SpecError("there is no key in the file", hint="Make one: studio serve --new-key NAME.", where=str(self._file))
        self._hashes, self._seen = found, (about.st_mtime_ns, about.st_size)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
