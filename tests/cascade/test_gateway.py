"""The cascade as it is served: who answers what, what never leaves, what happens when the large model is down or too dear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from studio.app import feedback
from studio.cascade.calibration import Row, calibrate
from studio.cascade.escalated import Escalated
from studio.cascade.gateway import Gateway
from studio.cascade.questions import Right
from studio.cascade.record import Cascade
from studio.cascade.routing import PAUSE, Breaker, Rules
from studio.data import prepare
from studio.data.curation import store
from studio.data.settings import Data
from studio.http.shell import Shell
from studio.remote.ceiling import Ceiling
from studio.remote.client import Client
from studio.remote.completion import Request
from studio.remote.endpoint import Endpoint, Price
from studio.serving import access
from studio.serving.limits import Limits
from tests.remote.loopback import Faults, Loopback, loopback

SURE, UNSURE = "24 months", "well it may be this or that or something else I think"
"""The small model's answers: the canned API is as sure of every word, so that a long answer as a whole is unlikely."""


def small_answer(body: dict[str, Any]) -> str:
    return UNSURE if "hard" in body["messages"][-1]["content"] else SURE


def calibrated() -> Any:
    """A line between the two answers, on the probability of a whole answer."""
    sure, unsure = np.exp(-0.1 * len(SURE.split())), np.exp(-0.1 * len(UNSURE.split()))
    rows = [
        Row(
            question=str(place), reference="", answer="", right=bool(place % 2), kind="fresh", tokens=1, seconds=0.1,
            signals=dict.fromkeys(("mean_margin", "least_margin", "mean_logprob", "least_logprob"), 0.5)
            | {"sum_logprob": float(sure if place % 2 else unsure)},
        )
        for place in range(200)
    ]  # fmt: skip
    return calibrate(rows, 0.02)


@contextmanager
def gateway(
    rules: Rules | None = None,
    faults: Faults | None = None,
    budget: float | None = None,
    price: float = 0.0,
    keep: Escalated | None = None,
) -> Iterator[tuple[Gateway, Loopback, Loopback]]:
    with loopback(small_answer) as small, loopback("the large answer", faults) as large:
        endpoint = Endpoint(url=large.url, model="big", price=Price(input=price, output=price))
        cascade = Cascade(
            id="bot-0001", created=0, small="bot", large=endpoint, max_tokens=64,
            right=Right(metric="exact_match", at_least=1), calibration=calibrated(),
        )  # fmt: skip
        ceiling = Ceiling(budget) if budget is not None else None
        with (
            Client(Endpoint(url=small.url, model="bot")) as one,
            Client(endpoint, ceiling=ceiling, patience=0) as other,
        ):
            yield Gateway(cascade, one, other, rules or Rules(), keep, "Be brief."), small, large


def ask(found: Gateway, text: str) -> Any:
    return found.answer(Request([{"role": "user", "content": text}], 64, logprobs=True))


def test_what_the_small_model_is_sure_of_stays_local_and_the_rest_goes_to_the_large_one():
    with gateway() as (found, _, large):
        local, escalated = ask(found, "easy"), ask(found, "hard")
    assert (local.route, local.reason, local.completion.text) == ("local", "sure", SURE)
    assert (escalated.route, escalated.reason, escalated.completion.text) == ("large", "unsure", "the large answer")
    assert local.assessment.confidence > escalated.assessment.confidence
    assert len(large.received) == 1
    assert "logprobs" not in large.received[0]


def test_personal_data_never_leaves():
    with gateway(Rules(never=("pii",))) as (found, _, large):
        answer = ask(found, "a hard one from anna@example.com")
    assert (answer.route, answer.reason) == ("local", "personal data")
    assert large.received == []


def test_in_shadow_mode_the_large_model_answers_everything_and_what_would_stay_local_is_kept(tmp_path: Path):
    with keeping(tmp_path) as keep, gateway(Rules(shadow=True), keep=keep) as (found, *_):
        answers = [ask(found, "easy"), ask(found, "hard")]
    assert [(item.route, item.reason) for item in answers] == [("large", "shadow"), ("large", "unsure")]
    kept = feedback.list_feedback(home=tmp_path)[::-1]
    assert ["would have stayed local" in item.flag for item in kept] == [True, False]
    assert (kept[0].text, kept[0].correction, kept[0].by) == (SURE, "the large answer", "cascade bot-0001")


def test_without_being_asked_nothing_is_kept(tmp_path: Path):
    with gateway() as (found, *_):
        ask(found, "hard")
    with keeping(tmp_path) as keep, gateway(keep=keep) as (found, *_):
        found.answer(Request([{"role": "user", "content": "hard"}], 64, logprobs=True), store=False)
        ask(found, "easy")
    assert feedback.list_feedback(home=tmp_path) == []


