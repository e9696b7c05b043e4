"""Answers are collected only where whoever serves turned it on, whole ones only, masked, and may be rated by clients."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.core.messages import chat_message
from studio.feedback.records import CollectedAnswer
from studio.feedback.store import Feedback
from studio.serving.application import Api, Dispatcher
from studio.serving.collecting import Collector
from studio.serving.errors import ApiError
from studio.serving.metrics import Metrics
from tests.serving.conftest import Server
from tests.serving.test_protocol import TOOL, chunks, said, talk, text


def collected(home: Path) -> list[CollectedAnswer]:
    with Feedback(home) as feedback:
        return list(feedback.find())


def rate(server: Server, **values: Any) -> httpx.Response:
    return server.post("/feedback", **values)


@pytest.mark.torch
def test_whole_and_streamed_answers_are_kept_and_rated_by_their_id(server: Server) -> None:
    question = "Who are you? Write to jo@example.com."
    whole = server.chat(question, "desk", max_tokens=8, n=2, temperature=1.0, seed=3)
    stream = server.post(model="desk", messages=talk(question), max_tokens=8, stream=True)
    rated = rate(server, id=whole["id"], choice=1, rating="bad", correction="A desk. jo@example.com asked.", flag="rude")
    assert rated.status_code == 200, rated.text
    assert rated.json() == {
        "object": "feedback", "id": f"{whole['id']}:1", "rating": "bad", "flag": "rude",
        "correction": "A desk. <EMAIL_1> asked.",
    }  # fmt: skip
    third, second, first = collected(server.home)[:3]
    assert [item.text for item in (first, second, third)] == [text(whole), text(whole, 1), said(chunks(stream))]
    assert (first.key, second.key, second.correction) == (whole["id"], f"{whole['id']}:1", "A desk. <EMAIL_1> asked.")
    assert [turn["content"] for turn in third.messages] == ["Who are you? Write to <EMAIL_1>."]
    assert (third.origin, third.model, third.run, third.index, third.masked) == (
        "served",
        "desk",
        "desk-1",
        "manuals",
        ("EMAIL",),
    )


@pytest.mark.torch
def test_what_is_not_to_be_kept_is_not_kept(server: Server) -> None:
    before = len(collected(server.home))
    server.chat("Not collected: another model.", "shop", max_tokens=2)
    server.chat("Not collected: the client says so.", "desk", max_tokens=2, store=False)
    with httpx.stream(
        "POST", server.url + "/chat/completions",
        json={"model": "desk", "messages": talk("Not collected: nobody read it."), "max_tokens": 200, "stream": True},
    ) as answer:  # fmt: skip
        next(answer.iter_lines())
    server.chat("Collected.", "desk", max_tokens=2)
    rate(server, id="chatcmpl-x", rating="good")  # it is answered after all that was to be written
    assert [item.question for item in collected(server.home)][: -before or None] == ["Collected."]
    models = {item["id"]: item.get("collecting") for item in httpx.get(server.url + "/models").json()["data"]}
    assert models == {"shop": None, "desk": True, "starter": None, "gguf": None}


@pytest.mark.torch
def test_a_call_of_a_function_is_kept_with_its_tools(server: Server) -> None:
    called = server.chat("The price of a small one?", "desk", tools=[TOOL], tool_choice="required", max_tokens=60)
    rate(server, id=called["id"], rating="good")
    item = collected(server.home)[0]
    assert item.answer.get("tool_calls") == called["choices"][0]["message"]["tool_calls"]
    assert item.tools[0]["function"]["name"] == "get_price"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("values", "status", "says"),
    [
        ({}, 400, "`id`"),
        ({"id": "chatcmpl-none", "rating": "good"}, 404, "no collected answer"),
        ({"id": "chatcmpl-none", "rating": "fine"}, 400, "expected good or bad"),
        ({"id": "chatcmpl-none", "stars": 5}, 400, "`stars`"),
        ({"id": "chatcmpl-none", "choice": -1, "rating": "good"}, 400, "`choice`"),
        ({"id": "chatcmpl-none", "correction": 3}, 400, "`correction`"),
    ],
)
def test_wrong_feedback_is_refused_by_field(server: Server, values: dict[str, Any], status: int, says: str) -> None:
    done = rate(server, **values)
    assert (done.status_code, says in done.json()["error"]["message"]) == (status, True), done.text


def test_a_server_that_collects_nothing_says_so() -> None:
    from starlette.testclient import TestClient

    with TestClient(Api({}, Metrics({}), Dispatcher()).application()) as client:
        answer = client.post("/v1/feedback", json={"id": "chatcmpl-1", "rating": "good"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_collecting")


def test_an_answer_that_cannot_be_written_is_said_so_and_the_next_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(tmp_path, {})
    add = Feedback.add
    full = [OSError("no space left on device")]
    monkeypatch.setattr(Feedback, "add", lambda *values: (_ for _ in ()).throw(full.pop()) if full else add(*values))
    with caplog.at_level(logging.WARNING, "studio.serve"):
        for number in range(2):
            collector.collect(f"chatcmpl-{number}", "bot", talk("q"), [], chat_message("assistant", "a"))
        collector.close()
    assert "not collected: no space left on device" in caplog.text
    assert [item.key for item in collected(tmp_path)] == ["chatcmpl-1"]


def test_answers_that_come_faster_than_the_disk_takes_them_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("studio.serving.collecting.WAITING", 2)
    collector = Collector(tmp_path, {})
    collector._thread.submit(time.sleep, 0.3)
    with caplog.at_level(logging.WARNING, "studio.serve"):
        for number in range(3):
            collector.collect(f"chatcmpl-{number}", "bot", talk("q"), [], chat_message("assistant", "a"))
    collector.close()
    assert "wait to be written" in caplog.text
    assert len(collected(tmp_path)) == 2


def test_a_correction_that_is_far_too_long_is_refused(tmp_path: Path) -> None:
    collector = Collector(tmp_path, {})
    collector.collect("chatcmpl-1", "bot", talk("q"), [], chat_message("assistant", "a"))
    with pytest.raises(ApiError, match="20,001 characters") as refused:
        asyncio.run(collector.say({"id": "chatcmpl-1", "correction": "x" * 20_001}))
    assert refused.value.status == 400
    collector.close()
