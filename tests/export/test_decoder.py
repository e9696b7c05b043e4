"""The export-friendly decoder computes what transformers computes, architecture by architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ExportError
from studio.export.decoder import architecture
from studio.export.decoder.build import build
from tests.export.test_llamacpp import KINDS as ALIKE
from tests.export.test_llamacpp import LONG, lively
from tests.tiny import make_model

pytestmark = pytest.mark.torch

CONTEXT = 64
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **ALIKE,
    "mistral, sliding window": ("mistral", {"sliding_window": 7}),
    "qwen2, upper layer slides": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "layer_types": ["full_attention", "sliding_attention"]},
    ),
    "gemma3, capped": ("gemma3_text", {"num_hidden_layers": 2, "sliding_window": 8, "final_logit_softcapping": 5.0}),
    "phi3, sliding window": ("phi3", {"sliding_window": 7}),
    "yarn": ("qwen3", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_and_single_tokens_have_the_logits_of_transformers(kind: str, tmp_path: Path) -> None:
    import torch

    arch, changes = KINDS[kind]
    make_model(tmp_path, arch, **changes)
    model, decoder = lively(tmp_path), build(tmp_path, CONTEXT)
    ids = torch.randint(4, model.config.vocab_size, (1, 40))
    with torch.no_grad():
        expected = model(ids).logits
        decoder(torch.flip(ids, [1]), torch.arange(40))  # a text before: its cache must not be seen
        prompt = decoder(ids[:, :25], torch.arange(25))
        steps = [decoder(ids[:, place : place + 1], torch.tensor([place])) for place in range(25, 40)]
    assert (torch.cat([prompt, *steps], 1) - expected).abs().max() < 1e-4
    assert expected.std() > 0.3, "a flat model would prove nothing"


def test_the_last_logits_alone_are_the_last_of_all(tiny_model: Path) -> None:
    import torch

    ids, places = torch.tensor([[5, 6, 7]]), torch.arange(3)
    last = build(tiny_model, 8, last=True)(ids, places)
    torch.testing.assert_close(last, build(tiny_model, 8)(ids, places)[:, -1:])


def test_an_unknown_architecture_is_refused_by_name(tmp_path: Path) -> None:
    make_model(tmp_path, "olmo2")
    with pytest.raises(ExportError, match="`olmo2` is not among those this format is made for: gemma2, gemma3_text"):
        build(tmp_path, 8)


def test_a_longer_context_than_the_frequencies_are_for_is_refused(tmp_path: Path) -> None:
    rope = {**LONG, "original_max_position_embeddings": 32}
    make_model(tmp_path, "phi3", rope_parameters=rope, original_max_position_embeddings=32)
    with pytest.raises(ExportError, match="exceeds the 32 tokens"):
        build(tmp_path, 64)


def test_a_weight_without_a_place_and_one_missing_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    make_model(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for change, says in ({"model.layers.0.extra.weight": 1}, "no place"), ({"model.norm.weight": 0}, "no weight"):
        changed = dict(weights)
        for name, keep in change.items():
            if keep:
                changed[name] = weights["model.norm.weight"].clone()
            else:
                del changed[name]
        save_file(changed, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ExportError, match=says):
            build(tmp_path, 8)


def test_what_is_computed_is_listed_without_torch() -> None:
    assert {"llama", "mistral", "qwen2", "qwen3", "gemma3_text", "phi3"} <= set(architecture.known())
