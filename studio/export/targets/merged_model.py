"""The merged model that most targets are made from: where it is, and how it is checked."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from studio.core import events
from studio.export.artifacts import manifest
from studio.export.merging.merge import DTYPES, saved_dtype, write_merged
from studio.export.merging.source import Onto, Source
from studio.export.verification import answers, loading
from studio.export.verification.comparison import Comparison
from studio.export.verification.limits import ORIGINAL, Limits
from studio.export.verification.probe import Probe
from studio.export.verification.result import Verification
from studio.hardware import machine as machines
from studio.tracking.reporter import Reporter

WORK = ".work"
"""Scratch inside an unfinished export, removed before it is finished."""
LIMITS = Limits(5e-3, 5e-2, 0.97, 0.75, "merged into the very weights trained on: what is left is rounding as it is saved")


def merged_export(source: Source, onto: Onto) -> Path | None:
    """A merged export of this very run onto the same weights in the base's own number format, if there is one."""
    key = source.key({"kind": "merged", "merge_into": onto, "dtype": saved_dtype(source, None)})  # as MergedTarget resolves it
    for folder in sorted(source.exports.glob("merged*")):
        if not (folder / manifest.MANIFEST).exists():
            continue
        artifact = manifest.read(folder)
        if artifact.key == key and artifact.verification.passed and artifact.is_whole():
            return folder
    return None


def merged_folder(source: Source, onto: Onto, out: Path, reporter: Reporter) -> Path:
    """The merged model: an export that is there, else one in the scratch of `out`."""
    there = merged_export(source, onto)
    if there:
        return there
    scratch = out / WORK / "merged"
    if not scratch.exists():
        scratch.mkdir(parents=True)
        write_merged(source, onto, saved_dtype(source, None), scratch, reporter)
    return scratch


def copy_merged(folder: Path, out: Path, leave_out: Collection[str] = ()) -> None:
    """Copy the files of a merged model into another export, readable by all: of an export only those that were made and
    hashed as it, not what came later (deploy files, checksums, the record of uploads). Scratch is moved, not copied."""
    scratch = not (folder / manifest.MANIFEST).exists()
    names = [file.name for file in folder.iterdir() if file.is_file()]
    if not scratch:
        listed = {file.path for file in manifest.read(folder).files}
        names = [name for name in names if name in listed]
    for name in sorted({*names} - {*leave_out, *OWN}):
        (shutil.move if scratch else shutil.copyfile)(folder / name, out / name)
        (out / name).chmod(0o644)


OWN = ("README.md", "SHA256SUMS", "pushed.json", manifest.MANIFEST)
"""Files of an export that speak of itself."""


def verify_merged(source: Source, out: Path, onto: Onto, probe: Probe, reporter: Reporter) -> Verification:
    """transformers loads the folder in the number format the run computed in.

    A model that is larger than the GPU's free memory is compared token by token, in one pass a row. The questions of the
    evaluation are not answered again: a token of theirs takes as long as a pass, for the weights are read from RAM for it.
    """
    from transformers import AutoTokenizer

    limits = ORIGINAL if onto == "original" and source.quantized else LIMITS
    if slow := loading.beyond_gpu(out, machines.probe()):
        reporter.event(events.Warning(message=slow))
        probe = replace(probe, evidence=None, general=())
    comparison = Comparison.prepare(source, out, probe, limits, reporter)
    model, faults = loading.load_merged(out, DTYPES[source.model.dtype or "fp32"], machines.probe().device == "cuda")
    comparison = comparison.with_checks(loading.weights_complete(faults))
    tokenizer = AutoTokenizer.from_pretrained(out)
    runtime = answers.Transformers(model, tokenizer)
    name = f"transformers {loading.version('transformers')}"
    verification = comparison.measure(runtime, comparison.prompts_of(tokenizer), name, tokenizer)
    return replace(verification, note=" ".join(filter(None, (verification.note, slow))))
