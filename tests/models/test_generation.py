"""Answers in batches are the answers one by one, and it is known whether a model stopped by itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import Stopped
from studio.models import loading
from studio.models.generation import generate, stop_ids, stream
from studio.models.settings import Model
from tests.tiny import make_model

pytestmark = pytest.mark.numeric


def opened(folder: Path) -> tuple[Any, Any]:
    settings = Model(name=str(folder), quantization="none", dtype="fp32", attention="eager")
    found = loading.find(settings)
    return loading.load_base(settings, "cpu", found), loading.tokenizer(found)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> tuple[Any, Any]:
    return opened(tiny_model)


@pytest.fixture(scope="module")
def starter() -> tuple[Any, Any]:
    return opened(loading.find(Model(name="starter")).folder or Path())


def prompts(count: int = 9) -> list[list[int]]:
    rng = random.Random(1)
    return [[rng.randint(5, 400) for _ in range(rng.randint(1, 40))] for _ in range(count)]


@pytest.mark.parametrize("arch", ["llama", "gemma3_text", "qwen3_moe"])
def test_a_batch_of_mixed_lengths_answers_as_one_by_one(arch: str, tmp_path: Path):
    extra: dict[str, Any] = {
        "gemma3_text": {"sliding_window": 8, "query_pre_attn_scalar": 16},
        "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64},
    }.get(arch, {})
    model, tokenizer = opened(make_model(tmp_path / arch, arch, **extra))
    together = generate(model, prompts(), tokenizer, 12, batch_size=4)
    alone = [generate(model, [prompt], tokenizer, 12)[0] for prompt in prompts()]
    assert [answer.ids for answer in together] == [answer.ids for answer in alone]
    assert generate(model, [], tokenizer, 12) == []


def test_an_answer_that_ends_by_itself_is_told_from_one_cut_off(starter: tuple[Any, Any]):
    from studio.data.render import encode_prompt

    model, tokenizer = starter
    prompt = encode_prompt([{"role": "user", "content": "Hello!"}], tokenizer)
    whole, cut = generate(model, [prompt], tokenizer, 60)[0], generate(model, [prompt], tokenizer, 2)[0]
    assert whole.stopped
    assert whole.tokens == len(whole.ids) + 1
    assert not set(whole.ids) & set(stop_ids(tokenizer, model))
    assert not cut.stopped
    assert (cut.tokens, cut.ids) == (2, whole.ids[:2])
    assert whole.text == tokenizer.decode(whole.ids).strip()


def test_a_stream_is_the_answer_piece_by_piece(starter: tuple[Any, Any]):
    from studio.data.render import encode_prompt

    model, tokenizer = starter
    prompt = encode_prompt([{"role": "user", "content": "What is the capital of France?"}], tokenizer)
    pieces = list(stream(model, prompt, tokenizer, 40))
    assert len(pieces) > 1
    assert "".join(pieces).strip() == generate(model, [prompt], tokenizer, 40)[0].text
    some = stream(model, prompt, tokenizer, 400)
    next(some)
    some.close()  # ends the generation too: the next one is not disturbed  # pyright: ignore[reportAttributeAccessIssue]
    assert "".join(stream(model, prompt, tokenizer, 40)) == "".join(pieces)


def test_an_error_while_streaming_reaches_the_caller(tiny: tuple[Any, Any]):
    model, tokenizer = tiny
    with pytest.raises(IndexError):
        list(stream(model, [10**6], tokenizer, 4))


def test_sampling_repeats_with_its_seed_and_leaves_the_random_state_alone(tiny: tuple[Any, Any]):
    import torch

    model, tokenizer = tiny
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (
        [answer.ids for answer in generate(model, prompts(3), tokenizer, 8, temperature=1.0, top_p=0.9, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_the_models_own_sampling_settings_are_left_out_and_put_back(tiny: tuple[Any, Any]):
    model, tokenizer = tiny
    plain = generate(model, prompts(3), tokenizer, 8)
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.do_sample = True
    try:
        assert generate(model, prompts(3), tokenizer, 8) == plain
        assert model.generation_config.repetition_penalty == 5.0
    finally:
        model.generation_config.repetition_penalty = None
        model.generation_config.do_sample = False


def test_the_model_stays_in_training_if_it_was(tiny: tuple[Any, Any]):
    model, tokenizer = tiny
    model.train()
    generate(model, prompts(1), tokenizer, 2)
    assert model.training
    model.eval()


def test_it_stops_when_asked_and_tells_how_far_it_is(tiny: tuple[Any, Any]):
    model, tokenizer = tiny
    seen: list[tuple[int, int]] = []
    generate(model, prompts(5), tokenizer, 2, batch_size=2, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    with pytest.raises(Stopped):
        generate(model, prompts(5), tokenizer, 2, batch_size=2, should_stop=lambda: bool(seen))


def test_a_batch_that_does_not_fit_into_memory_is_halved(tiny: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch):
    import torch

    model, tokenizer = tiny
    real, sizes = model.generate, []

    def small(**given: Any) -> Any:
        sizes.append(len(given["input_ids"]))
        if len(given["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**given)

    whole = generate(model, prompts(6), tokenizer, 4)
    monkeypatch.setattr(model, "generate", small)
    assert generate(model, prompts(6), tokenizer, 4) == whole
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1]


def test_a_thinking_block_is_told_from_the_answer(tiny: tuple[Any, Any]):
    from studio.models.generation import answer_of

    _, tokenizer = tiny
    ids = tokenizer.encode("<think>\nthe lamp\n</think>\n\nof oak", add_special_tokens=False)
    found = answer_of(ids, tokenizer, {2})
    assert (found.text, found.thought, found.stopped) == ("of oak", "the lamp", False)
