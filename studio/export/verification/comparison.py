"""Comparing an artifact with base + adapter in whatever runtime answers, and with further models on the same tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import ExportError
from studio.core.text import count
from studio.export.merging.source import Source, source_tokenizer
from studio.export.verification import answers, evidence, loading
from studio.export.verification import limits as judging
from studio.export.verification.answers import Distance, Forced, Reference, Runtime
from studio.export.verification.limits import CONVERSION, Limits
from studio.export.verification.probe import Probe
from studio.export.verification.reference import reference
from studio.export.verification.result import Check, Sample, Verification, from_checks
from studio.models.loading import free_memory
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ExtraReference:
    """A further model that an artifact is compared with: what it expects, and the check that the distance amounts to."""

    expects: Forced
    check: Callable[[Distance], Check]


@dataclass(frozen=True)
class Comparison:
    """An artifact about to be compared: its folder, the questions, what base + adapter answered, and the limits."""

    source: Source
    out: Path
    probe: Probe
    reference: Reference
    tokenizer: Any
    limits: Limits
    reporter: Reporter
    checks: tuple[Check, ...] = ()
    """Checks made already."""
    extras: tuple[ExtraReference, ...] = ()

    @classmethod
    def prepare(
        cls, source: Source, out: Path, probe: Probe, limits: Limits, reporter: Reporter, context: int | None = None
    ) -> Comparison:
        """The comparison for the export in `out`. context: tokens its cache holds; cases that are longer are left out.

        Raises ExportError if the context holds no case.
        """
        known, probe = reference(source, probe, reporter)
        comparison = cls(source, out, probe, known, source_tokenizer(source), limits, reporter)
        return comparison._within(context) if context else comparison

    def with_merged(self, folder: Path, limits: Limits, exact: bool) -> Comparison:
        """Also compared with the merged model in `folder`, computed in float32 if memory allows, so that the conversion is
        judged apart from the merge. exact: it does not quantize, and may lose nothing but rounding."""
        model = loading.load_exact(self.source, folder)
        expects = self.expected_by(model)
        del model
        free_memory()
        allowed = CONVERSION if exact else limits.kl
        explanation = f"mean KL to the merged model it was converted from, computed in float32; {limits.why}"
        return self.with_extra(expects, "kl_to_merged", allowed, explanation)

    def with_extra(self, expects: Forced, name: str, allowed: float, explanation: str) -> Comparison:
        """Also compared with what another model expects; the mean KL to it is the check `name`."""

        def check(distance: Distance) -> Check:
            return Check(name, distance.kl, allowed, distance.kl <= allowed, explanation)

        return replace(self, extras=(*self.extras, ExtraReference(expects, check)))

    def with_checks(self, *checks: Check) -> Comparison:
        """With further checks made already."""
        return replace(self, checks=(*self.checks, *checks))

    def expected_by(self, model: Any) -> Forced:
        """What a transformers model expects at the answer tokens of the cases."""
        return answers.forced(answers.Transformers(model, None), self.reference.cases, self.reporter)

    def prompts(self, ids: Sequence[Sequence[int] | None]) -> Check:
        """The check that all prompts have the reference's token ids; those that are None are left out, and counted."""
        same = [
            list(prompt) == case.prompt for prompt, case in zip(ids, self.reference.cases, strict=True) if prompt is not None
        ]
        share, out = float(np.mean(same)) if same else 1.0, len(ids) - len(same)
        left_out = f"; {out} left out in which people wrote a control token, which this runtime takes for one" if out else ""
        explanation = f"prompts whose token ids equal those of the evaluation{left_out}"
        return Check("prompt_ids_identical", share, 1.0, share == 1.0, explanation)

    def prompts_of(self, tokenizer: PreTrainedTokenizerBase) -> Check:
        """The check that a saved tokenizer and template make the very prompt tokens that base + adapter were asked."""
        return self.prompts([answers.case(conversation, tokenizer).prompt for conversation in self.probe.questions()])

    def measure(self, runtime: Runtime, prompts: Check, name: str, tokenizer: Any = None) -> Verification:
        """Ask the artifact: teacher-forced KL and top-1, greedy answers, whether they end, and the run's own evidence again.

        prompts: the check of its prompts. name: the runtime and its version, for the manifest. tokenizer: the one whose
        words its answers are in, if it is not the trained one.
        """
        words = tokenizer or self.tokenizer
        known = self.reference
        models = [known.forced, *(extra.expects for extra in self.extras)]
        far, *others = answers.distances(models, runtime, known.cases, self.reporter)
        samples = answers.side_by_side(known, answers.answer(runtime, known.cases, words))
        judged = judging.checks(self.limits, kl=far.kl, p99=far.p99, top1=far.top1, ends=_ends(samples), effect=known.effect)
        judged += [extra.check(distance) for extra, distance in zip(self.extras, others, strict=True)]
        cost = evidence.measure(runtime, words, self.probe.evidence, self.reporter) if self.probe.evidence else None
        general = [evidence.measure(runtime, words, item, self.reporter) for item in self.probe.general]
        again = [evidence.check(cost, self.limits.evidence)] if cost else []
        again += [evidence.shown(item) for item in general]
        checks = [prompts, *self.checks, *judged, *again, *_greedy_checks(samples, far.positions)]
        note = "" if self.probe.held_out else _NO_HELD_OUT
        return replace(from_checks(name, checks, samples, note), evidence=cost, general=general)

    def _within(self, context: int) -> Comparison:
        """The comparison with those cases and rows of the evidence that the cache holds, and how many these are."""
        probe, known = self.probe, self.reference
        probe = probe.with_sets(lambda wanted: wanted.within(context))
        fits = [index for index, case in enumerate(known.cases) if len(case.ids) <= context]
        if len(fits) == len(known.cases):
            return replace(self, probe=probe)
        if not fits:
            shortest = min(len(case.ids) for case in known.cases)
            raise ExportError(
                f"a context of {count(context)} tokens holds no held-out conversation; the shortest has {count(shortest)}",
                hint="Ask for a longer context.",
                where="context",
            )
        share = len(fits) / len(known.cases)
        explanation = f"the others are longer than the context of {count(context)} tokens"
        asked = probe.questions()
        fewer = replace(
            known,
            cases=[known.cases[index] for index in fits],
            answers=[known.answers[index] for index in fits],
            forced=Forced(*([values[index] for index in fits] for values in (known.forced.tokens, known.forced.logp))),
        )
        within = replace(self, probe=replace(probe, conversations=[asked[index] for index in fits]), reference=fewer)
        return within.with_checks(Check("conversations_that_fit", share, None, True, explanation))


_NO_HELD_OUT = "No held-out rows: general questions were asked and the reference's own answers scored."


def _greedy_checks(samples: Sequence[Sample], positions: int) -> list[Check]:
    """Figures that are shown and not judged."""
    share = float(np.mean([sample.identical for sample in samples]))
    return [
        Check("greedy_identical", share, None, True, "greedy answers equal token by token; they may fork at a near tie"),
        Check("answer_tokens", positions, None, True, "answer tokens compared, teacher-forced"),
    ]


def _ends(samples: Sequence[Sample]) -> float:
    """Of the answers the reference ended by itself, the share the artifact ended too."""
    ended = [sample.artifact_ended for sample in samples if sample.reference_ended]
    return float(np.mean(ended)) if ended else 1.0
