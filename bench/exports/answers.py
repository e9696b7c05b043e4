"""What an export answers, asked through its runtime's own interface and nothing of the studio's: an independent check.

Runs in the interpreter that has the runtime (`studio exporters` has those of `litert` and `compress`):

    python bench/exports/answers.py KIND FOLDER QUESTIONS.json [BASE]   # prints the answers as JSON lines

QUESTIONS.json: [{"text": the prompt as the template writes it, "messages": [...]}]. BASE: the base model's folder for
`adapter`, a GGUF file of it for `gguf_adapter`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LONGEST = 40
"""Tokens of an answer."""

Question = dict[str, Any]


def transformers(folder: Path, questions: list[Question], base: str) -> Iterator[str]:
    """A model folder, or with `base` an adapter folder on it, by transformers and peft."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    words = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(base or folder, dtype=torch.float32).eval()
    if base:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder).eval()
    for question in questions:
        ids = words(question["text"], add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            said = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=LONGEST)
        yield words.decode(said[0, ids.shape[1] :], skip_special_tokens=True)


def llama_cpp(folder: Path, questions: list[Question], base: str) -> Iterator[str]:
    """A GGUF file, by llama.cpp."""
    from cyllama.llama import llama_cpp as native

    native.disable_logging()
    model = native.LlamaModel(path_model=str(next(folder.glob("*.gguf"))), params=native.LlamaModelParams(), verbose=False)
    words = model.get_vocab()
    settings = native.LlamaContextParams()
    settings.n_ctx = settings.n_batch = 1024
    settings.n_threads = settings.n_threads_batch = 1
    for question in questions:
        context = native.LlamaContext(model=model, params=settings, verbose=False)
        sampler = native.LlamaSampler()
        sampler.add_greedy()
        ids, said = words.tokenize(question["text"], words.get_add_bos(), True), []
        context.decode(native.llama_batch_get_one(ids))
        while len(said) < LONGEST and not words.is_eog(token := sampler.sample(context, -1)):
            said.append(token)
            context.decode(native.llama_batch_get_one([token], len(ids) + len(said) - 1))
        yield "".join(words.token_to_piece(token, 0, False) for token in said)
        context.close()


def llama_server(folder: Path, questions: list[Question], base: str) -> Iterator[str]:
    """A GGUF adapter on a file of its base, by llama.cpp's server code in the wheel `xllamacpp`: the binding above cannot
    switch an adapter on."""
    import xllamacpp as native  # pyright: ignore[reportMissingImports] - `pip install xllamacpp`, for this check alone

    settings: Any = native.CommonParams()
    adapter = native.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = str(next(folder.glob("*.gguf"))), 1.0
    settings.model.path, settings.lora_adapters, settings.n_ctx = base, [adapter], 1024
    settings.warmup = False
    server = native.Server(settings)
    for question in questions:
        asked = {"prompt": question["text"], "n_predict": LONGEST, "temperature": 0, "cache_prompt": False}
        yield server.handle_completions(asked)["choices"][0]["text"]


def onnx(folder: Path, questions: list[Question], base: str) -> Iterator[str]:
    """An ONNX folder by ONNX Runtime GenAI."""
    import importlib

    og: Any = importlib.import_module("onnxruntime_genai")
    model = og.Model(str(folder))
    words = og.Tokenizer(model)
    for question in questions:
        settings = og.GeneratorParams(model)
        ids = words.encode(question["text"])
        settings.set_search_options(max_length=len(ids) + LONGEST, do_sample=False)
        generator = og.Generator(model, settings)
        generator.append_tokens(ids)
        while not generator.is_done():
            generator.generate_next_token()
        yield _cut(words.decode(generator.get_sequence(0)[len(ids) :]))


def executorch(folder: Path, questions: list[Question], base: str) -> Iterator[str]:
    """A .pte file by ExecuTorch's runner for phones."""
    import executorch.kernels.quantized  # noqa: F401 - registers its operators
    from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner

    runner = TextLLMRunner(str(next(folder.glob("*.pte"))), str(folder / "tokenizer.json"))
    for question in questions:
        parts: list[str] = []
        settings = GenerationConfig(echo=False, temperature=0.0, max_new_tokens=LONGEST)
        runner.generate(question["text"], settings, token_callback=parts.append)
        runner.reset()
        yield _cut("".join(parts))


def litert(folder: Path, questions: list[Question], base: str) -> Iterator[str]:
    """A .litertlm file by LiteRT-LM, which writes the prompt itself."""
    import tempfile

    import litert_lm  # pyright: ignore[reportMissingImports] - it is in an environment of its own

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        file = str(next(folder.glob("*.litertlm")))
        with litert_lm.Engine(file, backend=litert_lm.Backend.CPU(thread_count=1), cache_dir=scratch) as engine:
            for question in questions:
                *before, last = question["messages"]
                greedy = litert_lm.SamplerConfig(top_k=1, temperature=1.0, seed=0)
                talk = engine.create_conversation(messages=before or None, sampler_config=greedy, max_output_tokens=LONGEST)
                with talk as conversation:
                    content = conversation.send_message(last)["content"]
                    yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


RUNTIMES: dict[str, Callable[[Path, list[Question], str], Iterator[str]]] = {
    "adapter": transformers,
    "merged": transformers,
    "merged_4bit": transformers,
    "tensorrt_llm": transformers,
    "gguf": llama_cpp,
    "gguf_adapter": llama_server,
    "onnx": onnx,
    "executorch": executorch,
    "litert": litert,
}
"""Core ML runs on Apple's devices only."""


def _cut(text: str) -> str:
    """An answer without the end mark that a runtime leaves in it."""
    return text.partition("<|im_end|>")[0]


def main(kind: str, folder: str, questions: str, base: str = "") -> None:
    """Print each answer as a JSON line."""
    for answer in RUNTIMES[kind](Path(folder), json.loads(Path(questions).read_text("utf-8")), base):
        print(json.dumps({"answer": answer.strip()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
