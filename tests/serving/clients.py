"""Real clients of OpenAI's API against a running server: `python clients.py CLIENT URL KEY MODEL TOKENIZER`.

It needs nothing of the studio, so that it runs in an environment of its own (the `clients` extra). Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

QUESTION = [{"role": "user", "content": "What colour is the sky?"}]


def openai(url: str, key: str, model: str, tokenizer: str) -> dict[str, Any]:
    import openai
    import pydantic

    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    whole = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=20)
    parts = list(
        client.chat.completions.create(
            model=model, messages=QUESTION, max_tokens=20, stream=True, stream_options={"include_usage": True}
        )
    )
    streamed = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)

    class Thing(pydantic.BaseModel):
        colour: bool

    parsed = client.chat.completions.parse(model=model, messages=QUESTION, response_format=Thing, max_tokens=30)
    plain = client.completions.create(model=model, prompt="The sky is", max_tokens=5, logprobs=2)
    refused = {}
    for name, ask in {
        "NotFoundError": lambda: client.chat.completions.create(model="nobody", messages=QUESTION),
        "BadRequestError": lambda: client.embeddings.create(model=model, input="x"),
        "AuthenticationError": lambda: openai.OpenAI(base_url=url, api_key="sk-wrong", max_retries=0).models.list(),
    }.items():
        try:
            ask()
        except openai.APIStatusError as problem:
            refused[name] = type(problem).__name__
    return {
        "version": openai.__version__,
        "answer": whole.choices[0].message.content,
        "streamed": streamed,
        "usage": parts[-1].usage.total_tokens == whole.usage.total_tokens,
        "parsed": isinstance(parsed.choices[0].message.parsed, Thing),
        "logprobs": len(plain.choices[0].logprobs.tokens),
        "models": [item.id for item in client.models.list()],
        "refused": all(name == found for name, found in refused.items()) and len(refused) == 3,
    }


def litellm(url: str, key: str, model: str, tokenizer: str) -> dict[str, Any]:
    from importlib.metadata import version

    import litellm

    asked = {"model": f"openai/{model}", "api_base": url, "api_key": key, "messages": QUESTION, "max_tokens": 20}
    whole = litellm.completion(**asked)
    streamed = "".join(part.choices[0].delta.content or "" for part in litellm.completion(**asked, stream=True))
    too_long = [{"role": "user", "content": "word " * 20_000}]
    try:
        litellm.completion(**{**asked, "messages": too_long})
        refused = ""
    except litellm.ContextWindowExceededError as problem:
        refused = type(problem).__name__
    return {
        "version": version("litellm"), "answer": whole.choices[0].message.content, "streamed": streamed, "too_long": refused,
    }  # fmt: skip


def langchain(url: str, key: str, model: str, tokenizer: str) -> dict[str, Any]:
    from importlib.metadata import version

    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def get_price(size: bool) -> str:
        """Find the price."""
        return "24 euro"

    chat = ChatOpenAI(base_url=url, api_key=key, model=model, max_tokens=20)
    streamed = "".join(str(part.content) for part in chat.stream("What colour is the sky?"))
    bound = ChatOpenAI(base_url=url, api_key=key, model=model, max_tokens=60).bind_tools([get_price], tool_choice="get_price")
    calls = bound.invoke("What is the price?").tool_calls
    return {
        "version": version("langchain-openai"),
        "answer": chat.invoke("What colour is the sky?").content,
        "streamed": streamed,
        "calls": [call["name"] for call in calls],
    }


def lm_eval(url: str, key: str, model: str, tokenizer: str) -> dict[str, Any]:
    """One generative task over chat completions, one multiple-choice task (log-likelihoods) over completions."""
    os.environ["OPENAI_API_KEY"] = key
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    from importlib.metadata import version

    import lm_eval
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as folder:
        rows = [{"q": "What colour is the sky?", "a": "blue", "choices": ["blue", "zx qv"], "gold": 0}] * 2
        file = Path(folder) / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        common = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {file}}}}}\ntest_split: test\n"
        common += "doc_to_text: '{{q}}'\n"
        (Path(folder) / "tiny_gen.yaml").write_text(
            f"task: tiny_gen\noutput_type: generate_until\n{common}doc_to_target: '{{{{a}}}}'\n"
            "generation_kwargs: {until: ['\\n'], max_gen_toks: 20, temperature: 0}\n"
            "metric_list: [{metric: exact_match, ignore_punctuation: true}]\n"
        )
        (Path(folder) / "tiny_choice.yaml").write_text(
            f"task: tiny_choice\noutput_type: multiple_choice\n{common}doc_to_choice: choices\ndoc_to_target: gold\n"
            "metric_list: [{metric: acc}]\n"
        )
        tasks = TaskManager(include_path=folder, include_defaults=False)
        chat = lm_eval.simple_evaluate(
            model="local-chat-completions",
            model_args={"base_url": f"{url}/chat/completions", "model": model, "num_concurrent": 1, "max_retries": 1},
            tasks=["tiny_gen"], task_manager=tasks, apply_chat_template=True, bootstrap_iters=0, log_samples=True,
        )  # fmt: skip
        text = lm_eval.simple_evaluate(
            model="local-completions",
            model_args={
                "base_url": f"{url}/completions", "model": model, "tokenizer": tokenizer, "tokenizer_backend": "huggingface",
                "num_concurrent": 1, "max_retries": 1, "max_length": 512,
            },
            tasks=["tiny_choice"], task_manager=tasks, bootstrap_iters=0, batch_size=2,
        )  # fmt: skip
    return {
        "version": version("lm-eval"),
        "answer": chat["samples"]["tiny_gen"][0]["resps"][0][0],
        "accuracy": text["results"]["tiny_choice"]["acc,none"],
    }


if __name__ == "__main__":
    known = {"openai": openai, "litellm": litellm, "langchain": langchain, "lm-eval": lm_eval}
    print(json.dumps(known[sys.argv[1]](*sys.argv[2:])))
