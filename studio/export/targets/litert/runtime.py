"""Inside the environment `litert`: the .tflite as a runtime that gives logits, and the .litertlm as its users meet it."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from studio.tracking.reporter import Reporter

HIDDEN = float(np.finfo(np.float32).min)
"""Added to the score of a place that is not looked at."""


class Tflite:
    """A .tflite with the signatures `prefill_N` and `decode`, run by LiteRT's interpreter on the CPU."""

    def __init__(self, file: str, ends: Sequence[int], threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_path=file, num_threads=threads)
        names = list(self.interpreter.get_signature_list())
        self.decode = self.interpreter.get_signature_runner("decode")
        self.part = max(int(name.split("_")[1]) for name in names if name.startswith("prefill_"))
        self.prefill = self.interpreter.get_signature_runner(f"prefill_{self.part}")
        self.ends = set(ends)
        inputs = self.decode.get_input_details()
        self.context = int(inputs["mask"]["shape"][-1])
        self.empty = {name: np.zeros(item["shape"], item["dtype"]) for name, item in inputs.items() if name.startswith("kv_")}

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`; float32 [positions, vocabulary]."""
        first, last = min(positions), max(positions)
        cache = self._taken_in(ids[:first])
        rows = {}
        for place in range(first, last + 1):
            rows[place] = self._step(cache, ids[place], place)
        return np.stack([rows[place] for place in positions])

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself before the context did."""
        return [self._continued(prompt, longest) for prompt in prompts]

    def _continued(self, prompt: Sequence[int], longest: int) -> tuple[list[int], bool]:
        said: list[int] = []
        if len(prompt) > self.context:
            return said, False
        cache, token, place = self._taken_in(prompt[:-1]), prompt[-1], len(prompt) - 1
        while place < self.context:
            token = int(self._step(cache, token, place).argmax())
            if token in self.ends:
                return said, True
            if len(said) == longest:
                break
            said.append(token)
            place += 1
        return said, False

    def _taken_in(self, ids: Sequence[int]) -> dict[str, np.ndarray]:
        """The cache after these tokens. What fills up a last part lies at places that are written before they are seen."""
        cache, place = dict(self.empty), 0
        while place < len(ids):
            part = ids[place : place + self.part]
            if place + self.part <= self.context:
                tokens = np.zeros((1, self.part), np.int32)
                tokens[0, : len(part)] = part
                cache |= self.prefill(tokens=tokens, **self._at(place, self.part), **cache)
            else:
                for offset, token in enumerate(part):
                    self._step(cache, token, place + offset)
            place += len(part)
        return cache

    def _step(self, cache: dict[str, np.ndarray], token: int, position: int) -> np.ndarray:
        """Logits after one more token, float32 [vocabulary]; the cache is brought up to date."""
        found = self.decode(tokens=np.array([[token]], np.int32), **self._at(position, 1), **cache)
        logits = found.pop("logits")
        cache |= found
        return logits.reshape(-1)

    def _at(self, position: int, count: int) -> dict[str, np.ndarray]:
        now = np.arange(position, position + count, dtype=np.int32)
        seen = np.arange(self.context)[None, :] <= now[:, None]
        return {"input_pos": now, "mask": np.where(seen, 0, HIDDEN).astype(np.float32)[None, None]}


def open_tflite(settings: Mapping[str, Any]) -> Tflite:
    """settings: file, ends (token ids), threads."""
    return Tflite(settings["file"], settings["ends"], settings["threads"])


def converse(request: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Put conversations to LiteRT-LM itself, as an application does.

    request: file (.litertlm), scratch (a folder for its cache), threads, longest (tokens of an answer), asked: [{messages,
    tools, text, answer}], each conversation up to the answer that is wanted, or a plain text; `answer`: whether to generate it.
    Returns `prompts`: [{text, ids}] as it writes and tokenizes them; `answers`: texts, or None; `ends`: its stop sequences;
    `versions` in words.
    """
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    backend = litert_lm.Backend.CPU(thread_count=request["threads"])
    prompts, answers = [], []
    with litert_lm.Engine(request["file"], backend=backend, cache_dir=request["scratch"]) as engine:
        for place, item in enumerate(request["asked"]):
            if item["messages"]:
                text, answer = _talk(engine, item, request["longest"])
            else:
                text, answer = item["text"], None
            first = [engine.bos_token_id] if engine.bos_token_id is not None and not item["messages"] else []
            prompts.append({"text": text, "ids": [*first, *engine.tokenize(text)]})
            answers.append(answer)
            reporter.progress(place + 1, len(request["asked"]), "asking LiteRT-LM")
        return {"prompts": prompts, "answers": answers, "ends": engine.eos_token_ids, "versions": _versions()}


def _talk(engine: Any, item: Mapping[str, Any], longest: int) -> tuple[str, str | None]:
    """The prompt of one conversation, and its greedy answer if it is wanted."""
    import litert_lm

    *before, last = item["messages"]
    greedy = litert_lm.SamplerConfig(top_k=1, temperature=1.0, seed=0)
    settings = {"messages": before or None, "tools": _tools(item["tools"]), "automatic_tool_calling": False}
    with engine.create_conversation(**settings, sampler_config=greedy, max_output_tokens=longest) as conversation:
        text = conversation.render_message_to_string(last)
        return text, _text(conversation.send_message(last)) if item["answer"] else None


def _tools(tools: Sequence[dict[str, Any]]) -> list[Any] | None:
    """Descriptions as LiteRT-LM takes them: objects that could be called, which these never are."""
    import litert_lm

    class Described(litert_lm.Tool):
        def __init__(self, description: dict[str, Any]) -> None:
            self.description = description

        def get_tool_description(self) -> dict[str, Any]:
            return self.description

        def execute(self, param: Mapping[str, Any]) -> Any:
            raise NotImplementedError

    return [Described(tool) for tool in tools] or None


def _text(message: Any) -> str:
    content = message.get("content", []) if isinstance(message, Mapping) else message
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _versions() -> str:
    from importlib.metadata import version

    return f"{version('ai-edge-litert')} and LiteRT-LM {version('litert-lm')}"
