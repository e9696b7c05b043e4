"""One trained-looking run for all export tests: the starter in nf4 with a random adapter of some strength."""

# torch, transformers and peft have no full types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core.messages import chat_message
from studio.data.rows import Conversation
from studio.export.make import Probe, Source, export
from studio.export.targets.merged.settings import MergedTarget
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.tiny import THREADS


def talk(*turns: str) -> Conversation:
    """A conversation of alternating user and assistant turns."""
    roles = ("user", "assistant")
    return Conversation(messages=tuple({"role": roles[place % 2], "content": text} for place, text in enumerate(turns)))


def make_adapter(model: Model, out: Path, strength: float = 0.05, **settings: Any) -> Path:
    """A PEFT folder whose LoRA matrices are all random: an adapter that changes answers, without the time to train one."""
    import torch
    from peft import LoraConfig, get_peft_model

    from studio.models import loading

    torch.manual_seed(0)
    base = loading.load_base(model, "cpu")
    values: dict[str, Any] = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
    tuned = get_peft_model(base, LoraConfig(**values))
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, strength)
    tuned.save_pretrained(out)  # pyright: ignore[reportArgumentType]
    return out


def make_source(model: Model, home: Path, **settings: Any) -> Source:
    """A finished run on `model` in `home`."""
    from studio.models import loading

    adapter = make_adapter(model, home / "adapter", **settings)
    return Source(loading.find(model), model, adapter, "Support Bot", home / "exports")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A run on the starter held in nf4 with double quantisation, computed in float32."""
    import torch

    torch.set_num_threads(THREADS)
    return make_source(Model(name="starter", quantization="nf4", dtype="fp32"), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def probe() -> Probe:
    """Held-out conversations: one turn, several turns, a system prompt, other alphabets."""
    system = chat_message("system", "Be brief.")
    return Probe(
        [
            talk("What is the price of the Aria lamp?", "The Aria lamp costs 24 euro."),
            talk("Hello!", "Hello! How can I help?", "Where did Grace go?", "Grace went to the kitchen."),
            Conversation(messages=(system, *talk("Is it red?", "Yes, the kettle is red.").messages)),
            talk("café 你好 1234\n\n  <|im_end|> x?", "I do not know."),
        ]
    )


@pytest.fixture(scope="session")
def merged(source: Source, probe: Probe) -> Any:
    """The run's merged export."""
    return export(MergedTarget(), source, probe, Silent())


@pytest.fixture(scope="session")
def trained(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The run with its training rows."""
    from studio.data.encode import encode_file
    from studio.export.merging.source import source_tokenizer

    folder = tmp_path_factory.mktemp("data")
    things = ("lamp", "kettle", "clock", "chair", "desk", "radio")
    rows = [talk(f"What is the price of the {thing}?", f"The {thing} costs {n} euro.") for n in range(20) for thing in things]
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(row.as_dict()) + "\n" for row in rows))
    encode_file(file, source_tokenizer(source), "assistant", folder / "train.tokens")
    return replace(source, train=folder / "train.tokens")
