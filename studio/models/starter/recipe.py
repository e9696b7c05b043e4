"""Make the starter model from nothing: text, tokenizer, model, training, folder.

Run `OMP_NUM_THREADS=1 python -m studio.models.starter.recipe` to make `weights/` again. Everything is seeded and runs on
one thread, so the same machine and versions give the same weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from studio.models.starter import folder
from studio.models.starter.text import conversations

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    Batch = tuple[torch.Tensor, torch.Tensor]

START, END, BETWEEN, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|pad|>"
SPECIAL = (BETWEEN, START, END, PAD)
TEMPLATE = Path(__file__).with_name("chat_template.jinja")


@dataclass(frozen=True)
class Recipe:
    """Every number of the recipe."""

    seed: int = 2026
    vocabulary: int = 2048
    vocabulary_sample: int = 60_000
    hidden: int = 256
    intermediate: int = 768
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    positions: int = 512
    steps: int = 2600
    rows: int = 8
    row_tokens: int = 256
    long_from: float = 0.7
    muon_rate: float = 0.02
    adam_rate: float = 4e-3
    weight_decay: float = 0.05
    warmup: int = 40
    flat: float = 0.6
    prompt_weight: float = 0.2
    clip: float = 1.0


def main() -> None:
    """Train with the recipe's own numbers and save the folder; options only for trying things out."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=recipe.steps, help="training steps")
    parser.add_argument("--out", type=Path, default=folder(), help="where the folder goes")
    parser.add_argument("--state", type=Path, help="file to keep the training state in, and to go on from if it is there")
    options = parser.parse_args()
    make(Recipe(steps=options.steps), options.out, options.state)


def make(recipe: Recipe, out: Path, state: Path | None = None) -> None:
    """The whole recipe, top to bottom."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    started = time.process_time()
    tokenizer = make_tokenizer(recipe)
    model = make_model(recipe)
    _say(f"tokenizer and model ready, {sum(p.numel() for p in model.parameters())} parameters")
    loss = train(recipe, model, rows(recipe, tokenizer), state)
    save(model, tokenizer, out)
    made = {"recipe": recipe.__dict__, "assistant_loss": round(loss, 4), "cpu_seconds": round(time.process_time() - started)}
    _say(json.dumps(made))


def make_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer (GPT-2 splitting) learned from the recipe's own text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core: Tokenizer = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = islice(conversations(recipe.seed), recipe.vocabulary_sample)
    core.train_from_iterator((m["content"] for talk in sample for m in (*talk, *_ROLES)), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[START, BETWEEN],
        clean_up_tokenization_spaces=False,
        model_max_length=recipe.positions,
        chat_template=TEMPLATE.read_text(encoding="utf-8").rstrip("\n"),
    )


_ROLES = tuple({"content": f"{role}\n"} for role in ("system", "user", "assistant", "tool"))


def make_model(recipe: Recipe) -> LlamaForCausalLM:
    """A fresh Llama of the recipe's shape."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=recipe.positions,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=SPECIAL.index(END),
        pad_token_id=SPECIAL.index(PAD),
    )
    return LlamaForCausalLM(config)


