"""Quantizing a float GGUF file by llama.cpp itself (through `cyllama`'s prebuilt wheel)."""

from __future__ import annotations

from pathlib import Path

from studio.core.errors import ExportError
from studio.export.llamacpp.runtime import INSTALL, missing, quiet

FTYPES = {"q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}
"""llama.h's LLAMA_FTYPE_MOSTLY_* of the formats that llama.cpp quantizes; f16 and q8_0 are written directly."""


def refuse_if_missing(quant: str) -> None:
    """Raise ExportError if there is nothing to quantize with."""
    reason = missing()
    if reason:
        raise ExportError(
            f"{quant} needs llama.cpp's quantizer: {reason}",
            hint=f"{INSTALL}; or export quant f16 and run `llama-quantize IN.gguf OUT.gguf {quant.upper()}`.",
        )


def quantize(source: Path, out: Path, quant: str, threads: int = 1) -> None:
    """Quantize a float GGUF file to `quant` of FTYPES. Raises ExportError if llama.cpp is missing or fails."""
    refuse_if_missing(quant)
    from cyllama.llama import llama_cpp

    with quiet():
        params = llama_cpp.LlamaModelQuantizeParams()
        params.ftype, params.nthread = FTYPES[quant], threads
        try:
            llama_cpp.model_quantize(str(source), str(out), params)
        except RuntimeError as problem:
            raise ExportError(f"llama.cpp could not quantize the file: {problem}", hint="Export quant q8_0 instead.") from None
