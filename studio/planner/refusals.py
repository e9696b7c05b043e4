"""What a run cannot do whatever its memory: refused in the plan, with the field, before anything is downloaded or loaded."""

from __future__ import annotations

from studio.core.errors import ExportError, SpecError
from studio.core.text import count, nearest, plural
from studio.export import toolchains
from studio.export.toolchains.vllm.ranks import RANKS
from studio.hardware.dims import matches
from studio.planner.adapted import adapted, needs_exact_base
from studio.planner.case import Case, Fit
from studio.planner.cutting import overlong
from studio.spec import RunSpec

BESIDE_LAYERS = frozenset({"lm_head", "embed_tokens", "gate", "router"})
"""Modules outside the counted linear layers that an adapter may sit on."""


def refuse(spec: RunSpec, case: Case, chosen: Fit) -> None:
    """Raise SpecError, naming the field, for what the machine, the model or the data forbid."""
    if chosen.peak.dtype == "fp16" and not case.cuda:
        raise SpecError(
            f"fp16 training needs a GPU, and this run would use {case.machine.name}",
            hint="Set model.dtype to fp32 or bf16, or leave it out.",
            where="model.dtype",
        )
    for rule in (spec.data.verifier, spec.data.control):
        if rule is not None:
            rule.refuse()
    _scores(spec)
    _base(spec)
    _by_vllm(spec)
    _targets(spec, case)
    _whole(spec, case)
    rows, length = case.rows, chosen.max_length
    if len(rows) and overlong(spec) in ("drop", "split") and rows.over(length) == len(rows):
        raise SpecError(
            f"all {plural(len(rows), 'row')} are longer than {count(length)} tokens (the shortest has "
            f"{count(int(rows.lengths.min()))}), so none is left to train on",
            hint="Raise data.max_length, or set data.overlong to truncate, or to split for plain text.",
            where="data.max_length",
        )
    if spec.data.overlong == "truncate" and spec.data.train_on != "all" and len(rows) and rows.none_shortened_to(length):
        raise SpecError(
            f"the last answer of each of the {plural(len(rows), 'row')} takes {count(length)} tokens or more, so none can be "
            "shortened to them",
            hint="Raise data.max_length, or shorten the answers.",
            where="data.max_length",
        )
    if spec.data.overlong == "error" and (over := rows.over(length)):
        raise SpecError(
            f"{plural(over, 'row')} of {count(len(rows))} are longer than {count(length)} tokens (the longest has "
            f"{count(int(rows.lengths.max()))}), and data.overlong is error",
            hint="Raise data.max_length, shorten those rows, or set data.overlong to drop or truncate.",
            where="data.max_length",
        )


def _scores(spec: RunSpec) -> None:
    """What a reward model cannot have: exports that answer, and layers trained whole."""
    if not spec.training.method.scores:
        return
    if spec.export:
        raise SpecError(
            f"a reward model gives scores and no answers, so there is nothing that an export {spec.export[0].kind} could serve",
            hint="Leave export out. Its adapter folder is a sequence classification adapter: transformers with peft loads it, "
            "and `studio score` scores answers with it.",
            where="export.0",
        )
    if spec.adapter.kind == "full":
        raise SpecError(
            "a reward model is an adapter with a head, and is not trained in full",
            hint="Set adapter.kind to lora.",
            where="adapter.kind",
        )
    if spec.evaluation.while_training:
        raise SpecError(
            "a reward model answers nothing, so no questions are asked while it is trained",
            hint="Set evaluation.while_training to 0.",
            where="evaluation.while_training",
        )


def refuse_exports(spec: RunSpec, case: Case) -> None:
    """Raise SpecError for an export that the base's config alone rules out: before the training and not after it."""
    for index, target in enumerate(spec.export):
        try:
            target.refuse(case.config)
            target.refuse_adapter(spec.adapter)
        except ExportError as error:
            message = f"the export {target.kind} is not possible: {error.message}"
            raise SpecError(message, hint=error.hint, where=f"export.{index}") from None


