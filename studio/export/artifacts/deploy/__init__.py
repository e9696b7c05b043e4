"""Deploy files: what a person needs on the machine that will serve an export. To add a server: write its file, name it here."""

from __future__ import annotations

import shutil
from pathlib import Path

from studio.core.files import folder_aside, write_text
from studio.export.artifacts import manifest as artifacts
from studio.export.artifacts.deploy import llamacpp, ollama, tensorrt_llm, vllm
from studio.export.artifacts.deploy.readme import readme
from studio.export.artifacts.deploy.runtime import Facts, Runtime
from studio.export.artifacts.manifest import Artifact
from studio.export.merging.source import Source

SERVERS = (vllm, tensorrt_llm, llamacpp, ollama)
FOLDER = "deploy"
SUMS = "SHA256SUMS"
"""Hashes of every file of the export, as `sha256sum -c` reads them."""


def runtimes(source: Source, artifact: Artifact) -> list[Runtime]:
    """The servers that load this export."""
    facts = Facts(source, artifact)
    return [found for server in SERVERS if (found := server.plan(facts))]


def write(source: Source, artifact: Artifact) -> Artifact:
    """Write `deploy/` and `SHA256SUMS` into the export's folder and name them in its manifest. Returns the export anew.

    What was there of an earlier time is replaced whole. The manifest names none of it meanwhile: whenever this is killed, the
    export itself stays whole.
    """
    kept = [file for file in artifact.files if not _ours(file.path)]
    bare = artifact.with_values(files=kept)
    if bare != artifact:
        artifacts.write(bare, artifact.path)
    (artifact.path / SUMS).unlink(missing_ok=True)
    _sweep(artifact.path)
    with folder_aside(artifact.path / FOLDER) as aside:
        every = runtimes(source, bare)
        for runtime in every:
            runtime.write(aside)
        write_text(aside / "README.md", readme(Facts(source, bare), every))
    added = [file.model_copy(update={"path": f"{FOLDER}/{file.path}"}) for file in artifacts.files_in(artifact.path / FOLDER)]
    files = sorted([*kept, *added], key=lambda file: file.path)
    sums = write_text(artifact.path / SUMS, "".join(f"{file.sha256}  {file.path}\n" for file in files))
    deployed = artifact.with_values(files=[*files, _file(sums)])
    artifacts.write(deployed, artifact.path)
    return deployed


def _sweep(folder: Path) -> None:
    """Remove what writing these files left when it was killed."""
    for name in (FOLDER, SUMS, artifacts.MANIFEST):
        for left in folder.glob(f".{name}.*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _ours(path: str) -> bool:
    return path == SUMS or path.startswith(f"{FOLDER}/")


def _file(path: Path) -> artifacts.File:
    from studio.core.files import bytes_in, sha256

    return artifacts.File(path=path.name, bytes=bytes_in(path), sha256=sha256(path))
