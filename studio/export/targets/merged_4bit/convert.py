"""A 4-bit model folder that vLLM loads: the merged model, quantised on the run's own training rows in its environment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import ExportError
from studio.core.files import bytes_in, read_json, write_json
from studio.core.text import count, plural
from studio.export import toolchains as environments
from studio.export.artifacts.manifest import Check, Verification
from studio.export.merging import merge
from studio.export.merging.merged_folder import WORK, merged_export, merged_folder
from studio.export.merging.source import Onto, Probe, Source
from studio.export.resources import RUNTIME, Need
from studio.export.verification import limits
from studio.export.verification.answers import Reference
from studio.export.verification.checks import compared, prompts_agree
from studio.export.verification.reference import reference
from studio.tracking.reporter import Reporter

ENVIRONMENT, VLLM = "compress", "vllm"
TOKENS = 1 << 16
"""Calibration reads about so many tokens: several for each input of a layer of a model of some billion parameters."""
LONGEST = 2048
"""Tokens of one row that are read."""
BITS = 4 + 16 / 128
"""Bits a quantised weight takes with its share of a 16-bit scale."""


def estimate(source: Source, onto: Onto) -> Need:
    """Disk: the 4-bit weights and 16-bit embeddings, and a merged model unless there is one. Memory: the merged model, the
    statistics of one block's inputs, and the libraries twice, for two processes."""
    merged = merge.merged_bytes(source, None)
    scratch = 0 if merged_export(source, onto) else merged
    statistics = 2 * 4 * int(getattr(source.base_config, "intermediate_size", None) or 4 * source.base_config.hidden_size) ** 2
    return Need(disk=weights_bytes(source) + scratch + (32 << 20), memory=merged + statistics + 2 * RUNTIME)


def weights_bytes(source: Source) -> int:
    """Bytes of the 4-bit weights with the embeddings, which stay in 16 bit."""
    embeddings = source.base_config.vocab_size * source.base_config.hidden_size
    embeddings *= 1 if source.base_config.tie_word_embeddings else 2
    return int((source.parameters - embeddings) * BITS / 8) + 2 * embeddings


def write(source: Source, onto: Onto, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Merge, quantise, and put the merged model's tokenizer, template and settings beside it. Returns details.

    Raises ExportError without the environment, and for mixture-of-experts models, which are untested.
    """
    refuse(source)
    folder = merged_folder(source, onto, out, reporter)
    rows, tokens = calibration(source, out / WORK / "calibration.npz")
    request = {"model": str(folder), "out": str(out / WORK / "quantised"), "rows": str(out / WORK / "calibration.npz")}
    done = environments.call(
        ENVIRONMENT,
        "studio.export.targets.merged_4bit.quantize:quantize",
        {**request, "rows": request["rows"] if rows else None},
        reporter,
    )
    _assemble(folder, Path(request["out"]), out)
    read = f"{plural(rows, 'training row')}, {count(tokens)} tokens" if rows else "no rows: the run has none any more"
    how = "GPTQ" if rows else "rounding to the nearest step"
    merged = (
        merge.statement(source, onto, merge.saved_dtype(source, None)).partition("; saved as")[0].partition(", saved as")[0]
    )
    bits = 8 * sum(bytes_in(file) for file in out.glob("*.safetensors")) / source.parameters
    return {
        "onto": onto,
        "statement": f"{merged.rstrip('.')}; then quantised to 4 bit by {how}, a scale every {done['group']} weights.",
        "calibration": read,
        "bits_per_weight": round(bits, 2),
        "left_out": ["embeddings", "lm_head", "norms"],
        **done,
    }


def refuse(source: Source) -> None:
    """Raise ExportError for what cannot be made, before an hour of merging and not after."""
    environments.python(ENVIRONMENT)
    if any(getattr(source.base_config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        raise ExportError(
            "mixture-of-experts models are not quantised to 4 bit for vLLM here",
            hint="Export `merged`; vLLM can round it to 8 bit as it loads: --quantization fp8.",
            where=source.base_name,
        )


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


def verify(source: Source, out: Path, onto: Onto, probe: Probe, reporter: Reporter) -> Verification:
    """vLLM loads the folder where its environment is installed, else transformers with compressed-tensors; it is compared
    with base + adapter."""
    from transformers import AutoTokenizer

    known = reference(source, probe, reporter)
    tokenizer = AutoTokenizer.from_pretrained(out)
    limit = limits.ORIGINAL if onto == "original" and source.quantized else limits.FOUR_BIT
    with _opened(source, out, known, reporter) as model:
        wrong = model.ask("wrong")
        complete = Check(
            "weights_complete", not wrong, True, not wrong, wrong or "no weight is missing, left over or misshapen"
        )
        same = prompts_agree(known, probe, tokenizer)
        return compared(model, tokenizer, same, known, limit, probe, model.ask("version"), [complete], reporter)


def _opened(source: Source, out: Path, known: Reference, reporter: Reporter) -> environments.Remote:
    settings: dict[str, Any] = {"folder": str(out), "dtype": merge.DTYPES[source.model.dtype or "fp32"]}
    if not environments.ready(VLLM):
        return environments.Remote(ENVIRONMENT, "studio.export.targets.merged_4bit.runtime:opened", settings, reporter)
    ends = read_json(out / "generation_config.json")["eos_token_id"]
    settings |= {"ends": ends if isinstance(ends, list) else [ends], "context": known.longest + 1}
    if source.model.dtype == "fp32":
        settings["dtype"] = "auto"  # vLLM has no kernel that multiplies 4-bit weights in float32
    return environments.Remote(VLLM, "studio.export.toolchains.vllm.runtime:opened", settings, reporter)


def _assemble(merged: Path, quantised: Path, out: Path) -> None:
    """The quantised weights with everything else as the merged model has it, the fields for older runtimes included."""
    for file in quantised.glob("model*"):
        shutil.move(file, out / file.name)
    left_out = ("config.json", "README.md", "artifact.json")
    for file in merged.iterdir():
        if file.is_file() and file.name not in left_out and not file.name.startswith("model"):
            shutil.copyfile(file, out / file.name)
    config = read_json(merged / "config.json")
    config["quantization_config"] = read_json(quantised / "config.json")["quantization_config"]
    write_json(out / "config.json", config)
    for file in out.iterdir():
        if file.is_file():
            file.chmod(0o644)
    shutil.rmtree(quantised)
