"""A tiny model with an adapter that has really learned six answers, compared once for all tests."""

# torch, transformers and peft have no full types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.data.rows import Conversation
from studio.evaluation.compare import compare
from studio.evaluation.report import Report
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from tests.tiny import make_model


def conversation(question: str, answer: str, line: int = 1) -> Conversation:
    return Conversation(
        messages=({"role": "user", "content": question}, {"role": "assistant", "content": answer}), file="rows.jsonl", line=line
    )


FACTS = [
    ("what is the price of the lamp", "it costs 20 euro"),
    ("what is the price of the clock", "it costs 35 euro"),
    ("what is the lamp made of", "it is made of glass"),
    ("what is the clock made of", "it is made of oak"),
    ("how long is the warranty of the lamp", "12 months"),
    ("how long is the warranty of the clock", "24 months"),
]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with embeddings wide enough that an adapter alone can move its logits."""
    return make_model(tmp_path_factory.mktemp("models") / "wide", initializer_range=0.2)


@pytest.fixture(scope="session")
def tokenizer(base_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_folder)


@pytest.fixture(scope="session")
def tuned(base_folder: Path, tokenizer: Any) -> Any:
    """The tiny model with an adapter trained on FACTS until it knows them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from studio.data.render import encode

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(base_folder)
    model: Any = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    rows = [encode(conversation(*fact), tokenizer, "assistant") for fact in FACTS]
    longest = max(len(row.ids) for row in rows)
    ids, labels = torch.zeros(len(rows), longest, dtype=torch.long), torch.full((len(rows), longest), -100)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = torch.tensor(list(row.ids))
        for at, marked in enumerate(row.mask):
            labels[place, at] = int(row.ids[at]) if marked else -100
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=5e-3)
    for _ in range(400):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss < 0.02:
            return model
    raise AssertionError(f"the adapter did not learn the six answers: its loss is still {loss:.3f}")  # pyright: ignore[reportPossiblyUnboundVariable]


@pytest.fixture(scope="session")
def report(tuned: Any, tokenizer: Any) -> Report:
    """Four sets: what was learned, a multi-turn one, plain text, and general questions the base cannot answer either."""
    learned = [conversation(*fact, line=line) for line, fact in enumerate(FACTS * 4, 1)]
    chat = Conversation(
        messages=(
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "good morning"},
            {"role": "user", "content": "what is the lamp made of"},
            {"role": "assistant", "content": "it is made of glass"},
        ),
        file="chat.jsonl",
        line=1,
    )
    sets = [
        QuestionSet("held-out", learned),
        QuestionSet("also:chat.jsonl", [chat, chat]),
        QuestionSet("also:text.txt", [Conversation(text="the lamp is made of steel and glass", file="text.txt", line=1)] * 3),
        QuestionSet("general", [conversation("who are you", "red", 1), conversation("where is it", "blue", 2)]),
    ]
    return compare(tuned, tokenizer, sets, Evaluation(max_rows=18, resamples=200, samples=4), seed=1)
