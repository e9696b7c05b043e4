"""Loading `adapter` and `merged` exports from disk as their users would, and comparing them with base + adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from studio.export.artifacts.manifest import Check, Verification, judged
from studio.export.merging.merge import DTYPES, quiet
from studio.export.merging.merged_folder import WORK, merged_export
from studio.export.merging.source import Onto, Probe, Source
from studio.export.verification import answers, evidence, limits
from studio.export.verification.reference import reference
from studio.hardware import machine as machines
from studio.tracking.reporter import Reporter


def verify_adapter(source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """Plain peft loads the folder on the base, held as in training."""
    from peft import PeftModel

    from studio.models import loading

    known = reference(source, probe, reporter)
    base = loading.load_base(source.model, machines.probe().device, source.base)
    with quiet():
        model = loading.without_packing(PeftModel.from_pretrained(base, out))
    return _loaded(model, out, known, limits.ADAPTER, probe, f"peft {_version('peft')}", [], reporter)


def verify_merged(source: Source, out: Path, onto: Onto, probe: Probe, reporter: Reporter) -> Verification:
    """transformers loads the folder in the number format the run computed in."""
    known = reference(source, probe, reporter)
    model, faults = load_merged(out, DTYPES[source.model.dtype or "fp32"], machines.probe().device == "cuda")
    complete = Check("weights_complete", not faults, True, not faults, faults or "no weight is missing, left over or misshapen")
    limit = limits.ORIGINAL if onto == "original" and source.quantized else limits.MERGED
    runtime = f"transformers {_version('transformers')}"
    return _loaded(model, out, known, limit, probe, runtime, [complete], reporter)


def load_merged(folder: Path, dtype: str, on_gpu: bool) -> tuple[Any, str]:
    """The model in `folder` in evaluation mode, and what was wrong with its weights (nothing, if all is well).

    on_gpu: as many layers on the GPU as fit there, the others in main memory.
    """
    from transformers import AutoModelForCausalLM

    with quiet():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, device_map="auto" if on_gpu else None, output_loading_info=True
        )
    model, found = loaded
    faults = [f"{kind.split('_')[0]}: {sorted(map(str, found[kind]))[:3]}" for kind in _FAULTS if found.get(kind)]
    return model.eval(), "; ".join(faults)


def load_exact(source: Source, folder: Path) -> Any:
    """The model in `folder`, in float32 if memory allows: what a conversion of it is measured against."""
    machine = machines.probe()
    need = source.parameters * 5
    on_gpu = machine.gpu is not None and machine.gpu.free > need
    exact = on_gpu or machine.ram_free > need
    return load_merged(folder, "float32" if exact else "auto", on_gpu)[0]


_FAULTS = ("missing_keys", "unexpected_keys", "mismatched_keys")


def prompts_agree(known: answers.Reference, probe: Probe, tokenizer: Any) -> Check:
    """The saved tokenizer and template make the very prompt tokens that base + adapter were asked."""
    cases = [answers.case(conversation, tokenizer) for conversation in probe.asked()]
    return same_prompts([case.prompt for case in cases], known)


def same_prompts(prompts: Sequence[Sequence[int] | None], known: answers.Reference) -> Check:
    """The check that all prompts have the reference's token ids; those that are None are left out, and counted."""
    same = [list(ids) == case.prompt for ids, case in zip(prompts, known.cases, strict=True) if ids is not None]
    share, out = float(np.mean(same)) if same else 1.0, len(prompts) - len(same)
    left_out = f"; {out} left out in which people wrote a control token, which this runtime takes for one" if out else ""
    explanation = f"prompts whose token ids equal those of the evaluation{left_out}"
    return Check("prompt_ids_identical", share, 1.0, share == 1.0, explanation)


def greedy_checks(samples: Sequence[answers.Sample], positions: int) -> list[Check]:
    """Figures that are shown and not judged."""
    share = float(np.mean([sample.identical for sample in samples]))
    return [
        Check("greedy_identical", share, None, True, "greedy answers equal token by token; they may fork at a near tie"),
        Check("answer_tokens", positions, None, True, "answer tokens compared, teacher-forced"),
    ]


def ends(samples: Sequence[answers.Sample]) -> float:
    """Of the answers the reference ended by itself, the share the artefact ended too."""
    ended = [sample.artifact_ended for sample in samples if sample.reference_ended]
    return float(np.mean(ended)) if ended else 1.0


def note(probe: Probe) -> str:
    """What a reader must know of the questions."""
    return "" if probe.held_out else "No held-out rows: general questions were asked and the reference's own answers scored."


@dataclass(frozen=True)
class Beside:
    """A further model that an artefact is compared with: what it expects, and the check that the distance amounts to."""

    expects: answers.Forced
    check: Callable[[answers.Distance], Check]


def merged_expects(source: Source, out: Path, onto: Onto, known: answers.Reference, reporter: Reporter) -> answers.Forced:
    """What the merged model expects, computed in float32 if memory allows, so that only the conversion is measured."""
    model = load_exact(source, merged_export(source, onto) or out / WORK / "merged")
    return answers.forced(answers.Transformers(model, None), known.cases, reporter)


def compared(
    asked: answers.Runtime,
    tokenizer: Any,
    prompt_check: Check,
    known: answers.Reference,
    limit: limits.Limits,
    probe: Probe,
    name: str,
    before: list[Check],
    reporter: Reporter,
    beside: Sequence[Beside] = (),
) -> Verification:
    """What any runtime answers against base + adapter: teacher-forced KL and top-1, greedy answers, their ends, and the
    run's own evidence again where it has any.

    prompt_check, before: checks made already. name: the runtime and its version, for the manifest. beside: further models
    it is compared with on the same tokens, in the same pass.
    """
    models = [known.forced, *(item.expects for item in beside)]
    far, *others = answers.distances(models, asked, known.cases, reporter)
    samples = answers.side_by_side(known, answers.answer(asked, known.cases, tokenizer))
    judgements = limits.checks(limit, kl=far.kl, p99=far.p99, top1=far.top1, ends=ends(samples), effect=known.effect)
    judgements += [item.check(distance) for item, distance in zip(beside, others, strict=True)]
    cost = evidence.measure(asked, tokenizer, probe.evidence, reporter) if probe.evidence else None
    again = [evidence.check(cost, limit.evidence)] if cost else []
    checks = [prompt_check, *before, *judgements, *again, *greedy_checks(samples, far.positions)]
    found = judged(name, checks, samples, note(probe))
    return replace(found, evidence=evidence.as_dict(cost)) if cost else found


def _loaded(
    model: Any,
    out: Path,
    known: answers.Reference,
    limit: limits.Limits,
    probe: Probe,
    name: str,
    before: list[Check],
    reporter: Reporter,
) -> Verification:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(out)
    same = prompts_agree(known, probe, tokenizer)
    return compared(answers.Transformers(model, tokenizer), tokenizer, same, known, limit, probe, name, before, reporter)


def _version(package: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(package)
