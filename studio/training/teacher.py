"""The teacher's words: its likeliest at every trained token, scored once and kept on disk, after which the teacher may go."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import Stopped, TrainingError
from studio.core.files import folder_aside, read_json, write_json
from studio.data.encode import Tokens
from studio.training.batches import in_order_of_length
from studio.training.guards import disk_errors
from studio.training.teacher_logprobs import TeacherLogprobs

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.tracking.reporter import Reporter

TOKENS_AT_ONCE = 2048
"""Padded tokens that the teacher reads at once."""
LOGITS_AT_ONCE = 1 << 25
"""Logits made at once: 128 MiB in 32 bit."""
PROBES = ("The quick brown fox, 3 × 4 = 12.", "Grüße aus Köln: naïve café, 东京 🙂", "def f(x):\n\treturn x ** 2  # x²")
"""Texts that both tokenizers must encode alike."""


def same_tokens(student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase) -> str | None:
    """Why the teacher's words cannot be the student's; None if both tokenizers write the same."""
    if any(student(text).input_ids != teacher(text).input_ids for text in PROBES):
        return "their tokenizers cut the same text into other tokens"
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    differ = [word for word, number in ours.items() if theirs.get(word, number) != number]
    return f"{len(differ)} tokens have other numbers, e.g. {differ[0]!r}" if differ else None


def saved(folder: Path, key: str) -> TeacherLogprobs | None:
    """What an earlier process scored, memory-mapped; None if there is nothing, or of another teacher or other rows."""
    with contextlib.suppress(OSError, ValueError):
        if read_json(folder / "meta.json").get("key") == key:
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _NAMES}
            return TeacherLogprobs(**arrays)
    return None


_NAMES = ("ids", "logps", "offsets")


def taught(
    load: Callable[[], Any],
    key: str,
    parts: Mapping[str, Tokens],
    top_k: int,
    vocabulary: int,
    data: Path,
    reporter: Reporter,
    also: Callable[[Any], None] | None = None,
) -> dict[str, TeacherLogprobs]:
    """The teacher's words for each part of the data, in `data/<part>.teacher`: found there, or scored now.

    load gives the teacher; it is called only if something is missing, and the teacher is gone when this returns. also: what
    else it is needed for, called with it; None if nothing.
    """
    from studio.models.loading import free_memory

    wanted = {
        part: hashlib.sha256(f"{key} {tokens.meta['key']} {top_k} {vocabulary}".encode()).hexdigest()
        for part, tokens in parts.items()
    }
    words = {part: found for part, own in wanted.items() if (found := saved(data / f"{part}.teacher", own)) is not None}
    if len(words) < len(parts) or also is not None:
        model = load()
        for part in parts.keys() - words.keys():
            words[part] = score(model, parts[part], top_k, vocabulary, data / f"{part}.teacher", wanted[part], reporter)
        if also is not None:
            also(model)
        del model
        free_memory()
    return words


def read(folder: Path) -> TeacherLogprobs | None:
    """What a teacher scored in `folder`, whichever it was and of whichever rows; None if there is nothing."""
    with contextlib.suppress(OSError, ValueError):
        return saved(folder, str(read_json(folder / "meta.json").get("key")))
    return None


def apart(model: Any, tokens: Tokens, words: TeacherLogprobs) -> np.ndarray:
    """How far a model is from its teacher on rows, [3, sequences]: the sum of KL(teacher | model) over the trained tokens, how
    many have the teacher's first choice, and how many there are."""
    import torch

    from studio.training.distilling import Mix, distilled
    from studio.training.head import logit_transform

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    device, head = causal.device, causal.get_output_embeddings()
    transform = logit_transform(causal.config.get_text_config())
    found, longest = np.zeros((3, len(tokens))), max(1, int(np.max(tokens.lengths)))
    with torch.no_grad():
        for micro in in_order_of_length(tokens, max(1, TOKENS_AT_ONCE // longest), longest, packed=False):
            ids, scored, targets = (
                torch.from_numpy(part).to(device) for part in (micro.input_ids, micro.scored, micro.targets)
            )
            states = causal.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
            picked = states.reshape(-1, states.shape[-1]).index_select(0, scored).to(head.weight.dtype)
            chosen, logps = (torch.from_numpy(part).to(device) for part in words.of(micro.numbers))
            values = distilled(picked, head, targets, chosen, logps, transform, Mix(0.0, 0.0))
            row = np.repeat(np.array(micro.numbers), micro.scored_in_rows)
            for place, of_tokens in enumerate((values[1], values[3], torch.ones(len(row)))):
                found[place] += np.bincount(row, weights=of_tokens.double().cpu().numpy(), minlength=len(tokens))
    return found


def score(
    model: nn.Module, tokens: Tokens, top_k: int, vocabulary: int, folder: Path, key: str, reporter: Reporter
) -> TeacherLogprobs:
    """Score all trained tokens by the teacher and keep the result in `folder`. vocabulary: the student's number of words.

    Raises Stopped if asked to stop on the way, HardwareError if the disk is full.
    """
    counts = np.array([int(np.count_nonzero(tokens[number][1][1:])) for number in range(len(tokens))], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    k = min(top_k, vocabulary - 1)
    with disk_errors("The teacher's words", folder), folder_aside(folder) as aside:
        ids = np.lib.format.open_memmap(aside / "ids.npy", "w+", np.int32, (int(offsets[-1]), k))
        logps = np.lib.format.open_memmap(aside / "logps.npy", "w+", np.float32, (int(offsets[-1]), k + 1))
        done = 0
        longest = max(1, int(np.max(tokens.lengths)))
        for micro in in_order_of_length(tokens, max(1, TOKENS_AT_ONCE // longest), longest, packed=False):
            words, values = _likeliest(model, micro, k, vocabulary)
            ends = np.cumsum(micro.scored_in_rows)
            for number, end, size in zip(micro.numbers, ends, micro.scored_in_rows, strict=True):
                part, there = slice(end - size, end), slice(offsets[number], offsets[number + 1])
                ids[there], logps[there] = words[part], values[part]
            done += micro.rows
            reporter.progress(done, len(tokens), "row read by the teacher")
            if reporter.should_stop():
                raise Stopped
        if not np.isfinite(logps).all():
            raise TrainingError(
                "the teacher's probabilities are not numbers",
                hint="Its weights are damaged, or overflow: choose another teacher.",
                where="training.method.teacher",
            )
        ids.flush()
        logps.flush()
        np.save(aside / "offsets.npy", offsets)
        write_json(aside / "meta.json", {"key": key})
    found = saved(folder, key)
    assert found is not None  # it was just written
    return found


def _likeliest(model: Any, micro: Any, k: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and log p of the likeliest words at the scored positions of a micro-batch, and of all others."""
    import torch

    from studio.training.head import logit_transform, logits_of

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    device, head = causal.device, causal.get_output_embeddings()
    transform = logit_transform(causal.config.get_text_config())
    words, values = [], []
    with torch.no_grad():
        states = causal.get_decoder()(input_ids=torch.from_numpy(micro.input_ids).to(device), use_cache=False).last_hidden_state
        picked = states.reshape(-1, states.shape[-1]).index_select(0, torch.from_numpy(micro.scored).to(device))
        for some in picked.split(max(16, LOGITS_AT_ONCE // head.weight.shape[0])):
            logits = logits_of(some, head.weight, head.bias, transform)[0][:, :vocabulary]
            logps = torch.log_softmax(logits, dim=-1)
            best = logps.topk(k, dim=-1)
            rest = torch.logsumexp(logps.scatter(1, best.indices, float("-inf")), dim=-1, keepdim=True).clamp(min=-80.0)
            words.append(best.indices.int().cpu())
            values.append(torch.cat([best.values, rest], dim=1).float().cpu())
    return torch.cat(words).numpy(), torch.cat(values).numpy()
