"""Assembling: what is to be served, put on as few weights as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from studio.core.errors import SpecError
from studio.models import finding, loading
from studio.models.settings import Model
from studio.serving.limits import Limits
from studio.serving.scheduler import HandOut, Scheduler
from studio.serving.served import Served
from studio.serving.transformers_engine import BASE, TransformersEngine, Weights


@dataclass(frozen=True)
class Source:
    """One thing to serve. adapter: a PEFT folder on `model`; gguf: a file for llama.cpp, without a model; quantized: its
    weights are in 4 bit on disk already, which only vLLM loads."""

    requested_as: str
    name: str
    model: Model | None = None
    adapter: Path | None = None
    gguf: Path | None = None
    threads: int | None = None
    run: str = ""
    system: str = ""
    """The system prompt it was trained with, put before conversations that have none."""
    quantized: bool = False
    day: date | None = None
    """The day on which its run was planned, for chat templates that write one; None: the present one."""


def assemble(wanted: Sequence[Source], limits: Limits, device: str, cores: int, hand_out: HandOut) -> dict[str, Served]:
    """The served models by name: weights shared where they are the same, each base under its own name too."""
    models: dict[str, Served] = {}
    asked = frozenset(one.name for one in wanted)
    for group in _by_weights([one for one in wanted if one.gguf is None], device):
        models |= _on_transformers(group, limits, asked, hand_out)
    for one in wanted:
        if one.gguf is not None:
            models[one.name] = _on_llamacpp(one, limits, cores, device, hand_out)
    return models


def _by_weights(wanted: list[Source], device: str) -> list[tuple[Any, list[Source]]]:
    """Sources that share weights, with these weights."""
    found: dict[Any, tuple[Any, list[Source]]] = {}
    for one in wanted:
        if one.model is None:
            continue
        held = loading.as_loaded(one.model, device)  # as `studio chat` does
        there = finding.find_quantized(Path(held.name)) if one.quantized else finding.find(held)
        weights = Weights(there, held, device, one.threads)
        found.setdefault(weights.key, (weights, []))[1].append(one)
    return list(found.values())


def _on_transformers(
    group: tuple[Weights, list[Source]], limits: Limits, wanted: frozenset[str], hand_out: HandOut
) -> dict[str, Served]:
    from studio.models import loading
    from studio.models.chat import write_day
    from studio.serving.hf_tokenizer import HfTokenizer, named_ends

    weights, members = group
    tuned = {f"a{place}": one for place, one in enumerate(members) if one.adapter is not None}
    longest = loading.model_dims(weights.base_model.config).max_positions or 4096
    engine = TransformersEngine(weights, {key: one.adapter for key, one in tuned.items() if one.adapter}, longest)
    scheduler = Scheduler(engine, limits, hand_out)
    base_name = _base_name(weights)
    plain = [one for one in members if one.adapter is None]
    bare = {one.name: one.system for one in plain} or {_apart(base_name, weights.model, wanted): ""}
    found: dict[str, Served] = {}
    words: dict[tuple[str | None, date | None], Any] = {}

    def spoken(template: str | None, day: date | None = None) -> Any:
        if (template, day) not in words:
            made = loading.tokenizer(weights.base_model, template)
            write_day(made, day)
            words[template, day] = HfTokenizer(made, named_ends(weights.base_model))
        return words[template, day]

    for key, one in tuned.items():
        template = one.model.chat_template if one.model else None
        about = {"engine": engine.name, "parent": next(iter(bare)), **({"run": one.run} if one.run else {})}
        found[one.name] = Served(one.name, scheduler, spoken(template, one.day), key, about, one.system)
    # the base beside a run is asked as the run compared with it: by the same template, on the same day
    template = next((one.model.chat_template for one in members if one.model and one.model.chat_template), None)
    shared = spoken(template, next((one.day for one in tuned.values() if one.day), None))
    return found | {name: Served(name, scheduler, shared, BASE, {"engine": engine.name}, said) for name, said in bare.items()}


def _on_llamacpp(one: Source, limits: Limits, cores: int, device: str, hand_out: HandOut) -> Served:
    from studio.serving.llamacpp_engine import GgufTokenizer, LlamaCppEngine

    assert one.gguf is not None
    layers = 999 if device == "cuda" else 0
    threads = one.threads or cores
    engine = LlamaCppEngine(one.gguf, limits.context, limits.concurrency, threads, layers)
    return Served(
        one.name, Scheduler(engine, limits, hand_out), GgufTokenizer(engine), about={"engine": engine.name}, system=one.system
    )


def vllm_plan(wanted: list[Source], scratch: Path) -> Any:
    """What vLLM is to load. Raises SpecError unless all is on one base model, trained to be asked alike.

    scratch: where the template goes that vLLM is to use. Its one template for all says the day and the system prompt that were
    trained, because vLLM itself adds neither.
    """
    from studio.core.files import write_text
    from studio.models import loading
    from studio.models.chat import with_system, write_day
    from studio.serving import toolcalls
    from studio.serving.hf_tokenizer import HfTokenizer, named_ends
    from studio.serving.vllm import Plan

    groups = _by_weights(wanted, "cuda")
    if len(groups) != 1 or any(one.gguf is not None for one in wanted):
        raise SpecError(
            "vLLM serves one base model and adapters on it",
            hint="Serve the others with a command of their own.",
            where="--engine vllm",
        )
    weights, members = groups[0]
    trained = [one for one in members if one.adapter is not None] or members
    asked = {(one.model.chat_template if one.model else None, one.day, one.system) for one in trained}
    if len(asked) > 1:
        raise SpecError(
            "these were trained under different system prompts, chat templates or dates, and vLLM has one for all",
            hint="Serve each with a command of its own, or use --engine transformers.",
            where="--engine vllm",
        )
    [(named, day, system)] = asked
    tokenizer = loading.tokenizer(weights.base_model, named)
    form = toolcalls.form_of(HfTokenizer(tokenizer, named_ends(weights.base_model)).sample_call())
    known = tokenizer.chat_template
    write_day(tokenizer, day)
    file = ""
    if isinstance(tokenizer.chat_template, str) and (named or system or tokenizer.chat_template != known):
        file = str(write_text(scratch / "chat_template.jinja", with_system(tokenizer.chat_template, system)))
    adapters = {one.name: one.adapter for one in members if one.adapter is not None}
    return Plan(weights, _base_name(weights), adapters, file, form.before if form else "")


def _base_name(weights: Weights) -> str:
    name = weights.base_model.name
    return Path(name).name if Path(name).is_dir() else name


def _apart(name: str, model: Model, taken: frozenset[str]) -> str:
    """The name of a base nobody named; with how it is held where that name was given to something else."""
    return name if name not in taken else f"{name}-{model.quantization}-{model.dtype}"
