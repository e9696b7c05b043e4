"""Target `merged`: base and adapter as one safetensors model with the tokenizer and template that were trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio.core.section import Section


class MergedTarget(Section):
    """One full model folder that transformers, vLLM, SGLang and TensorRT-LLM load."""

    kind: Literal["merged"] = Field(default="merged", title="Kind")
    """A full model in safetensors."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """dequantized: the very weights the adapter was trained on; original: the base's own 16-bit weights. Empty: dequantized."""
    dtype: Literal["bf16", "fp16", "fp32"] | None = Field(default=None, title="Saved as")
    """Number format of the saved weights. Empty: the base model's own."""
