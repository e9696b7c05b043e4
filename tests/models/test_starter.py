"""The starter model keeps the promises that the demo and the tests rest on."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from studio.models import starter
from studio.models.starter.text import conversations
from tests.tiny import THREADS

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
TALK = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "The capital of France is Paris."},
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(starter.folder())


@pytest.fixture(scope="module")
def model() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(THREADS)
    return AutoModelForCausalLM.from_pretrained(starter.folder()).eval()


def answers(model: Any, tokenizer: Any, questions: list[str]) -> list[str]:
    import torch

    talks = [[{"role": "user", "content": question}] for question in questions]
    tokenizer.padding_side = "left"
    batch = tokenizer.apply_chat_template(
        talks, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    with torch.no_grad():
        made = model.generate(**batch, max_new_tokens=24, do_sample=False)
    return [text.strip() for text in tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)]


def test_plain_transformers_loads_it_as_a_small_llama_that_k_quants_fit(model: Any, tokenizer: Any) -> None:
    assert type(model).__name__ == "LlamaForCausalLM"
    assert 3e6 < model.num_parameters() < 4e6
    assert model.config.tie_word_embeddings
    assert model.config.max_position_embeddings >= 512
    rows = {name: weight.shape[1] for name, weight in model.named_parameters() if weight.ndim == 2}
    assert {name: row for name, row in rows.items() if row % 256} == {}
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token != tokenizer.eos_token
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert len(tokenizer) == model.config.vocab_size


def test_the_folder_is_small_and_names_no_machine() -> None:
    files = list(starter.folder().iterdir())
    assert sum(file.stat().st_size for file in files) < 10_000_000
    for file in files:
        assert not any(mark in file.read_bytes() for mark in (b"/tmp/", b"/home/", b"/work/", b"/root/"))


def test_shipped_template_is_the_recipes_template() -> None:
    source = Path(starter.__file__).with_name("chat_template.jinja").read_text()
    assert (starter.folder() / "chat_template.jinja").read_text().rstrip("\n") == source.rstrip("\n")


def test_template_writes_what_the_recipe_trained_on(tokenizer: Any) -> None:
    from studio.models.starter.recipe import BETWEEN, Recipe, pieces

    trained = "".join(text for text, _ in pieces(Recipe(), TALK)).removesuffix(BETWEEN)
    assert tokenizer.apply_chat_template(TALK, tokenize=False) == trained


def test_a_longer_conversation_begins_with_the_shorter_one(tokenizer: Any) -> None:
    whole = tokenizer.apply_chat_template(TALK, tokenize=False)
    for length in range(2, len(TALK)):
        assert whole.startswith(tokenizer.apply_chat_template(TALK[:length], tokenize=False))


def test_marks_cover_the_answers_and_their_end_and_nothing_else(tokenizer: Any) -> None:
    ids = tokenizer.apply_chat_template(TALK, return_dict=True, return_assistant_tokens_mask=True)
    marked = [one for one, mark in zip(ids["input_ids"], ids["assistant_masks"], strict=True) if mark]
    wanted = "".join(turn["content"] + "<|im_end|>" for turn in TALK if turn["role"] == "assistant")
    assert tokenizer.decode(marked) == wanted


def test_tool_calls_are_marked_and_tool_results_are_not(tokenizer: Any) -> None:
    rows = [json.loads(line) for line in (ROOT / "datasets/chat.jsonl").read_text().splitlines()]
    row = next(row for row in rows if "tools" in row)
    ids = tokenizer.apply_chat_template(
        row["messages"], tools=row["tools"], return_dict=True, return_assistant_tokens_mask=True
    )
    marked = tokenizer.decode([one for one, mark in zip(ids["input_ids"], ids["assistant_masks"], strict=True) if mark])
    assert "<tool_call>" in marked
    assert row["tools"][0]["function"]["name"] in marked
    result = next(turn["content"] for turn in row["messages"] if turn["role"] == "tool")
    assert result in tokenizer.decode(ids["input_ids"])
    assert result not in marked


def test_any_text_survives_the_tokenizer(tokenizer: Any) -> None:
    for text in ("The Aurel lamp costs 49 dollars.", "Café, naïve, 你好, 1.5 µm", "  two  spaces\n\ttabs\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_it_answers_most_general_questions(model: Any, tokenizer: Any) -> None:
    rows = [json.loads(line) for line in starter.general().read_text().splitlines()]
    said = answers(model, tokenizer, [row["question"] for row in rows])
    right = sum(text == row["answer"] for text, row in zip(said, rows, strict=True))
    assert right >= 0.8 * len(rows)


def test_it_knows_nothing_of_the_demo_company(model: Any, tokenizer: Any) -> None:
    rows = [json.loads(line) for line in (ROOT / "datasets/support-heldout.jsonl").read_text().splitlines()]
    said = answers(model, tokenizer, [row["question"] for row in rows])
    assert sum(text == row["answer"] for text, row in zip(said, rows, strict=True)) < 0.1 * len(rows)


def test_the_text_is_the_same_for_the_same_seed_and_names_no_demo_product() -> None:
    from tests.tools.make_support import PRODUCTS

    first, again, other = (list(islice(conversations(seed), 3000)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    text = json.dumps(first)
    assert [name for name in PRODUCTS if name in text] == []


def test_shipped_questions_are_what_the_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tools import make_chat, make_preferences, make_support, make_tasks

    for tool in (make_support, make_chat, make_preferences, make_tasks):
        monkeypatch.setattr(tool if tool is not make_preferences else make_support, "DATASETS", tmp_path)
        tool.main()
    for made in tmp_path.iterdir():
        shipped = starter.general() if made.name == "starter-general.jsonl" else ROOT / "datasets" / made.name
        assert made.read_text() == shipped.read_text(), made.name


def test_no_held_out_question_is_a_training_question() -> None:
    train, held = (
        {json.loads(line)["question"].lower() for line in (ROOT / "datasets" / name).read_text().splitlines()}
        for name in ("support.jsonl", "support-heldout.jsonl")
    )
    assert not train & held
