"""What a method that answers prompts itself needs: a verifier, memory for its answers, and the time to write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, cast

import numpy as np

from studio.core.errors import SpecError
from studio.core.text import count, plural
from studio.data.encode import Tokens
from studio.data.expected import expected as own_answers
from studio.data.verifiers import Message, Verifier
from studio.data.verifiers.exact import Exact
from studio.data.verifiers.likeness import Likeness
from studio.data.verifiers.suggest import suggest
from studio.evaluation.answering import LONGEST
from studio.hardware.history import ALIKE
from studio.hardware.memory import VLLM_ANSWERS
from studio.hardware.speed import CPU_FLOPS, LAUNCH, STEP
from studio.models.generation import MANY
from studio.planner.case import Case, Fit
from studio.planner.draft import Draft
from studio.planner.rows import Rows, rows
from studio.spec import RunSpec
from studio.training.methods.grpo import Grpo

UNKNOWN = 256
"""Tokens of the longest answer where no row has one."""


@dataclass(frozen=True)
class Expected:
    """What the rows' own answers say about a verifier."""

    suggested: Verifier | None
    why: str
    unscored: int
    """Rows that the verifier in force can never score above 0."""
    rows: int


def expected(spec: RunSpec, messages: Sequence[Message]) -> Expected:
    """Look at the own answers of the training rows. Raises SpecError if the verifier that was asked for fits none of them."""
    found = suggest(messages)
    rule = spec.data.verifier or (found[0] if found else None)
    problems = [problem for message in messages if rule is not None and (problem := rule.problem(message))]
    if messages and len(problems) == len(messages) and rule is not None:
        raise SpecError(
            f"the verifier `{rule.kind}` can score none of the {plural(len(messages), 'row')}: {problems[0]}",
            hint="Choose another verifier: `studio fields` lists them.",
            where="data.verifier",
        )
    return Expected(found[0] if found else None, found[1] if found else "", len(problems), len(messages))


def rows_for(spec: RunSpec, train: Tokens | None, held_out: Tokens | None) -> Rows:
    """What the encode step found, and what the rows' own answers say about a verifier where one is needed."""
    found = rows(train, held_out)
    if train is None or not (spec.training.method.generates or spec.data.verifier):
        return found
    return replace(found, expected=expected(spec, own_answers(train)))


