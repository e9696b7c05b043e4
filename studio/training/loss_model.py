"""A model made ready to train: adapter on, its loss computed by the fastest exact path (`choosing`), and undone after."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.training import adapters, attention, fusing, initial, noise, norms, recomputing, score_head
from studio.training.batches import Batch, Tokens, batch, first_rows, in_order_of_length
from studio.training.guards import StepInProgress
from studio.training.job import TrainingJob
from studio.training.layouts import MicroBatch
from studio.training.loss_path import LossPath
from studio.training.methods.distil import Distil
from studio.training.methods.method import Scored
from studio.training.modes import evaluating
from studio.training.reference import Reference
from studio.training.sampled import Sampled
from studio.training.teacher_logprobs import TeacherLogprobs

if TYPE_CHECKING:
    import torch

    from studio.training.head import LossKernel
    from studio.training.rotary import Rotary


class LossModel:
    """A base with its adapter, and the loss of a micro-batch by the chosen `LossPath`."""

    def __init__(self, base: Any, job: TrainingJob, pad: int, in_progress: StepInProgress | None = None) -> None:
        from studio.training import head

        self.base, self.job, self.pad, self.in_progress = base, job, pad, in_progress or StepInProgress()
        self.own_attention = str(base.config._attn_implementation)
        self.model = adapters.attach(base, job.adapter, job.training.seed, start=job.start)
        if job.training.method.scores:
            score_head.add(base, job.training.seed)
        if job.training.gradient_checkpointing:
            recomputing.enable(base, job.training.recompute_every)
        self.logit_transform = head.logit_transform(base.config.get_text_config())
        self.path = LossPath(self.own_attention, False, False)
        self.fusion = fusing.Fusion()
        self.norms = norms.Norms()
        self.loss_kernel: LossKernel | None = None
        self.rotary: Rotary | None = None
        self.left: dict[str, str] = {}
        """Optimizations by field that were tried and are not used, with the reason."""
        self.noise = noise.Noise(base.get_input_embeddings(), job.training.neftune)
        if job.adapter.kind == "eva" and job.start is None:
            training = job.training
            first = first_rows(job.train, training.micro_batch, initial.EVA_BATCHES, job.max_length, pad, training.seed)
            with evaluating(self.model), self._autocast():
                initial.directions(self.model, (base.base_model(**self._inputs(micro)) for micro in first))
        self.references: tuple[Reference | None, Reference | None] = (None, None)
        """What the method compares the training and the held-out rows with."""

    @property
    def packed(self) -> bool:
        """Whether rows are laid out end to end."""
        return self.path.packed

    @property
    def shared(self) -> bool:
        """Whether a prompt with several answers is laid out once."""
        return self.path.shared

    def batch(self, tokens: Tokens, rows: Sequence[int]) -> Batch:
        """Rows of `tokens` as a batch, laid out as this model computes it."""
        size, length = self.job.training.micro_batch, self.job.max_length
        return batch(tokens, rows, size, length, self.packed, self.pad, self.shared)

    def longest_first(self, tokens: Tokens) -> Iterator[MicroBatch]:
        """All rows of `tokens` once, laid out as this model computes them."""
        size, length = self.job.training.micro_batch, self.job.max_length
        return in_order_of_length(tokens, size, length, self.packed, self.pad, self.shared)

    def token_losses(self, micro: MicroBatch, words: TeacherLogprobs | None = None) -> Any:
        """-log p(next token) at every trained position: fp32 [positions], on the model's device.

        words: a teacher's; then [4, positions], as `distilling.distilled` gives them.
        """
        from studio.training import distilling, head

        self.in_progress.rows, self.in_progress.tokens = micro.rows, micro.input_ids.size
        inputs = self._inputs(micro)
        self.noise.lengths = micro.lengths
        scored, targets = self.on_device(micro.scored), self.on_device(micro.targets)
        method = self.job.training.method
        with self._autocast():
            if words is not None and isinstance(method, Distil):
                ids, logps = (self.on_device(values) for values in words.of(micro.numbers))
                mix = distilling.Mix(method.beta, method.hard)
                if not self.path.trained_only:
                    logits = self.base(**inputs).logits
                    return distilling.of_logits(logits, scored, targets, ids, logps, mix)
                hidden = self.base.base_model(**inputs).last_hidden_state
                picked = hidden.reshape(-1, hidden.shape[-1]).index_select(0, scored)
                output = self.base.get_output_embeddings()
                return distilling.distilled(picked, output, targets, ids, logps, self.logit_transform, mix)
            if not self.path.trained_only:
                return head.losses_of_logits(self.base(**inputs).logits, scored, targets)
            hidden = self.base.base_model(**inputs).last_hidden_state
            picked = hidden.reshape(-1, hidden.shape[-1]).index_select(0, scored)
            return head.token_losses(picked, self.base.get_output_embeddings(), targets, self.logit_transform, self.loss_kernel)

    def loss(self, micro: MicroBatch) -> Any:
        """Sum of -log p over the trained positions: a scalar, fp32, on the model's device."""
        return self.token_losses(micro).sum()

    def score(
        self, tokens: Tokens, micro: MicroBatch, reference: Reference | None = None, drift: torch.Tensor | None = None
    ) -> Scored:
        """The sequences of a micro-batch of `tokens` as a training method takes them; reference are scores of `tokens`."""
        if self.job.training.method.scores:
            return self._scores(micro)
        words = self._words(tokens)
        losses = self.token_losses(micro, words)
        named = {} if words is None else dict(zip(("divergence", "hard", "same_choice"), losses[1:].detach(), strict=True))
        return Scored(
            losses=losses if words is None else losses[0],
            distilled=named or None,
            counts=self.on_device(micro.scored_in_rows),
            wanted=None if tokens.wanted is None else self.on_device(np.asarray(tokens.wanted[micro.numbers], dtype=bool)),
            reference=None if reference is None else self.on_device(reference.logps[micro.numbers]),
            drift=drift,
            **({} if not isinstance(tokens, Sampled) else self._of_sampled(tokens, micro)),
        )

    def _scores(self, micro: MicroBatch) -> Scored:
        """The same where sequences are scored: by the head at their last token, and no word is predicted."""
        self.in_progress.rows, self.in_progress.tokens = micro.rows, micro.input_ids.size
        self.noise.lengths = micro.lengths
        with self._autocast():
            hidden = self.base.base_model(**self._inputs(micro)).last_hidden_state
        values = score_head.values(self.base, hidden, self.on_device(micro.ends))
        return Scored(losses=values, counts=self.on_device(micro.scored_in_rows), values=values)

    def _words(self, tokens: Tokens) -> TeacherLogprobs | None:
        """What the teacher says of these rows, if there is one."""
        return self.job.teacher if tokens is self.job.train else self.job.teacher_held_out

    def _of_sampled(self, tokens: Sampled, micro: MicroBatch) -> dict[str, Any]:
        """What is known of a micro-batch of sampled answers beside their tokens."""

        def joined(of_each: list[np.ndarray]) -> Any:
            return self.on_device(np.concatenate([of_each[number] for number in micro.numbers])) if of_each else None

        return {
            "advantages": self.on_device(tokens.advantages[micro.numbers]),
            "sampler_losses": joined(tokens.sampler_losses),
            "reference_losses": joined(tokens.reference_losses),
        }

    def on_device(self, numbers: np.ndarray) -> Any:
        """Numbers on the device, by way of pinned memory, so that the host waits for no kernel to end."""
        import torch

        here = torch.from_numpy(numbers)
        return here.pin_memory().to(self.job.device, non_blocking=True) if self.job.device == "cuda" else here

    def _inputs(self, micro: MicroBatch) -> dict[str, Any]:
        ids = self.on_device(micro.input_ids)
        if micro.lengths is None or micro.position_ids is None:
            return {"input_ids": ids, "use_cache": False}
        ends = self.on_device(np.cumsum([0, *micro.lengths], dtype=np.int32))
        keys = attention.behind_prompts(micro.lengths, micro.prompts)
        key_ends = ends if micro.prompts is None else self.on_device(np.cumsum([0, *keys], dtype=np.int32))
        return {
            "input_ids": ids,
            "position_ids": self.on_device(micro.position_ids),
            "use_cache": False,
            "cu_seq_lens_q": ends,
            "cu_seq_lens_k": key_ends,
            "max_length_q": max(micro.lengths),
            "max_length_k": max(keys),
            **({"row_lengths": micro.lengths} if attention.is_own(self.path.attention) else {}),
            **({"row_prompts": micro.prompts} if micro.prompts is not None else {}),
        }

    def _autocast(self) -> Any:
        import torch

        if self.job.dtype == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.job.device, torch.bfloat16 if self.job.dtype == "bf16" else torch.float16)

    def use(self, path: LossPath) -> None:
        """Compute losses by this path from here on."""
        self.path = path
        if self.base.config._attn_implementation != path.attention:
            self.base.set_attn_implementation(path.attention)

    def use_own(self) -> None:
        """Compute losses as the model itself does."""
        self.use(LossPath(self.own_attention, False, False))

    def gradient(self, micro_batches: list[MicroBatch]) -> list[torch.Tensor]:
        """The adapter's gradient of the summed loss of some micro-batches, a tensor for each weight that has one."""
        import torch

        trained = [weights for weights in self.model.parameters() if weights.requires_grad]
        try:
            with torch.enable_grad():
                for micro in micro_batches:
                    self.loss(micro).backward()
            return [weights.grad.float() for weights in trained if weights.grad is not None]
        finally:  # what fails half-way leaves nothing for the first step
            for weights in trained:
                weights.grad = None

    @contextlib.contextmanager
    def answering(self) -> Iterator[Any]:
        """The model as it generates: with its own attention, and afterwards again with the one that trains."""
        trains = self.path
        self.use_own()
        try:
            with evaluating(self.model), self._autocast():
                yield self.model
        finally:
            self.use(trains)

    def release(self) -> None:
        """Give the base back as it came: no adapter, its own forward, attention and gradient settings."""
        self.fusion.undo()
        self.norms.undo()
        if self.rotary is not None:
            self.rotary.undo()
        self.noise.remove()
        self.model.unload()
        score_head.remove(self.base)
        if self.base.config._attn_implementation != self.own_attention:
            self.base.set_attn_implementation(self.own_attention)
        if self.job.training.gradient_checkpointing:
            recomputing.disable(self.base)
        self.base.eval()
