"""A 4-bit model folder that vLLM loads: the merged model, quantized on the run's own training rows in its toolchain."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.files import bytes_in, read_json, write_json
from studio.core.text import count, plural
from studio.export import toolchains
from studio.export.merging.source import Source
from studio.export.targets.merged_model import WORK, copy_merged
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.merged_4bit.settings import Merged4BitTarget

TOOLCHAIN = "compress"
TOKENS = 1 << 16
"""Calibration reads about so many tokens: several for each input of a layer of a model of some billion parameters."""
LONGEST = 2048
"""Tokens of one row that are read."""


def write(target: Merged4BitTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Merge, quantize, and put the merged model's tokenizer, template and settings beside it. Returns details.

    Raises ExportError if the toolchain is not installed, before an hour of merging and not after.
    """
    toolchains.python(TOOLCHAIN)
    folder = target.merged(source, out, reporter)
    file = out / WORK / "calibration.npz"
    rows, tokens = calibration(source, file)
    quantized = out / WORK / "quantised"
    request = {"model": str(folder), "out": str(quantized), "rows": str(file) if rows else None}
    done = toolchains.call(TOOLCHAIN, "studio.export.targets.merged_4bit.quantize:quantize", request, reporter)
    _assemble(folder, quantized, out)
    read = f"{plural(rows, 'training row')}, {count(tokens)} tokens" if rows else "no rows: the run has none any more"
    how = "GPTQ" if rows else "rounding to the nearest step"
    merged = target.statement(source)["statement"].partition("converted from")[0].rstrip(" ,;.")
    bits = 8 * sum(bytes_in(file) for file in out.glob("*.safetensors")) / source.parameters
    return {
        "onto": source.onto(target.merge_into),
        "statement": f"{merged}; then quantized to 4 bit by {how}, a scale every {done['group']} weights.",
        "calibration": read,
        "bits_per_weight": round(bits, 2),
        "left_out": ["embeddings", "lm_head", "norms"],
        **done,
    }


def calibration(source: Source, file: Path) -> tuple[int, int]:
    """Keep training rows, spread evenly over all of them, for the calibration. Returns rows and tokens; none if the run's
    data is gone."""
    from studio.data import encode

    if source.train is None or not (source.train / "meta.json").exists():
        return 0, 0
    kept = encode.load(source.train)
    usual = float(np.minimum(kept.lengths, LONGEST).mean())
    wanted = min(len(kept), max(1, round(TOKENS / usual)))
    places = np.linspace(0, len(kept) - 1, wanted).round().astype(int)
    rows = [np.asarray(kept[place][0][:LONGEST]) for place in places]
    np.savez(file, ids=np.concatenate(rows), offsets=np.cumsum([0, *map(len, rows)]))
    return len(rows), sum(map(len, rows))


def _assemble(merged: Path, quantized: Path, out: Path) -> None:
    """The quantized weights with everything else as the merged model has it, the fields for older runtimes included."""
    for file in quantized.glob("model*"):
        shutil.move(file, out / file.name)
    weights = [file.name for file in merged.glob("model*")]
    config = read_json(merged / "config.json")
    copy_merged(merged, out, leave_out=("config.json", *weights))
    config["quantization_config"] = read_json(quantized / "config.json")["quantization_config"]
    write_json(out / "config.json", config)
    for file in out.iterdir():
        if file.is_file():
            file.chmod(0o644)
    shutil.rmtree(quantized)
