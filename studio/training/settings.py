"""The `adapter` and `training` sections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.section import DECIDED, Section, Ui
from studio.training.methods import METHODS, AnyMethod, Sft

METHOD_HELP = (
    "; ".join(f"{name}: {method.summary}" for name, method in METHODS.items())
    + ". A word, or a section with the method's settings, such as `{kind: dpo, beta: 0.2}`."
)
Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]


class Adapter(Section, frozen=True):
    """The adapter that is trained while the base stays frozen."""

    kind: Literal["lora", "dora"] = Field(default="lora", title="Kind")
    """lora: low-rank matrices (Hu et al. 2021); dora: with a learned magnitude (Liu et al. 2024), slower."""
    rank: Annotated[int, Ui(step=8)] = Field(default=16, ge=1, le=512, title="Rank")
    """Adapter capacity. Higher learns more and needs more memory."""
    alpha: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, le=2048, title="Alpha")
    """Adapter strength; the update is scaled by alpha / rank. Empty: twice the rank."""
    dropout: Annotated[float, Ui(advanced=True, step=0.01)] = Field(default=0.0, ge=0, lt=1, title="Dropout")
    """Share of adapter inputs dropped while training. 0 is fastest, and usual for short runs."""
    targets: Annotated[Literal["all-linear", "attention"] | list[str], Ui(advanced=True)] = Field(
        default="all-linear", title="Target modules"
    )
    """Which layers get an adapter: all linear ones, attention only, or a list of module names."""
    start_from: Annotated[str | None, Ui(placeholder="a fresh adapter")] = Field(default=None, title="Start from")
    """A run, or the folder of an adapter, that is trained further; rank, strength and layers are then its own. Empty: a fresh
    adapter. What comes out holds both: it alone is merged or served."""


class Training(Section, frozen=True):
    """How the adapter is trained."""

    method: AnyMethod = Field(default_factory=Sft, title="Method", description=METHOD_HELP)
    epochs: Annotated[float, Ui(step=1)] = Field(default=3, gt=0, le=1000, title="Epochs")
    """How often each row is seen."""
    max_steps: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, title="Steps at most")
    """Stop after so many steps, whatever the epochs say. Empty: as many as the epochs take."""
    learning_rate: float | None = Field(default=None, gt=0, le=1, title="Learning rate")
    """Step size. Empty: the plan decides by the model's family and size."""
    schedule: Annotated[Literal["cosine", "linear", "constant"], Ui(advanced=True)] = Field(default="cosine", title="Schedule")
    """How the learning rate falls after the warm-up."""
    warmup: Annotated[float, Ui(advanced=True, step=0.01)] = Field(default=0.05, ge=0, le=0.5, title="Warm-up share")
    """Share of the steps over which the learning rate rises."""
    batch_size: int | None = Field(default=None, ge=1, le=4096, title="Effective batch (rows)")
    """Rows per optimizer step. Empty: the plan decides by the number of rows."""
    micro_batch: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, le=1024, title="Micro-batch (rows)")
    """Rows of full length computed at once, or as many more shorter ones; memory grows with it, the result does not change.
    Empty: what fits."""
    packing: bool | None = Field(default=None, title="Packing")
    """Put several rows into one sequence, without letting them see each other. Empty: the plan decides by row lengths."""
    gradient_checkpointing: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Gradient checkpointing")
    """Recompute activations instead of keeping them: less memory, about a third slower. Empty: only if needed."""
    optimizer: Annotated[Optimizer | None, Ui(advanced=True)] = Field(default=None, title="Optimizer")
    """Empty: AdamW; with its states in 8 bit on a GPU whose memory is short."""
    weight_decay: Annotated[float, Ui(advanced=True, step=0.01)] = Field(default=0.0, ge=0, le=1, title="Weight decay")
    """Weight decay, applied to the adapter's matrices only."""
    max_grad_norm: Annotated[float, Ui(advanced=True)] = Field(default=1.0, gt=0, title="Gradient clipping")
    """Maximum gradient norm; a longer gradient is scaled down to it."""
    eval_every: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, title="Evaluate every (steps)")
    """How often the held-out loss is measured. Empty: about ten times a run."""
    save_every: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, title="Checkpoint every (steps)")
    """A killed run goes on from its last checkpoint. Empty: about ten times a run."""
    keep: Annotated[Literal["best", "last"] | None, Ui(advanced=True)] = Field(default=None, title="Adapter to keep")
    """best: the checkpoint with the lowest held-out loss; last: the end of training. Empty: best if there are held-out rows."""
    early_stopping: Annotated[int | Literal["off"], Ui(advanced=True)] = Field(default="off", title="Early stopping")
    """Stop after so many evaluations without a better held-out loss, or `off`."""
    threads: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, le=1024, title="CPU threads")
    """Empty: one for very small models on a CPU (more would slow them down), else the machine's cores."""
    fused_adapters: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Fused adapters")
    """Compute adapters that share an input, and each gated feed-forward, as one function: faster, less memory, the same
    result. Empty: wherever it can be done."""
    trained_head: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Head over trained tokens")
    """Score only the tokens that are trained, a piece at a time. Empty: wherever it gives the model's exact losses."""
    row_attention: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Attention by row")
    """Compute packed rows' attention one by one, not under a mask over all. Empty: wherever it gives the exact losses."""
    unpack_once: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Unpack 4-bit weights once")
    """With checkpointing, a weight unpacked to compute a layer again serves its backward pass too. Empty: if it fits."""
    background_saving: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Checkpoints in the background")
    """Write checkpoints while training goes on. Empty: yes."""
    seed: Annotated[int, Ui(advanced=True)] = Field(default=42, ge=0, le=2**31 - 1, title="Seed")
    """The same seed, data and machine give the same run."""


class ResolvedAdapter(Adapter, frozen=True):
    """The adapter with nothing left to the plan."""

    alpha: int = DECIDED


class ResolvedTraining(Training, frozen=True):
    """Training with nothing left to the plan; only `max_steps` may be absent, which means no limit."""

    learning_rate: float = DECIDED
    batch_size: int = DECIDED
    micro_batch: int = DECIDED
    packing: bool = DECIDED
    gradient_checkpointing: bool = DECIDED
    optimizer: Optimizer = DECIDED
    eval_every: int = DECIDED
    save_every: int = DECIDED
    keep: Literal["best", "last"] = DECIDED
    threads: int = DECIDED
    fused_adapters: bool = DECIDED
    trained_head: bool = DECIDED
    row_attention: bool = DECIDED
    unpack_once: bool = DECIDED
    background_saving: bool = DECIDED
