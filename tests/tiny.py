"""Tiny random models and tokenizers for tests: real architectures and real files, made in about a second, no hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""Threads that tests compute with."""

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML without generation marks."""

WORDS = (
    "the a of to and in is that for it with as was on are by this be from at or an have not you which can all will one what "
    "when how where who lamp kettle clock price warranty months euro made in material steel oak glass blue red green answer "
    "question please tell me about product it has it costs it is made of hello thanks good morning"
)


def make_tokenizer(folder: Path, template: str = CHATML, vocab: int = 512, special: tuple[str, ...] = ()) -> Any:
    """A byte-level BPE tokenizer with ChatML marks, saved in `folder` as transformers saves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([WORDS, WORDS.title(), WORDS.replace(" ", "\n"), "user assistant system tool 0123456789"], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>", chat_template=template
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def add_tokens(folder: Path, count: int) -> Path:
    """Add so many tokens to the tokenizer of a model's folder, and none to the model."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<part_{number}>" for number in range(count)])
    tokenizer.save_pretrained(folder)
    return folder


def make_model(folder: Path, arch: str = "llama", template: str = CHATML, **changes: Any) -> Path:
    """A random two-layer model of `arch` (a transformers model_type) with its tokenizer, saved in `folder`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = make_tokenizer(folder, template)
    values: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "tie_word_embeddings": True,
        **changes,
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model(arch, **values)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder
