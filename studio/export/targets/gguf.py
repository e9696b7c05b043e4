"""Target `gguf`: one file for llama.cpp, Ollama and LM Studio."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio.core.section import Section


class GgufTarget(Section):
    """A GGUF file, loaded and checked in llama.cpp."""

    kind: Literal["gguf"] = Field(default="gguf", title="Kind")
    """A GGUF file."""
    quant: Literal["f16", "q8_0", "q4_k_m"] = Field(default="q8_0", title="Quantization")
    """f16: no loss; q8_0: half the size, hardly any loss; q4_k_m: a quarter, for small machines."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""
