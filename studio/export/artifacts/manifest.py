"""An export as it lies on disk: its files and hashes, what it was made from, how it was checked, how it is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from studio.core.events import Exported
from studio.core.files import bytes_in, sha256
from studio.core.records import Record
from studio.core.text import size
from studio.export.verification.result import Verification

MANIFEST = "artifact.json"


class File(Record):
    """One file of an export: its path in the folder, size in bytes and SHA-256."""

    path: str
    bytes: int
    sha256: str


class Artifact(Record):
    """One export, as its `artifact.json` describes it."""

    label: ClassVar[str] = "export manifest"
    remedy: ClassVar[str] = "Export again: the folder is replaced."

    kind: str
    folder: str
    """Its name below `exports/`."""
    settings: dict[str, Any]
    key: str
    """Changes whenever anything the export was made from does."""
    sources: dict[str, Any]
    details: dict[str, Any]
    files: list[File]
    versions: dict[str, str]
    verification: Verification
    serve: list[str]
    """Commands to run inside the folder."""
    made_at: str
    path: Path = Field(default=Path("."), exclude=True)
    """The folder on this machine, which the manifest does not hold."""

    def __str__(self) -> str:
        return f"{self.folder}: {size(self.bytes)}, {self.verification.status}"

    def __repr__(self) -> str:
        return f"<Artifact {self}>"

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """The manifest, with size and status for readers that do not count."""
        return {**super().as_json(), "bytes": self.bytes, "status": self.verification.status}

    def event(self) -> Exported:
        """What the run's events say of it."""
        found = self.verification
        return Exported(
            target=self.kind,
            folder=self.folder,
            path=str(self.path),
            bytes=self.bytes,
            status=found.status,
            note=" ".join(filter(None, (found.note, found.advice))),
            checks={check.name: check.value for check in found.checks},
            serve=tuple(self.serve),
        )

    def is_whole(self) -> bool:
        """True if all its files are there with their sizes."""
        paths = [(self.path / file.path, file.bytes) for file in self.files]
        return all(path.is_file() and bytes_in(path) == expected for path, expected in paths)

    def with_values(self, **values: object) -> Artifact:
        """The same export with some values replaced."""
        return self.model_copy(update=values)


def write(artifact: Artifact, folder: Path) -> None:
    """Write `artifact.json` into `folder`."""
    artifact.write(folder / MANIFEST)


def read(folder: Path) -> Artifact:
    """The export in `folder`. Raises RecordError for a manifest that is damaged or of a newer release."""
    return Artifact.read(folder / MANIFEST).with_values(path=folder)


def files_in(folder: Path) -> list[File]:
    """Every file of an export with size and hash, the manifest itself left out."""
    return [
        File(path=file.relative_to(folder).as_posix(), bytes=bytes_in(file), sha256=sha256(file))
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    ]