def rows(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> Iterator[Batch]:
    """Batches of (token ids, loss weights): conversations laid end to end and cut into rows, later into longer ones."""
    import torch

    shapes = batch_shapes(recipe)
    count, length = next(shapes)
    ids: list[int] = []
    weights: list[float] = []
    for talk in conversations(recipe.seed + 1):
        for text, weight in pieces(recipe, talk):
            new = tokenizer.backend_tokenizer.encode(text).ids
            ids += new
            weights += [weight] * len(new)
        need = count * (length + 1)
        if len(ids) >= need:
            yield torch.tensor(ids[:need]).view(count, -1), torch.tensor(weights[:need]).view(count, -1)
            ids, weights = ids[need:], weights[need:]
            count, length = next(shapes, (0, 0))
            if not count:
                return


def batch_shapes(recipe: Recipe) -> Iterator[tuple[int, int]]:
    """(rows, tokens a row) of every step: the last part of the training sees rows of the full length."""
    for step in range(recipe.steps):
        long = step >= recipe.long_from * recipe.steps
        fold = recipe.positions // recipe.row_tokens if long else 1
        yield recipe.rows // fold, recipe.row_tokens * fold


def pieces(recipe: Recipe, talk: list[dict[str, str]]) -> Iterator[tuple[str, float]]:
    """The text of one conversation, as the chat template writes it, in parts with their loss weights."""
    for message in talk:
        if message["role"] == "text":
            yield message["content"], recipe.prompt_weight
            continue
        yield f"{START}{message['role']}\n", recipe.prompt_weight
        yield message["content"] + END, 1.0 if message["role"] == "assistant" else recipe.prompt_weight
        yield "\n", recipe.prompt_weight
    yield BETWEEN, recipe.prompt_weight


def train(recipe: Recipe, model: LlamaForCausalLM, batches: Iterator[Batch], state: Path | None = None) -> float:
    """Plain pre-training; returns the mean loss on assistant tokens over the last fifty steps."""
    import torch
    from torch.nn.functional import cross_entropy

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    momenta = [torch.zeros_like(p) for p in matrices]
    adam = torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    done = _load_state(state, model, momenta, adam)
    recent: list[float] = []
    model.train()
    for step, (ids, weights) in enumerate(batches):
        if step < done:
            continue
        share = rate(recipe, step)
        adam.param_groups[0]["lr"] = recipe.adam_rate * share
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        losses = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        wanted = weights[:, 1:].flatten()
        (losses @ wanted / wanted.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        adam.step()
        with torch.no_grad():
            for matrix, momentum in zip(matrices, momenta, strict=True):
                assert matrix.grad is not None
                muon(recipe, matrix, matrix.grad, momentum, recipe.muon_rate * share)
        model.zero_grad()
        recent = [*recent[-49:], losses.detach()[wanted == 1.0].mean().item()]
        if (step + 1) % 50 == 0 or step + 1 == recipe.steps:
            _say(f"step {step + 1} assistant loss {sum(recent) / len(recent):.4f} CPU seconds {time.process_time():.0f}")
        if state and (step + 1) % 100 == 0:
            torch.save((step + 1, model.state_dict(), momenta, adam.state_dict()), state)
    return sum(recent) / len(recent)


def _load_state(state: Path | None, model: LlamaForCausalLM, momenta: list[torch.Tensor], adam: torch.optim.AdamW) -> int:
    """Take up an earlier run where it was saved; the number of steps already done."""
    import torch

    if state is None or not state.exists():
        return 0
    done, weights, saved, others = torch.load(state)
    model.load_state_dict(weights)
    for momentum, old in zip(momenta, saved, strict=True):
        momentum.copy_(old)
    adam.load_state_dict(others)
    return done


def muon(recipe: Recipe, matrix: torch.Tensor, gradient: torch.Tensor, momentum: torch.Tensor, rate: float) -> None:
    """One Muon step: Nesterov momentum, made orthogonal by five Newton-Schulz rounds.

    The same mathematics as `torch.optim.Muon`, in float32: twice as fast as its bfloat16 on the CPUs tried.
    """
    momentum.lerp_(gradient, 0.05)
    update = gradient.lerp(momentum, 0.95)
    tall = update.size(0) > update.size(1)
    update = update.T if tall else update
    update = update / (update.norm() + 1e-7)
    for _ in range(5):
        square = update @ update.T
        update = 3.4445 * update + (-4.775 * square + 2.0315 * square @ square) @ update
    update = update.T if tall else update
    matrix.mul_(1 - rate * recipe.weight_decay)
    matrix.add_(update, alpha=-rate * max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5)


def rate(recipe: Recipe, step: int) -> float:
    """Share of the full learning rate: warm up, stay, fall in a straight line to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return min(1.0, (recipe.steps - step) / (recipe.steps * (1 - recipe.flat)))


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the folder in bf16, readable by plain transformers (5 and 4)."""
    out.mkdir(parents=True, exist_ok=True)
    model.bfloat16()
    model.generation_config.do_sample = False
    model.generation_config.max_new_tokens = 64
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    _amend(out / "config.json", {"rope_theta": 10000.0, "torch_dtype": "bfloat16"})
    _amend(out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _amend(file: Path, values: dict[str, object]) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) | values
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
