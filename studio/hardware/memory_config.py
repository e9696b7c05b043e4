"""What of a run decides its memory and speed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainerTraits:
    """What differs between trainers at equal settings; as it stands, our own.

    Others are described only to check the formulas on what they published.
    """

    adapter: int = 4
    """Bytes of an adapter's weight, of its gradient, and of each of AdamW's moments unless they are in 8 bit."""
    copied: bool = True
    """Autocast keeps a 16-bit copy of the adapter during a step."""
    logits: int = 0
    """Bytes kept for every logit of all tokens; 0: the head works in tiles."""
    repeated: bool = False
    """Keys and values are kept once for each query head."""
    own: int = 0
    """Bytes a number of the copy that each adapted layer keeps of its input for itself; 0: they share it as it is."""
    offloaded: bool = False
    """What checkpointing keeps is moved to RAM."""
    inputs: int = 0
    """Bytes a number of the copy of its input that each quantised layer keeps without need, as bitsandbytes before 0.43.2."""
    head: bool = False
    """The output matrix is quantised too."""
    joint: bool = False
    """Queries, keys and values are one layer with one adapter (LitGPT): it keeps its input once, the adapter's answer where
    that is of a part of the three, and its own answer whole where each query head has keys of its own."""
    prepared: bool = False
    """Embedding, head, norms and what passes from layer to layer are in 32 bit, as peft's `prepare_model_for_kbit_training`
    leaves them."""


@dataclass(frozen=True)
class MemoryConfig:
    """What of a run decides its memory. rows x length are the tokens computed at once."""

    quantization: str = "nf4"
    double_quantization: bool = True
    dtype: str = "bf16"
    attention: str = "sdpa"
    rank: int = 16
    targets: str | tuple[str, ...] = "all-linear"
    ranks: tuple[tuple[str, int], ...] = ()
    """Ranks of their own, by expression: the first that matches a layer."""
    dora: bool = False
    full: bool = False
    """The linear layers themselves are trained, and no adapter."""
    whole: tuple[str, ...] = ()
    """Modules that are trained whole beside the adapter."""
    dropout: float = 0.0
    optimizer: str = "adamw_8bit"
    rows: int = 1
    length: int = 1024
    checkpointing: bool = True
    recompute_every: int = 1
    """With checkpointing, every how many layers is computed again, the first one always; the others keep what they need."""
    fused: bool = False
    """Adapters that share an input, and gated feed-forwards, are one function each (as `studio.training.fused`)."""
    reuse_dequantized: bool = False
    """A 4-bit weight unpacked to compute a layer again is kept for its backward pass; only where layers are fused."""
    offloaded: bool = False
    """With checkpointing, the inputs of layers wait in RAM."""
    varlen: bool = False
    """Packed rows attend in one kernel, whose output is kept once; row by row it is also joined."""
    row: int = 0
    """Tokens of the longest row, where `length` is many rows laid end to end; 0: `length`."""
    answer_rows: int = 16
    """Answers generated at once in the evaluation."""
    answer_length: int = 1024
    """Prompt and answer together, in tokens."""
    sampled_by: str = ""
    """What writes the answers that training learns from: the `model` itself, `vllm` with a base of its own, or nothing."""
    trainer: TrainerTraits = TrainerTraits()

    @property
    def largest_rank(self) -> int:
        """The largest rank of the adapter."""
        return max((self.rank, *(rank for _, rank in self.ranks)))

    @property
    def unpacked_again(self) -> bool:
        """Whether checkpointing unpacks a 4-bit weight a third time, for the backward pass."""
        once = self.reuse_dequantized and self.fused and self.quantization == "nf4"
        return self.checkpointing and not once

    def recomputed(self, layers: int) -> int:
        """How many of a model's layers are computed again."""
        return -(-layers // self.recompute_every) if self.checkpointing else 0

    @property
    def tokens(self) -> int:
        """Tokens computed at once."""
        return self.rows * self.length