def _base(spec: RunSpec) -> None:
    """A quantized base under what needs the exact one."""
    exact, held = needs_exact_base(spec), spec.model.quantization
    if exact and held in ("nf4", "int8"):
        default = "adapter.kind to lora" if exact.field == "adapter.kind" else f"{exact.field} to transformers"
        raise SpecError(
            f"{exact.what} needs an unquantized base, and model.quantization is {held}: {exact.why}",
            hint=f"Set model.quantization to none, or {default}.",
            where=exact.field,
        )


def _by_vllm(spec: RunSpec) -> None:
    """Answers by vLLM: where it is not installed, and adapters that it does not load."""
    if not spec.training.method.by_vllm:
        return
    where, adapter = "training.method.engine", spec.adapter
    if missing := toolchains.missing("vllm"):
        what, _, command = missing.partition(": ")
        raise SpecError(what, hint=f"Run `{command}`, or set {where} to transformers.", where=where)
    why = (
        "whole layers are trained" if adapter.kind == "full"
        else "DoRA's magnitudes are no part of LoRA" if adapter.kind == "dora"
        else "whole modules are trained beside it (adapter.modules_to_save)" if adapter.modules_to_save
        else f"it has no kernels for ranks above {RANKS[-1]}" if adapted(spec).largest_rank > RANKS[-1]
        else ""
    )  # fmt: skip
    if why:
        raise SpecError(
            f"vLLM cannot load this adapter: {why}",
            hint=f"Set {where} to transformers: the trained model itself writes the answers.",
            where=where,
        )


def _targets(spec: RunSpec, case: Case) -> None:
    """Names and expressions that match no layer of the model."""
    targets, layers = spec.adapter.targets, case.dims.names()
    if case.dims.counted == "like llama":
        return
    if isinstance(targets, str):
        _matched(spec, case, "adapter.ranks", list(spec.adapter.ranks))
        return
    if not targets:
        raise SpecError(
            "no layers are listed",
            hint=f"Its linear layers are {', '.join(layers)}; or set all-linear.",
            where="adapter.targets",
        )
    _matched(spec, case, "adapter.targets", targets)
    _matched(spec, case, "adapter.ranks", list(spec.adapter.ranks))


def _matched(spec: RunSpec, case: Case, field: str, patterns: list[str]) -> None:
    layers = case.dims.names()
    known = {name.rpartition(".")[2] for name in layers} | BESIDE_LAYERS
    paths = case.dims.paths()
    for pattern in patterns:
        found = pattern in known or any(matches(pattern, path) for path in paths)
        if found or ("." in pattern and case.dims.counted != "exact"):
            continue  # a path of a model whose modules have other names is left to peft, which knows every module
        near = nearest(pattern.rpartition(".")[2], sorted(known))
        raise SpecError(
            f"no layer of {case.name} is called `{pattern}`",
            hint=(f"Did you mean `{near}`? " if near else "")
            + f"Its linear layers are {', '.join(layers)}; or set all-linear.",
            where=field,
        )


def _whole(spec: RunSpec, case: Case) -> None:
    """Modules that cannot be trained whole, and full fine-tuning of a mixture of experts."""
    linear = {name.rpartition(".")[2] for name in case.dims.names()}
    for name in spec.adapter.modules_to_save:
        last = name.rpartition(".")[2]
        reason = ""
        if last in linear:
            reason = "a linear layer is trained by the adapter, or by adapter.kind: full"
        elif case.dims.tied and last in ("embed_tokens", "lm_head"):
            reason = f"embedding and head are one matrix in {case.name}, and a copy of one would come apart from the other"
        if reason:
            raise SpecError(
                f"`{name}` cannot be trained whole: {reason}",
                hint="Name norms, or untied embeddings or head.",
                where="adapter.modules_to_save",
            )
    if spec.adapter.kind == "full" and case.dims.experts:
        raise SpecError(
            f"{case.name} is a mixture of experts, which is not fine-tuned in full here",
            hint="Set adapter.kind to lora.",
            where="adapter.kind",
        )
