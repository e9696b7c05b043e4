"""The `model` section: which base model, and how it is held in memory while it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.core.section import DECIDED, Section

Quantization = Literal["nf4", "int8", "none"]
Dtype = Literal["bf16", "fp16", "fp32"]
Attention = Literal["sdpa", "eager", "flash_attention_2"]


class Model(Section, frozen=True):
    """The base model."""

    name: str = Field(default="starter", min_length=1, title="Base model")
    """A hub id such as `Qwen/Qwen2.5-3B-Instruct`, a local folder, or `starter`: the small model shipped with the studio."""
    revision: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Revision")
    """Branch, tag or commit on the hub. Empty: the newest, and the commit that was used is kept in `lock.json`."""
    quantization: Quantization | None = Field(default=None, title="Quantization")
    """How the frozen base weights are held: nf4 (4 bit, QLoRA), int8, or none (16 bit). Empty: the plan decides by memory."""
    double_quantization: Annotated[bool, Ui(advanced=True)] = Field(default=True, title="Double quantization")
    """With nf4, quantise the scales too: saves 0.37 bit a weight at no measured cost (QLoRA, Dettmers et al. 2023)."""
    dtype: Annotated[Dtype | None, Ui(advanced=True)] = Field(default=None, title="Compute type")
    """Number format of the computation. Empty: bf16 where the device has it, else fp16 on a GPU and fp32 on a CPU."""
    attention: Annotated[Attention | None, Ui(advanced=True)] = Field(default=None, title="Attention")
    """Attention implementation. Empty: the fastest this machine has that is exact."""
    hub_id: Annotated[str | None, Ui(advanced=True)] = Field(
        default=None, title="Hub id of the folder", pattern=r"^[\w.-]+/[\w.-]+$"
    )
    """Of a local folder: the model in it, OWNER/NAME. Model cards, adapters and commands name it. Empty: the folder's name."""
    license: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Licence", max_length=100)
    """Of a local folder: the licence of its model, for model cards. Empty: as its README.md says, or as known of `hub_id`."""
    chat_template: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Chat template file")
    """A Jinja file to use where the model's tokenizer has no chat template. Empty: the tokenizer's own."""


class ResolvedModel(Model, frozen=True):
    """The base model with nothing left to the plan."""

    quantization: Quantization = DECIDED
    dtype: Dtype = DECIDED
    attention: Attention = DECIDED