def longest(method: Grpo, rows: Rows) -> int:
    """Tokens a sampled answer may take: as set, else half as long again as the longest answer of the rows."""
    if method.max_new_tokens:
        return method.max_new_tokens
    answers = rows.trained_in_rows
    own = int(answers.max()) if answers is not None and len(answers) else rows.answer
    return min(LONGEST, max(8, own * 3 // 2 + 1)) if own else UNKNOWN


def rows_of(spec: RunSpec, rows: Rows) -> Rows:
    """The rows as the method computes them: each prompt with as many answers as are sampled, of the greatest length."""
    method = spec.training.method
    if not method.generates or not len(rows):
        return rows
    method = cast(Grpo, method)
    most = longest(method, rows)
    answers = rows.trained_in_rows if rows.trained_in_rows is not None else np.full(len(rows), rows.answer, dtype=np.int64)
    prompts = np.maximum(1, rows.lengths - answers)
    held_out = rows.held_out + most if len(rows.held_out) else rows.held_out
    usual = float((prompts + np.minimum(answers, most)).mean() / (prompts + most).mean())
    return replace(
        rows, lengths=prompts + most, trained=most * len(rows), trained_in_rows=np.full(len(rows), most, dtype=np.int64),
        held_out=held_out, answers=method.group, usual=usual,
    )  # fmt: skip


def with_answers(spec: RunSpec, rows: Rows) -> Rows:
    """The rows with a teacher's answers in place of their own, which are not known yet: each of the greatest length."""
    if not len(rows):
        return rows
    answers = rows.trained_in_rows if rows.trained_in_rows is not None else np.full(len(rows), rows.answer, dtype=np.int64)
    own = max(rows.answer, int(answers.max()))
    most = spec.evaluation.max_new_tokens or (min(LONGEST, max(8, own * 3 // 2 + 1)) if own else UNKNOWN)
    lengths = np.maximum(1, rows.lengths - answers) + most
    usual = float(rows.lengths.mean() / lengths.mean())
    return replace(
        rows, lengths=lengths, trained=most * len(rows), trained_in_rows=np.full(len(rows), most, dtype=np.int64), usual=usual
    )


def decide(draft: Draft, case: Case) -> None:
    """The verifier, the control, and how long a sampled answer may be."""
    method = draft.spec.training.method
    known = case.rows.expected
    if draft.spec.data.verifier is not None or method.generates:
        _verifier(draft, known, method.kind)
    if method.generates:
        most = longest(cast(Grpo, method), case.rows)
        draft.settle(
            "training.method.max_new_tokens",
            case.rows.longest_answer or most,
            "half as long again as the longest answer of the rows",
            "an answer that does not end by then scores 0; a longer limit takes more memory and time",
        )


def _verifier(draft: Draft, known: Expected | None, method: str) -> None:
    rule = draft.spec.data.verifier
    if rule is None:
        if known is None or known.suggested is None:
            raise SpecError(
                f"{method} needs a verifier, and none suits these rows: their answers are too long for right or wrong",
                hint="Set data.verifier, e.g. {kind: contains, present: [...]}, or likeness for the words in common.",
                where="data.verifier",
            )
        rule = known.suggested
        draft.settle("data.verifier", rule.model_dump(mode="json"), known.why, "what is rewarded is what is learned")
    control = Exact() if rule.kind == "likeness" else Likeness()
    draft.settle(
        "data.control",
        control.model_dump(mode="json"),
        "measured and never rewarded: if it falls while the reward rises, the model learned to please the rule",
    )


def generated(case: Case, batch: int, steps: int) -> int:
    """Tokens to be generated in all, at most."""
    rows = case.rows
    most = int(rows.trained_in_rows[0]) if rows.trained_in_rows is not None and len(rows) else 0
    return steps * min(batch, max(1, len(rows))) * rows.answers * most


def seconds(case: Case, chosen: Fit, threads: int, batch: int, steps: int) -> tuple[float, float]:
    """Time to write all answers, from and to: a token for each of a batch of answers at a time, as like runs did it if there
    are any, else by reading the weights once for each (GPU) or by the FLOP (CPU)."""
    tokens = generated(case, batch, steps)
    past = () if case.machine.assumed else case.earlier_runs
    alike = [
        run.generated for run in past
        if run.machine == case.machine.name and run.generated > 0 and run.dtype == chosen.peak.dtype
        and run.vllm == (chosen.peak.sampled_by == "vllm")
        and 1 / ALIKE <= run.parameters / max(1, case.dims.parameters) <= ALIKE
    ]  # fmt: skip
    if alike:
        rate = median(alike)
        return case.rows.usual * tokens / rate * 0.8, tokens / rate * 1.2
    most = VLLM_ANSWERS if chosen.peak.sampled_by == "vllm" else min(MANY, chosen.peak.answer_rows)
    at_once = min(most, batch * case.rows.answers)
    rounds = tokens / max(1, at_once)
    gpu = case.machine.gpu
    if case.cuda:
        bandwidth = gpu.bandwidth if gpu and gpu.bandwidth else 400e9
        each = {"none": 2.0, "nf4": 3.0, "int8": 4.0}[chosen.quantization] * case.dims.parameters / bandwidth
        one = max(each, STEP + 2 * LAUNCH * case.dims.layers)
    else:
        one = STEP + at_once * 2 * case.dims.active_parameters / (CPU_FLOPS[0] * threads)
    return 0.5 * case.rows.usual * rounds * one, 1.5 * rounds * one


def caution(rows: Rows, verifier: Any) -> str | None:
    """A sentence on rows that can never be scored above 0."""
    known = rows.expected
    if known is None or not known.unscored or verifier is None:
        return None
    return (
        f"{count(known.unscored)} of {plural(known.rows, 'row')} have no answer that the verifier `{verifier.kind}` can "
        "compare with: whatever is written there scores 0"
    )
