"""Inside the environment `vllm`: a model folder, or an adapter on its base, as vLLM answers from it."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

EXPECTED = 1024
"""Likeliest tokens whose log-probabilities vLLM is asked for; the rest of each distribution is spread over the others."""
VARIABLES = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process: it ends when it is told to, and starts in half the time
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


class Vllm:
    """vLLM's engine in this process. ends: ids at which an answer stops. vocabulary: how many ids there are."""

    def __init__(self, engine: object, ends: Sequence[int], vocabulary: int, lora: object = None) -> None:
        self.engine, self.ends, self.vocabulary, self.lora = engine, set(ends), vocabulary, lora

    def wrong(self) -> str:
        """What was wrong with the weights: nothing, for vLLM does not load a folder that lacks some."""
        return ""

    def version(self) -> str:
        """What it runs in."""
        return f"vLLM {importlib.metadata.version(_distribution())}"

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Log-probabilities after the tokens at `positions`; float32 [positions, vocabulary]. vLLM gives those of tokens
        that are there, so one more is put at the end."""
        asked = self._ask([[*ids, ids[-1]]], longest=1, prompt_logprobs=min(EXPECTED, self.vocabulary))[0]
        return np.stack([self._row(asked.prompt_logprobs[place + 1]) for place in positions])

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself; all at once."""
        said = []
        for asked in self._ask(prompts, longest):
            ids = list(asked.outputs[0].token_ids)
            ended = bool(ids) and ids[-1] in self.ends
            said.append((ids[:-1] if ended else ids, ended))
        return said

    def _ask(self, prompts: Sequence[Sequence[int]], longest: int, prompt_logprobs: int | None = None) -> list[Any]:
        from vllm import SamplingParams

        wanted = SamplingParams(
            temperature=0,
            max_tokens=longest,
            stop_token_ids=sorted(self.ends),
            prompt_logprobs=prompt_logprobs,
            detokenize=False,
        )
        given = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        return self.engine.generate(given, wanted, use_tqdm=False, lora_request=self.lora)

    def _row(self, known: Any) -> np.ndarray:
        tokens = np.fromiter(known.keys(), np.int64, len(known))
        likely = np.fromiter((item.logprob for item in known.values()), np.float64, len(known))
        left = max(1 - np.exp(likely).sum(), 1e-12) / max(self.vocabulary - len(known), 1)
        row = np.full(self.vocabulary, np.log(left), np.float32)
        row[tokens] = likely
        return row


@contextmanager
def opened(settings: dict[str, Any]) -> Iterator[Vllm]:
    """vLLM with the model in `folder` for `context` tokens, computing in `dtype`; `lora` names an adapter's folder."""
    _set_variables()
    import torch
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    adapter = {"enable_lora": True, "max_lora_rank": settings["rank"]} if settings.get("lora") else {}
    engine = LLM(
        model=settings["folder"],
        dtype=settings["dtype"],
        max_model_len=settings["context"],
        enforce_eager=True,
        enable_prefix_caching=False,  # it would leave out the log-probabilities of a prompt seen before
        max_logprobs=EXPECTED,
        max_num_seqs=16,
        seed=0,
        **({"gpu_memory_utilization": _share()} if torch.cuda.is_available() else {}),
        **adapter,
    )
    lora = LoRARequest("tuned", 1, settings["lora"]) if adapter else None
    vocabulary = engine.model_config.get_vocab_size()
    yield Vllm(engine, settings["ends"], vocabulary, lora)


def _set_variables() -> None:
    """Before vLLM is imported; what a person has set stays."""
    os.environ.update({name: os.environ.get(name, value) for name, value in VARIABLES.items()})


def _share() -> float:
    """The share of the GPU's memory vLLM may take: most of what is free."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return round(0.9 * free / total, 3)


def _distribution() -> str:
    """The name vLLM is installed by: its build for the CPU has another."""
    names = {item.name for item in importlib.metadata.distributions()}
    return "vllm" if "vllm" in names else "vllm-cpu"


class Sampler:
    """vLLM's engine as it writes the answers that a model learns from: a base, and the adapter as it stands in each step."""

    def __init__(self, engine: object) -> None:
        self.engine = engine

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        ends: Sequence[int],
        longest: int,
        temperature: float,
        seeds: Sequence[int],
        adapter: str,
        version: int,
    ) -> list[tuple[list[int], list[float]]]:
        """An answer to each prompt by the adapter in a folder: its token ids, the end token included, and log p of each.

        version tells adapters apart: the folder of a new one is read anew. It is at least 1.
        """
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        settings = [
            SamplingParams(
                temperature=temperature,
                max_tokens=longest,
                stop_token_ids=list(ends),
                ignore_eos=True,  # these ends are the only ones, as where the trained model writes
                seed=seed,
                logprobs=0,
                detokenize=False,
            )
            for seed in seeds
        ]
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        lora = LoRARequest(f"step-{version}", version, adapter)
        answers = self.engine.generate(asked, settings, use_tqdm=False, lora_request=lora)
        return [_with_logps(answer.outputs[0]) for answer in answers]


@contextmanager
def sampling(settings: dict[str, Any]) -> Iterator[Sampler]:
    """vLLM with the base in `folder` for `context` tokens and `at_once` answers, computing in `dtype`, for adapters of up to
    `rank`. share: what it may take of the GPU's memory, from 0 to 1."""
    _set_variables()
    import torch
    from vllm import LLM

    engine = LLM(
        model=settings["folder"],
        revision=settings["revision"],
        dtype=settings["dtype"],
        max_model_len=settings["context"],
        enforce_eager=True,
        enable_lora=True,
        max_lora_rank=settings["rank"],
        max_loras=1,
        max_cpu_loras=1,
        max_num_seqs=settings["at_once"],
        seed=0,
        **({"gpu_memory_utilization": settings["share"]} if torch.cuda.is_available() else {}),
    )
    yield Sampler(engine)


def _with_logps(out: Any) -> tuple[list[int], list[float]]:
    ids = list(out.token_ids)
    return ids, [likely[token].logprob for token, likely in zip(ids, out.logprobs, strict=True)]
