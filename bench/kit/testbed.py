"""What is trained on: a random Llama, rows whose lengths are those of an ordinary chat set, and the same as text.

Lengths: median 120 tokens, nine in ten below 470, 8 to 1,000: as in the open chat sets people fine-tune on. Batches of
eight random rows are then two and a half times as long, with padding, as without.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

BATCH, MAX_LENGTH, RATE, SEED = 8, 1024, 2e-4, 42
BODY = {
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
SMALL, LARGE = 8_192, 49_152
"""Vocabularies: the head is 22 % of the weights, as of a 1 to 3 B model with 128 k; or 64 %, more than any in use."""
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<|im_end|>", "<|im_start|>", "<|endoftext|>"]


def lengths(count: int) -> list[int]:
    """Tokens of each row, at even steps through a log-normal, shuffled."""
    normal = statistics.NormalDist()
    scores = np.array([normal.inv_cdf((row + 0.5) / count) for row in range(count)])
    sizes = np.clip(120 * np.exp(scores * np.log(470 / 120) / normal.inv_cdf(0.9)), 8, 1000).astype(int)
    return np.random.default_rng(7).permutation(sizes).tolist()


def rows(count: int, vocabulary: int) -> Any:
    """The rows as the studio's tokens: ids by Zipf's law, the last three quarters of each row trained."""
    from dataclasses import replace

    from studio.data.encode import EMPTY

    random, sizes = np.random.default_rng(8), lengths(count)
    ids = np.concatenate([(random.zipf(1.3, size) % (vocabulary - 4) + 4).astype(np.int32) for size in sizes])
    mask = np.concatenate([(np.arange(size) >= size // 4).astype(np.uint8) for size in sizes])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return replace(EMPTY, ids=ids, mask=mask, offsets=offsets, meta={**EMPTY.meta, "trained": int(mask.sum())})


def in_order(count: int, vocabulary: int) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of the rows in the order in which the studio trains them, for the others to follow."""
    from studio.training.batches import StepOrder

    found = rows(count, vocabulary)
    order = [row for step in StepOrder(count, BATCH, count // BATCH, SEED) for row in step]
    return [(ids.tolist(), np.where(mask, ids, -100).tolist()) for ids, mask in (found[row] for row in order)]


def base(vocabulary: int, dtype: str = "fp32") -> tuple[Any, Any]:
    """A random Llama (14 M parameters, or 30 M with the large vocabulary) and a tokenizer that only its marks are asked of."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **BODY, vocab_size=vocabulary, pad_token_id=0, eos_token_id=1, bos_token_id=3)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa").to(kind)
    model.config._name_or_path = "bench"
    core = Tokenizer(models.WordLevel({token: place for place, token in enumerate(SPECIAL)}, unk_token="<|endoftext|>"))
    return model, PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<|pad|>", eos_token="<|im_end|>")


def words(count: int = 20_000) -> list[str]:
    """Made-up words of two to five syllables, most frequent first and shortest first."""
    random = np.random.default_rng(1)
    syllables = [a + b + c for a in "bcdfglmnprst" for b in "aeiou" for c in ("", "", "n", "r", "s")]
    made = {"".join(random.choice(syllables, 2 + place * 4 // count)) for place in range(count * 2)}
    return sorted(sorted(made), key=len)[:count]


def chats(count: int, seed: int = 3) -> list[dict[str, Any]]:
    """Conversations of one question and an answer about three times as long, in words by Zipf's law."""
    random, known = np.random.default_rng(seed), words()
    found = []
    for size in lengths(count):
        picked = [known[place % len(known)] for place in random.zipf(1.2, max(6, int(size / 1.5)))]
        cut = max(3, len(picked) // 4)
        found.append(
            {
                "messages": [
                    {"role": "user", "content": " ".join(picked[:cut]).capitalize() + "?"},
                    {"role": "assistant", "content": " ".join(picked[cut:]).capitalize() + "."},
                ]
            }
        )
    return found


def write_chats(file: Path, count: int, seed: int = 3) -> Path:
    """The conversations as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in chats(count, seed)), encoding="utf-8")
    return file


def write_model(folder: Path) -> Path:
    """The small model as a folder, with a byte-level BPE tokenizer of the chats' text and a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SMALL, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator((turn["content"] for row in chats(2_000) for turn in row["messages"]), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>", chat_template=CHATML, model_max_length=2048
    )
    model, _ = base(SMALL)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 1, 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
