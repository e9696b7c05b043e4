"""A server with an index: answers are written from passages, and carry their sources, streamed or whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from studio.models.settings import Model
from tests.tiny import THREADS

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The starter behind an index of two passages, searched by words."""
    from studio.app import documents, indexes
    from studio.http.server import listen
    from studio.retrieval.grounding import Grounding
    from studio.serving import server as servers
    from studio.serving.application import Dispatcher
    from studio.serving.assemble import Source, assemble
    from studio.serving.limits import Limits

    home = tmp_path_factory.mktemp("grounded")
    file = home / "tools.md"
    file.write_text("# Drill\n\nThe drill turns 900 times a minute.\n\n# Saw\n\nThe saw cuts oak and ash.\n")
    documents.add_documents("tools", file, home=home)
    grounding = Grounding(indexes.build_index("tools", "tools", home=home))
    limits, dispatcher, listener = Limits(drain=1), Dispatcher(), listen("127.0.0.1", 0)
    held = Model(name="starter", quantization="none", dtype="fp32")
    models = assemble([Source("starter", "starter", held, threads=THREADS)], limits, "cpu", 1, dispatcher)
    app = servers.application(
        {name: replace(one, grounding=grounding) for name, one in models.items()}, dispatcher, limits, None
    )
    ready, ended = threading.Event(), threading.Event()
    running = threading.Thread(target=servers.serve, args=(app, listener, limits, ready.set, ended), daemon=True)
    running.start()
    assert ready.wait(120)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    ended.set()
    running.join(20)


def ask(url: str, **values: Any) -> httpx.Response:
    question = [{"role": "user", "content": "How often does the drill turn?"}]
    return httpx.post(f"{url}/chat/completions", json={"model": "starter", "messages": question, **values}, timeout=600)


def test_an_answer_carries_its_sources(url: str) -> None:
    plain = ask(url, max_tokens=8).json()
    assert plain["usage"]["prompt_tokens"] > 60  # the passages are in the prompt
    citations = plain["choices"][0]["message"]["citations"]
    assert all(set(item) >= {"passage", "document", "page", "quote", "number"} for item in citations)


def test_a_stream_ends_with_the_sources(url: str) -> None:
    lines = [line[6:] for line in ask(url, max_tokens=8, stream=True).text.splitlines() if line.startswith("data: {")]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines]
    assert "citations" in deltas[-1]
    assert not any("citations" in delta for delta in deltas[:-1])


def test_an_answer_that_was_forced_to_quote_cites_the_passage(url: str) -> None:
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"const": "The drill turns 900 times a minute [1]."}},
    }
    (citation,) = ask(url, max_tokens=60, response_format=schema).json()["choices"][0]["message"]["citations"]
    assert (citation["document"], citation["page"], citation["quote"]) == (
        "tools.md",
        None,
        "The drill turns 900 times a minute.",
    )
