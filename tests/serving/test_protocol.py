"""What a client of OpenAI's API may rely on."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any

import httpx
import pytest

from studio.core.messages import ChatMessage, chat_message
from tests.serving.conftest import Server

pytestmark = pytest.mark.torch

LONG = "Tell me a story about a dog and a stone."
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "name": {"type": "string", "maxLength": 6}},
    "required": ["colour", "name"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_price",
        "description": "Find the price.",
        "parameters": {
            "type": "object",
            "properties": {"size": {"enum": ["small", "large"]}},
            "required": ["size"],
            "additionalProperties": False,
        },
    },
}
WRONG = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "sting"}}}
BOTH = pytest.mark.parametrize("model", ["shop", "gguf"])


def talk(text: str) -> list[ChatMessage]:
    return [chat_message("user", text)]


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def said(found: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in found for choice in chunk["choices"])


def text(answer: dict[str, Any], place: int = 0) -> str:
    return answer["choices"][place]["message"]["content"]


@BOTH
def test_a_stream_says_what_the_whole_answer_says(server: Server, model: str) -> None:
    whole = server.chat("Who are you?", model, max_tokens=30)
    answer = server.post(
        model=model, messages=talk("Who are you?"), max_tokens=30, stream=True, stream_options={"include_usage": True}
    )
    found = chunks(answer)
    assert said(found) == text(whole)
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert found[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert found[-1]["usage"] == whole["usage"]
    assert answer.headers["x-request-id"].startswith("req_")


@BOTH
def test_a_stop_string_ends_the_answer_wherever_tokens_begin(server: Server, model: str) -> None:
    whole = text(server.chat(LONG, model, max_tokens=40))
    middle = len(whole) // 2
    stop = whole[middle : middle + 5]
    cut = whole[: whole.index(stop)]
    answer = server.chat(LONG, model, max_tokens=40, stop=["qqq", stop])
    assert (text(answer), answer["choices"][0]["finish_reason"]) == (cut, "stop")
    assert said(chunks(server.post(model=model, messages=talk(LONG), max_tokens=40, stop=stop, stream=True))) == cut


@BOTH
def test_a_seed_repeats_an_answer_and_choices_differ(server: Server, model: str) -> None:
    asked = {"temperature": 1.5, "seed": 7, "n": 3, "max_tokens": 12}
    one, two = server.chat(LONG, model, **asked), server.chat(LONG, model, **asked)
    assert [text(one, place) for place in range(3)] == [text(two, place) for place in range(3)]
    assert len({text(one, place) for place in range(3)}) > 1
    assert one["usage"]["completion_tokens"] <= 36


@BOTH
def test_an_answer_follows_its_json_schema(server: Server, model: str) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA}}
    answer = server.chat(LONG, model, response_format=format_, max_tokens=60)
    value = json.loads(text(answer))
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert value["colour"] in ("red", "blue")
    assert len(value["name"]) <= 6


@BOTH
def test_a_call_that_is_asked_for_comes_as_a_tool_call(server: Server, model: str) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required", "max_tokens": 60}
    choice = server.chat("What is the price?", model, **asked)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]
    assert (call["type"], call["function"]["name"]) == ("function", "get_price")
    assert json.loads(call["function"]["arguments"])["size"] in ("small", "large")
    found = chunks(server.post(model=model, messages=talk("What is the price?"), stream=True, **asked))
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta] == [call["function"]]
    assert said(found) == ""


def test_a_tool_s_result_can_be_answered(server: Server) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_price", "arguments": '{"size": "small"}'}}
    messages = [
        *talk("What is the price?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"price": "24 euro"}'},
    ]
    assert server.post(model="shop", messages=messages, tools=[TOOL], max_tokens=8).status_code == 200


@BOTH
def test_logprobs_are_the_model_s_own(server: Server, model: str) -> None:
    content = server.chat("Hello!", model, logprobs=True, top_logprobs=3, max_tokens=3)["choices"][0]["logprobs"]["content"]
    assert len(content) == 3
    for entry in content:
        assert len(entry["top_logprobs"]) == 3
        assert entry["top_logprobs"][0]["token"] == entry["token"]  # greedy
        assert entry["logprob"] <= 0
        assert bytes(entry["bytes"]).decode() == entry["token"]


@BOTH
def test_a_prompt_can_be_echoed_with_its_logprobs(server: Server, model: str) -> None:
    asked = {"model": model, "prompt": "Hello! How are you?", "echo": True, "logprobs": 1, "max_tokens": 1}
    choice = server.post("/completions", **asked).json()["choices"][0]
    assert choice["text"].startswith("Hello! How are you?")
    told = choice["logprobs"]
    assert told["token_logprobs"][0] is None
    assert "".join(told["tokens"][:-1]) == "Hello! How are you?"
    assert all(value <= 0 for value in told["token_logprobs"][1:])
    ids = server.models[model].tokenizer.plain("Hello! How are you?")
    assert len(told["tokens"]) == len(ids) + 1
    again = server.post("/completions", **{**asked, "prompt": [ids, ids]}).json()["choices"]
    assert [item["logprobs"]["token_logprobs"] for item in again] == [told["token_logprobs"]] * 2


def test_penalties_and_bias_change_what_is_chosen(server: Server) -> None:
    first = server.chat("Hello!", "shop", max_tokens=1, logprobs=True)["choices"][0]
    token = server.models["shop"].tokenizer.plain(first["message"]["content"])[0]
    assert text(server.chat("Hello!", "shop", max_tokens=1, logit_bias={str(token): -100})) != first["message"]["content"]
    assert text(server.chat(LONG, "shop", max_tokens=40, frequency_penalty=2)) != text(server.chat(LONG, "shop", max_tokens=40))


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/chat/completions", {"model": "shoop", "messages": talk("x")}, 404, "`shop`, `desk`, `starter`, `gguf`"),
        ("/chat/completions", {"model": "shop", "messages": talk("word " * 700)}, 400, "maximum context length is 512 tokens"),
        ("/chat/completions", {"model": "shop", "messages": talk("x"), "max_tokens": 9999}, 400, "at most 300"),
        ("/chat/completions", {"model": "shop", "messages": talk("x"), "temprature": 1}, 400, "did you mean `temperature`"),
        ("/chat/completions", {"model": "shop", "messages": talk("x"), "temperature": 3}, 400, "temperature"),
        ("/chat/completions", {"model": "shop", "messages": []}, 400, "messages"),
        ("/chat/completions", {"model": "shop", "messages": talk("x"), "n": 999}, 400, "at most 128"),
        ("/chat/completions", {"model": "shop", "messages": talk("x"), "top_logprobs": 2}, 400, "logprobs"),
        ("/chat/completions", {"model": "shop", "messages": [{"role": "bot", "content": "x"}]}, 400, "'bot'"),
        (
            "/chat/completions",
            {"model": "shop", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "text only",
        ),
        (
            "/chat/completions",
            {"model": "shop", "messages": talk("x"), "response_format": WRONG},
            400,
            "grammar",
        ),
        ("/completions", {"model": "shop", "prompt": [999999]}, 400, "vocabulary"),
        ("/completions", {"model": "shop", "prompt": "x", "suffix": "y"}, 400, "`suffix` is not supported"),
        ("/embeddings", {"model": "shop", "input": "x"}, 400, "no embeddings"),
        ("/responses", {"model": "shop", "input": "x"}, 404, "use /v1/chat/completions"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_is_wrong(server: Server, path: str, body: dict[str, Any], status: int, says: str) -> None:
    answer = httpx.post(server.url + path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert says in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]


def test_what_is_no_json_or_too_large_is_refused(server: Server) -> None:
    url = server.url + "/chat/completions"
    assert httpx.post(url, content="{", headers={"content-type": "application/json"}).status_code == 400
    assert httpx.post(url, content="[1]", headers={"content-type": "application/json"}).status_code == 400
    assert httpx.post(url, data={"a": "b"}).status_code == 415
    assert httpx.post(url, content=b" " * (65 << 10), headers={"content-type": "application/json"}).status_code == 413
    assert httpx.get(url).status_code == 405


def test_a_body_that_never_says_its_length_is_bounded_too(server: Server) -> None:
    chunks = (b" " * 1024 for _ in range(65))
    answer = httpx.post(server.url + "/chat/completions", content=chunks, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize("host", ["[::1", "localhost:x"])
def test_a_malformed_host_is_a_bad_request(server: Server, host: str) -> None:
    answer = httpx.get(server.url + "/models", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_header")


@BOTH
def test_what_cannot_fit_is_refused_before_it_is_encoded(server: Server, model: str) -> None:
    begun = time.process_time()  # the server runs in this process
    for content in ("word " * 12_000, "x" * 60_000):
        answer = server.post(model=model, messages=talk(content))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
        assert error["message"].startswith("This model's maximum context length is 512 tokens. However, your messages")
    many = server.post(model=model, messages=talk("hi")[:1] * 2049)
    assert "at most 2048 here" in many.json()["error"]["message"]
    assert time.process_time() - begun < 1


@BOTH
def test_parameters_of_other_servers_are_taken(server: Server, model: str) -> None:
    asked = {"temperature": 1.0, "seed": 3, "max_tokens": 12}
    free = [text(server.chat(LONG, model, **{**asked, "seed": seed})) for seed in range(4)]
    greedy = text(server.chat(LONG, model, max_tokens=12))
    assert len(set(free)) > 1
    for settings in ({"top_k": 1}, {"min_p": 1.0}, {"top_k": 1, "top_p": 0.9}):
        assert text(server.chat(LONG, model, **asked, **settings)) == greedy
    assert text(server.chat(LONG, model, max_tokens=12, top_k=-1, min_p=0, repetition_penalty=1.0)) == greedy
    nothing = dict.fromkeys(("stream", "n", "top_k", "logprobs", "tools", "stop_token_ids", "chat_template_kwargs"))
    assert text(server.chat(LONG, model, max_tokens=12, **nothing)) == greedy
    assert text(server.chat(LONG, model, max_tokens=12, chat_template_kwargs={"enable_thinking": False})) == greedy


@BOTH
def test_stop_tokens_end_an_answer_and_ignore_eos_writes_past_its_end(server: Server, model: str) -> None:
    asked = {"max_tokens": 20, "logprobs": 1, "prompt": "The sky is"}
    whole = server.post("/completions", model=model, **asked).json()["choices"][0]
    ids = server.models[model].tokenizer.plain("The sky is" + whole["text"])[
        len(server.models[model].tokenizer.plain("The sky is")) :
    ]
    stopped = server.post("/completions", model=model, **asked, stop_token_ids=[ids[2]]).json()["choices"][0]
    assert (stopped["finish_reason"], len(stopped["logprobs"]["tokens"])) == ("stop", ids.index(ids[2]) + 1)
    past = server.post(model=model, messages=talk("Hello!"), max_tokens=150, ignore_eos=True).json()
    assert past["usage"]["completion_tokens"] == 150


def test_an_answer_may_be_as_long_as_the_context_allows(server: Server) -> None:
    assert server.post(model="shop", messages=talk("Hello!"), max_tokens=301).status_code == 400  # this server was given 300
    from studio.serving.limits import Limits

    assert Limits().tokens is None
    assert Limits().default_tokens == 2048


@BOTH
@pytest.mark.parametrize(
    "choice", [{"type": "function", "function": "f"}, {"type": "function", "function": ["f"]}, {"function": {}}]
)
def test_a_tool_choice_of_another_form_is_a_bad_request(server: Server, model: str, choice: Any) -> None:
    answer = server.post(model=model, messages=talk("x"), tools=[TOOL], tool_choice=choice)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tool_choice")


@pytest.mark.parametrize("parameters", [5, ["properties"], "properties"])
def test_parameters_that_are_no_schema_are_a_bad_request(server: Server, parameters: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    answer = server.post(model="shop", messages=talk("x"), tools=[tool], tool_choice="required")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[0].function.parameters")


@BOTH
def test_a_call_that_is_cut_at_the_limit_comes_as_a_call_as_far_as_it_goes(server: Server, model: str) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required"}
    whole = server.chat("What is the price?", model, **asked, max_tokens=60)["choices"][0]["message"]["tool_calls"][0]
    for limit in range(8, 40):
        choice = server.chat("What is the price?", model, **asked, max_tokens=limit)["choices"][0]
        if choice["finish_reason"] == "length" and choice["message"].get("tool_calls"):
            call = choice["message"]["tool_calls"][0]["function"]
            assert call["name"] == "get_price"
            assert whole["function"]["arguments"].startswith(call["arguments"])
            return
    raise AssertionError("no limit cut the call")


def test_an_everyday_schema_is_followed_as_far_as_it_can_be_and_refused_where_it_must_be_strict(server: Server) -> None:
    schema = {
        "type": "object", "required": ["kinds"], "additionalProperties": False,
        "properties": {"kinds": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "maxItems": 2}},
    }  # fmt: skip

    def asked(strict: bool) -> dict[str, Any]:
        return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": strict}}

    answer = server.chat("Name some.", "shop", response_format=asked(False), max_tokens=40)
    assert set(json.loads(text(answer))["kinds"]) <= {"a", "b"}
    refused = server.post(model="shop", messages=talk("x"), response_format=asked(True))
    assert refused.status_code == 400
    assert "uniqueItems" in refused.json()["error"]["message"]


def test_a_page_that_rebinds_its_name_to_this_machine_is_refused(server: Server) -> None:
    assert httpx.get(server.url + "/models", headers={"host": "evil.example"}).status_code == 421


def slow_down(server: Server, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Every further token takes at least so long: an answer lasts longer than a busy machine makes its client wait."""
    engine = server.models["shop"].scheduler.engine
    advance = engine.advance
    monkeypatch.setattr(engine, "advance", lambda jobs: (time.sleep(seconds), advance(jobs))[1])