def test_escalated_answers_that_were_kept_are_rows_and_pairs_on_the_desk_masked(tmp_path: Path):
    with keeping(tmp_path) as keep, gateway(keep=keep) as (found, *_):
        for place in range(3):
            ask(found, f"hard question {place} of anna@example.com")
    added = feedback.feedback_dataset("Escalated", home=tmp_path)
    assert (added.added, added.left_out) == (3, ())
    (file,) = store.named(tmp_path, added.reference).files
    rows = prepare.load_questions(file, Data(train=file))
    assert [row.answer for row in rows] == ["the large answer"] * 3
    assert "anna@example.com" not in Path(file).read_text()
    pairs = feedback.feedback_dataset("Escalated pairs", "pairs", home=tmp_path)
    (file,) = store.named(tmp_path, pairs.reference).files
    assert json.loads(Path(file).read_text().splitlines()[0])["rejected"][-1]["content"] == UNSURE


@contextmanager
def keeping(home: Path) -> Iterator[Escalated]:
    keep = Escalated(home, "bot-0001", "bot")
    yield keep
    keep.close()


def test_when_the_large_model_is_down_the_small_one_answers_and_the_large_one_rests():
    with gateway(faults=Faults(status=503)) as (found, _, large):
        answers = [ask(found, f"hard {place}") for place in range(3)]
    assert {(item.route, item.reason) for item in answers} == {("local", "large model down")}
    assert len(large.received) == 1, "it is not asked again at once"


def test_when_the_large_models_server_stops_the_small_one_answers_until_it_is_back():
    clock = [0.0]
    with gateway() as (found, _, large):
        found.breaker = Breaker(lambda: clock[0])
        assert ask(found, "hard before").route == "large"
        port = int(large.url.rpartition(":")[2].partition("/")[0])
        large.stop()
        down = ask(found, "hard while it is down")
        assert (down.route, down.reason, down.completion.text) == ("local", "large model down", UNSURE)
        with loopback("the large answer", port=port) as again:
            assert ask(found, "hard at once").reason == "large model down", "it rests"
            assert again.received == []
            clock[0] += PAUSE
            assert ask(found, "hard later").route == "large"


def test_when_the_budget_is_spent_everything_stays_local():
    with gateway(budget=0.01, price=50.0) as (found, _, large):
        answers = [ask(found, f"hard {place}") for place in range(20)]
        assert large.billed(50, 50) <= 0.01
    assert answers[-1].reason == "budget spent"
    assert answers[-1].completion.text == UNSURE


@pytest.fixture
def http() -> Iterator[Any]:
    """`post(**body)` through the whole application, shell and all."""
    import asyncio

    with gateway() as (found, *_):
        app = Shell(found.application(), access.rules(None, {"localhost"}, Limits(), found.metrics.http))

        def call(method: str, path: str, **values: Any) -> httpx.Response:
            async def once() -> httpx.Response:
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                    return await client.request(method, path, **values)

            return asyncio.run(once())

        yield call


def body(text: str, **values: Any) -> dict[str, Any]:
    return {"model": "cascade", "messages": [{"role": "user", "content": text}], **values}


def test_route_confidence_and_cost_stand_in_headers_and_answer(http: Any):
    done = http("POST", "/v1/chat/completions", json=body("hard"))
    assert done.status_code == 200, done.text
    about = done.json()["studio"]
    assert about["route"] == done.headers["x-studio-route"] == "large"
    assert float(done.headers["x-studio-confidence"]) == about["confidence"]
    assert done.headers["x-studio-cost"] == str(about["cost"])
    assert done.json()["choices"][0]["message"]["content"] == "the large answer"
    assert done.json()["usage"]["total_tokens"] > 0


def test_a_stream_ends_with_the_route_and_done(http: Any):
    done = http("POST", "/v1/chat/completions", json=body("easy", stream=True, stream_options={"include_usage": True}))
    events = [line.removeprefix("data: ") for line in done.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]) == SURE
    assert any(chunk.get("studio", {}).get("route") == "local" for chunk in chunks)
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_metrics_count_routes_and_cost(http: Any):
    http("POST", "/v1/chat/completions", json=body("easy"))
    http("POST", "/v1/chat/completions", json=body("hard"))
    text = http("GET", "/metrics").text
    assert 'studio_cascade_requests_total{reason="sure",route="local"} 1.0' in text
    assert 'studio_cascade_requests_total{reason="unsure",route="large"} 1.0' in text
    assert "studio_cascade_drift 0.0" in text
    assert 'studio_requests_total{model="cascade",path="/v1/chat/completions",status="200"} 2.0' in text


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"stop": ["\n"]}, "stop"),
        ({"model": "other"}, "model"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_a_cascade_does_not_take_is_refused_by_name(http: Any, values: dict[str, Any], param: str):
    done = http("POST", "/v1/chat/completions", json=body("easy", **values))
    assert done.status_code in (400, 404)
    assert done.json()["error"]["param"] == param


def test_health_and_models_say_what_is_served(http: Any):
    assert http("GET", "/health").json() == {"status": "ok", "drift": "", "large": "ok"}
    assert http("GET", "/v1/models").json()["data"][0]["large"] == "big"
    assert http("GET", "/nowhere").status_code == 404


def test_both_models_are_asked_under_the_trained_system_prompt(http: Any):
    with gateway() as (found, small, large):
        asked = found._request(_chat(body("hard")), body("hard"))
        found.answer(asked)
    assert small.received[0]["messages"][0] == large.received[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def _chat(values: dict[str, Any]) -> Any:
    from studio.serving.requests import ChatRequest, parse

    return parse(ChatRequest, values)
