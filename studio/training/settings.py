"""The `adapter` and `training` sections."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from studio.core.fields import Ui
from studio.core.section import DECIDED, Section
from studio.core.validation_errors import Conflict
from studio.training.kinds import KIND_HELP, KINDS, Kind, KindName
from studio.training.methods import METHODS, AnyMethod, Sft

METHOD_HELP = (
    "; ".join(f"{name}: {method.summary}" for name, method in METHODS.items())
    + ". A word, or a section with the method's settings, such as `{kind: dpo, beta: 0.2}`."
)
Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]


class Adapter(Section, frozen=True):
    """The adapter that is trained while the base stays frozen; with the kind `full`, the layers themselves."""

    kind: KindName = Field(default="lora", title="Kind", description=KIND_HELP)
    rank: Annotated[int, Ui(step=8)] = Field(default=16, ge=1, le=512, title="Rank")
    """Adapter capacity. Higher learns more and needs more memory."""
    alpha: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, le=2048, title="Alpha")
    """Adapter strength; the update is scaled by alpha / rank. Empty: twice the rank, or 8 with rslora."""
    dropout: Annotated[float, Ui(advanced=True, step=0.01)] = Field(default=0.0, ge=0, lt=1, title="Dropout")
    """Share of adapter inputs dropped while training. 0 is fastest, and usual for short runs."""
    targets: Annotated[Literal["all-linear", "attention"] | list[str], Ui(advanced=True)] = Field(
        default="all-linear", title="Target modules"
    )
    """Which layers get an adapter: all linear ones, attention only, or a list of module names or regular expressions, which
    match the end of a module's path, such as `layers.[0-7].mlp.down_proj`."""
    ranks: Annotated[dict[str, Annotated[int, Field(ge=1, le=512)]], Ui(advanced=True, placeholder="down_proj: 32")] = Field(
        default={}, title="Ranks by layer"
    )
    """Ranks of their own for some layers, by name or regular expression as in `targets`; the first that matches. Their updates
    are scaled like the others'."""
    modules_to_save: Annotated[list[str], Ui(advanced=True)] = Field(default=[], title="Modules trained whole")
    """Modules trained whole beside the adapter, by name: `norm`, `embed_tokens`, `lm_head`. Merged exports carry them; servers
    that load adapters by name do not."""
    lora_plus: Annotated[float, Ui(advanced=True, step=1)] = Field(default=1.0, ge=1, le=64, title="LoRA+ ratio")
    """How many times the learning rate of the A matrices the B matrices are trained with (Hayou et al. 2024). 1: alike; 16 is
    usual for LoRA+."""
    start_from: Annotated[str | None, Ui(placeholder="a fresh adapter")] = Field(default=None, title="Start from")
    """A run, the folder of an adapter, or one on the hub (`hub:OWNER/NAME`), that is trained further; kind, rank, strength and
    layers are then its own. Empty: a fresh adapter. What comes out holds both: it alone is merged or served."""

    @property
    def traits(self) -> Kind:
        """What its kind is and needs."""
        return KINDS[self.kind]

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Adapter:
        patterns = [*(self.targets if isinstance(self.targets, list) else ()), *self.ranks]
        for pattern in patterns:
            _check_expression("adapter.ranks" if pattern in self.ranks else "adapter.targets", pattern)
        if self.kind == "full":
            _only_defaults(self, ("rank", "dropout", "targets", "ranks", "lora_plus", "start_from"))
        return self


def _check_expression(field: str, pattern: str) -> None:
    """Raise Conflict for what is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as problem:
        raise Conflict(
            field,
            f"`{pattern}` is no regular expression: {problem}",
            "Write a name such as q_proj, or an expression such as layers.[0-7].mlp.*",
        ) from None


def _only_defaults(adapter: Adapter, names: tuple[str, ...]) -> None:
    """Raise Conflict for a field that means nothing without an adapter."""
    for name in names:
        if getattr(adapter, name) != Adapter.model_fields[name].get_default(call_default_factory=True):
            raise Conflict(
                f"adapter.{name}",
                "it belongs to an adapter, and `adapter.kind: full` trains the layers themselves",
                "Leave the field out, or choose another adapter.kind.",
            )


RENAMED = {
    "trained_head": "loss_on_labels_only",
    "row_attention": "varlen_attention",
    "unpack_once": "reuse_dequantized",
    "background_saving": "async_checkpoints",
}


class Training(Section, frozen=True):
    """How the adapter is trained."""

    renamed = RENAMED

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
    recompute_every: Annotated[int | None, Ui(advanced=True)] = Field(
        default=None, ge=1, le=64, title="Recompute every (layers)"
    )
    """With gradient checkpointing, every how many layers is recomputed; the others keep their activations, which is faster. 1:
    all, the least memory. Empty: as few as memory allows."""
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
    fused_norms: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Fused norms")
    """Compute each root mean square norm in one kernel, which rounds once where the model's own rounds twice. Empty: on a GPU,
    wherever loss and gradient stay the same."""
    triton_kernels: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Triton kernels")
    """Compute the loss of a piece, gates and rotary embeddings in one kernel each. Empty: on a GPU, where Triton runs and loss
    and gradient stay the same."""
    loss_on_labels_only: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Loss on labels only")
    """Score only the tokens that are trained, a piece at a time. Empty: wherever it gives the model's exact losses."""
    varlen_attention: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Variable-length attention")
    """Compute packed rows' attention one by one, not under a mask over all. Empty: wherever it gives the exact losses."""
    shared_prompts: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Shared prompts")
    """Compute a prompt once for all its answers, of a preference pair or a group. Empty: wherever it gives the exact losses."""
    reuse_dequantized: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Reuse dequantised weights")
    """With checkpointing, a weight unpacked to compute a layer again serves its backward pass too. Empty: if it fits."""
    activation_offloading: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Activation offloading")
    """With checkpointing on a GPU, the inputs of layers wait in RAM for the backward pass. Empty: only where a run does not fit
    otherwise."""
    async_checkpoints: Annotated[bool | None, Ui(advanced=True)] = Field(default=None, title="Asynchronous checkpoints")
    """Write checkpoints while training goes on. Empty: yes."""
    neftune: Annotated[float, Ui(advanced=True, step=1)] = Field(default=0.0, ge=0, le=100, title="NEFTune noise")
    """Strength of the noise on the embeddings while training (Jain et al. 2023), against learning rows by heart. 0: none; 5 is
    usual."""
    seed: Annotated[int, Ui(advanced=True)] = Field(default=42, ge=0, le=2**31 - 1, title="Seed")
    """The same seed, data and machine give the same run: bit for bit on a CPU, to rounding on a GPU, whose kernels add in any
    order."""


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
    recompute_every: int = 1  # runs resolved before there was this field recompute all layers
    optimizer: Optimizer = DECIDED
    eval_every: int = DECIDED
    save_every: int = DECIDED
    keep: Literal["best", "last"] = DECIDED
    threads: int = DECIDED
    fused_adapters: bool = DECIDED
    fused_norms: bool = False  # runs resolved before there were these fields had neither
    triton_kernels: bool = False
    loss_on_labels_only: bool = DECIDED
    varlen_attention: bool = DECIDED
    shared_prompts: bool = False  # runs resolved before there was this field have none
    reuse_dequantized: bool = DECIDED
    activation_offloading: bool = False  # runs resolved before there was this field keep them on the GPU
    async_checkpoints: bool = DECIDED