def test_a_client_that_leaves_ends_its_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(server, monkeypatch, 0.3)  # a minute and a half, of which a step passes here
    scheduler = server.models["shop"].scheduler
    asked = {"model": "shop", "messages": talk(LONG), "max_tokens": 300, "stream": True, "logit_bias": {"2": -100}}
    with httpx.stream("POST", server.url + "/chat/completions", json=asked) as answer:
        first = next(answer.iter_lines())
        assert scheduler.active == 1, (answer.status_code, first)
    until = time.monotonic() + 60
    while scheduler.active and time.monotonic() < until:
        time.sleep(0.02)
    assert scheduler.active == 0
    metrics = httpx.get(server.url.removesuffix("/v1") + "/metrics").text
    assert 'model="shop",path="/v1/chat/completions",status="499"' in metrics


def test_more_than_the_queue_holds_is_refused_with_429(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(server, monkeypatch, 0.03)
    asked = {"model": "shop", "messages": talk(LONG), "max_tokens": 60, "logit_bias": {"2": -100}}
    found: list[int] = []

    def ask() -> None:
        answer = server.post(**asked)
        found.append(answer.status_code)
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["code"] == "queue_full"

    asking = [threading.Thread(target=ask) for _ in range(14)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(set(found)) == [200, 429]
    assert found.count(200) >= 8  # those the limits have room for


def test_two_streams_are_written_in_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(server, monkeypatch, 0.03)
    order: list[str] = []
    together = threading.Barrier(2)

    def ask(model: str) -> None:
        asked = {"model": model, "messages": talk(LONG), "max_tokens": 60, "stream": True, "logit_bias": {"2": -100}}
        together.wait()
        with httpx.stream("POST", server.url + "/chat/completions", json=asked, timeout=300) as answer:
            order.extend(model for line in answer.iter_lines() if "content" in line)

    asking = [threading.Thread(target=ask, args=(model,)) for model in ("shop", "desk")]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    turns = sum(one != two for one, two in itertools.pairwise(order))
    assert turns > 20


def test_models_health_and_metrics_are_told(server: Server) -> None:
    models = httpx.get(server.url + "/models").json()["data"]
    assert [model["id"] for model in models] == ["shop", "desk", "starter", "gguf"]
    assert models[0]["parent"] == "starter"
    assert httpx.get(server.url + "/models/desk").json()["max_model_len"] == 512
    root = server.url.removesuffix("/v1")
    assert httpx.get(root + "/ready").json() == {"status": "ready"}
    assert httpx.get(root + "/health").status_code == 200
    told = httpx.get(root + "/metrics").text
    for name in (
        "studio_requests_total",
        "studio_first_token_seconds_bucket",
        "studio_tokens_per_second_bucket",
        "studio_queue",
    ):
        assert name in told
