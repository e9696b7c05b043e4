"""An export as it lies on disk: its files and hashes, what it was made from, how it was checked, how it is served."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from studio.core.files import bytes_in, read_json, sha256, write_json

MANIFEST = "artifact.json"
STRUCTURAL = "structure checked, not run"
"""What a manifest says of an artefact that only its own device can run."""


@dataclass(frozen=True)
class Check:
    """One figure of a verification. threshold None: reported, not judged."""

    name: str
    value: float | bool | str
    threshold: float | bool | str | None
    passed: bool
    explanation: str


@dataclass(frozen=True)
class Sample:
    """One prompt answered greedily by base and adapter (`reference`) and by the artefact."""

    prompt: str
    reference: str
    artifact: str
    identical: bool
    reference_ended: bool
    artifact_ended: bool


@dataclass(frozen=True)
class Verification:
    """How an artefact answered against base + adapter. passed is None if it could not be run; `note` then says why."""

    passed: bool | None
    runtime: str
    checks: list[Check] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    note: str = ""
    evidence: dict[str, Any] | None = None
    """The run's own metrics again on the artefact, as `export.evidence.Cost`; None where the run has none."""

    @property
    def verdict(self) -> str:
        """`verified`, `failed`, `structure checked, not run` or `not verified`."""
        unrun = STRUCTURAL if self.note.startswith(STRUCTURAL) else "not verified"
        return {True: "verified", False: "failed", None: unrun}[self.passed]

    @property
    def holds(self) -> bool:
        """True if everything that can be checked on this machine was, and passed."""
        return self.verdict in ("verified", STRUCTURAL)

    def value(self, name: str) -> float | bool | str | None:
        """The value of the check called `name`."""
        return next((check.value for check in self.checks if check.name == name), None)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Verification:
        """The verification `dataclasses.asdict` gave."""
        checks = [Check(**check) for check in values["checks"]]
        return cls(**{**values, "checks": checks, "samples": [Sample(**sample) for sample in values["samples"]]})


def judged(runtime: str, checks: list[Check], samples: list[Sample], note: str = "") -> Verification:
    """The verification these checks amount to."""
    return Verification(all(check.passed for check in checks), runtime, checks, samples, note)


def structural(runtime: str, checks: list[Check], why: str) -> Verification:
    """The verification of an artefact that cannot run here (its runtime needs another system or device): failed if a
    check of its structure failed, else neither passed nor failed: "structure checked, not run: <why>"."""
    return Verification(None if all(check.passed for check in checks) else False, runtime, checks, [], f"{STRUCTURAL}: {why}")


@dataclass(frozen=True)
class File:
    """One file of an export: its path in the folder, size in bytes and SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """One export. `folder` is its name below `exports/`; `at` is where it lies, which the manifest does not tell."""

    kind: str
    folder: str
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
    at: Path = field(default=Path("."), compare=False)

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """The manifest."""
        values = asdict(self)
        del values["at"]
        return {"version": 1, **values, "bytes": self.bytes, "status": self.verification.verdict}

    def summary(self) -> dict[str, Any]:
        """What one line of a log or a table says."""
        return {
            "target": self.kind,
            "folder": self.folder,
            "path": str(self.at),
            "bytes": self.bytes,
            "status": self.verification.verdict,
            "note": self.verification.note,
            "checks": {check.name: check.value for check in self.verification.checks},
            "serve": self.serve,
        }

    def is_whole(self) -> bool:
        """True if all its files are there with their sizes."""
        return all((self.at / file.path).is_file() and bytes_in(self.at / file.path) == file.bytes for file in self.files)


def write(artifact: Artifact, folder: Path) -> None:
    """Write `artifact.json` into `folder`."""
    write_json(folder / MANIFEST, artifact.as_dict())


def read(folder: Path) -> Artifact:
    """The export in `folder`."""
    values = read_json(folder / MANIFEST)
    for derived in ("version", "bytes", "status"):
        del values[derived]
    values["files"] = [File(**file) for file in values["files"]]
    values["verification"] = Verification.from_dict(values["verification"])
    return Artifact(**values, at=folder)


def files_in(folder: Path) -> list[File]:
    """Every file of an export with size and hash, the manifest itself left out."""
    return [
        File(file.relative_to(folder).as_posix(), bytes_in(file), sha256(file))
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    ]
