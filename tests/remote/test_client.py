"""The client of other models against an API on this machine that errs by a seed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import SpecError
from studio.remote.answers import Answers
from studio.remote.ceiling import Ceiling, CeilingReached
from studio.remote.client import Answered, Client
from studio.remote.completion import Request
from studio.remote.endpoint import Endpoint, Price
from studio.remote.refusals import Refused
from tests.remote.loopback import Faults, Loopback, loopback

PRICE = Price(input=1.0, output=4.0)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    cache = Answers(tmp_path / "answers.sqlite")
    yield cache
    cache.close()


def endpoint(api: Loopback, price: Price | None = None) -> Endpoint:
    return Endpoint(url=api.url, model="canned", price=price)


def asked(text: str, **values: Any) -> Request:
    return Request([{"role": "user", "content": text}], **{"max_tokens": 64, **values})


def good(outcomes: list[Answered]) -> list[Answered]:
    return [item for item in outcomes if item.completion]


def test_an_answer_says_what_it_took() -> None:
    with loopback("Paris is the capital.", served_model="canned-2026-01") as api, Client(endpoint(api)) as client:
        found = client.complete([{"role": "user", "content": "Capital of France?"}], max_tokens=32, logprobs=True)
    assert (found.text, found.finish_reason, found.served_model, found.cached) == (
        "Paris is the capital.", "stop", "canned-2026-01", False,
    )  # fmt: skip
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.estimated) == (9, 6, False)
    assert found.cost == 0
    assert found.latency_s > 0
    assert found.top_logprobs
    assert found.top_logprobs[0].top == (("Paris", -0.1), ("?", -2.4))


def test_what_was_answered_once_is_never_paid_again(answers: Answers) -> None:
    outcomes: list[Answered] = []
    with loopback("yes") as api:
        for _ in range(2):
            with Client(endpoint(api, PRICE), ceiling=Ceiling(1), answers=answers) as client:
                outcomes = list(client.complete_all(asked(f"question {index % 3}") for index in range(9)))
                assert len(outcomes) == 9
        assert len(api.received) == 3
        assert all(item.completion and item.completion.cached and item.completion.paid == 0 for item in outcomes)
        assert outcomes[0].completion
        assert outcomes[0].completion.cost > 0, "what it cost when it was bought"
        with Client(endpoint(api), answers=answers) as client:
            client.answer(asked("question 1", seed=7))
            client.answer(asked("question 1", temperature=0.5))
        assert len(api.received) == 5, "another seed or temperature is another question"


@pytest.mark.slow
def test_nothing_answered_is_paid_again_after_a_kill(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from tests.remote.test_client import asked
        from studio.remote.answers import Answers
        from studio.remote.ceiling import Ceiling
        from studio.remote.client import Client
        from studio.remote.endpoint import Endpoint, Price
        home = Path(sys.argv[2])
        endpoint = Endpoint(url=sys.argv[1], model="canned", price=Price(input=1, output=4))
        ceiling = Ceiling(1, home / "ledger.sqlite")
        with Client(endpoint, ceiling=ceiling, answers=Answers(home / "answers.sqlite"), concurrency=4) as client:
            for _ in client.complete_all(asked(f"question {index}") for index in range(60)):
                print("one", flush=True)
    """
    with loopback("yes", Faults(seconds=0.02)) as api:
        command = [sys.executable, "-c", textwrap.dedent(script), api.url, str(tmp_path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert child.stdout
        for _ in range(20):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        time.sleep(0.1)
        before = len(api.bills)
        kept = Answers(tmp_path / "answers.sqlite")
        assert 20 <= kept.count() <= before <= kept.count() + 4, "at most the answers under way are lost"
        ceiling = Ceiling(1, tmp_path / "ledger.sqlite")
        now = ceiling.spending
        assert now.reserved == 0
        assert now.spent >= api.billed(1, 4), "what was under way counts as spent"
        with Client(endpoint(api, PRICE), ceiling=ceiling, answers=kept) as client:
            found = list(client.complete_all(asked(f"question {index}") for index in range(60)))
        assert len(api.bills) - before == sum(not item.completion.cached for item in found if item.completion)
        assert sum(item.completion.cached for item in found if item.completion) >= 20
        ceiling.close()
        kept.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [0.0005, 0.002, 0.01])
@pytest.mark.slow
def test_the_ceiling_is_never_exceeded_and_used_as_far_as_it_goes(seed: int, most: float) -> None:
    faults = Faults(seed, rate_limit=0.05, unavailable=0.05, dropped=0.03, without_usage=0.2, seconds=0.002, retry_after=0.01)
    ceiling = Ceiling(most)
    with loopback("a short answer " * 3, faults) as api:
        seen: list[Answered] = []
        with Client(endpoint(api, PRICE), ceiling=ceiling, concurrency=16) as client:
            outcomes = client.complete_all(asked(f"question {index}", max_tokens=40) for index in range(1000))
            with pytest.raises(CeilingReached, match="USD is reached"):
                seen.extend(outcomes)
        worst = client.price.cost(asked("question 999").most_prompt_tokens, 40)
        assert api.billed(1, 4) <= ceiling.spending.spent <= most
        assert most - ceiling.spending.spent < worst, "it stops only when the next request might not fit"
        assert len(seen) == len(good(seen)) > 0
        assert ceiling.spending.reserved == 0


def test_a_lost_answer_counts_in_full() -> None:
    ceiling = Ceiling(1)
    with loopback("yes", Faults(dropped=1.0)) as api:
        with Client(endpoint(api, PRICE), ceiling=ceiling, patience=0) as client, pytest.raises(Refused, match="not respond"):
            client.answer(asked("anybody there?"))
        assert 0 < api.billed(1, 4) <= ceiling.spending.lost == ceiling.spending.spent


def test_an_api_that_takes_a_request_and_stays_silent_is_said_to_and_the_request_counts_as_spent() -> None:
    ceiling = Ceiling(1)
    with (
        loopback("yes", Faults(seconds=0.4)) as api,
        Client(endpoint(api, PRICE), ceiling=ceiling, timeout=0.1, patience=0) as client,
        pytest.raises(Refused, match=r"sent no answer within 0\.1 seconds") as caught,
    ):
        client.answer(asked("anybody there?"))
    assert caught.value.fatal, "every other request would wait as long"
    assert "faster model" in caught.value.hint
    assert ceiling.spending.lost == ceiling.spending.spent > 0


@pytest.mark.parametrize(("faults", "said"), [(Faults(torn=1.0), "cannot be read"), (Faults(dropped=1.0), "not respond")])
def test_what_is_billed_and_gives_no_answer_is_asked_three_times_and_ends_the_work_with_the_second_request(
    monkeypatch: pytest.MonkeyPatch, faults: Faults, said: str
) -> None:
    monkeypatch.setattr("studio.remote.client._FIRST_PAUSE", 0.01)
    ceiling = Ceiling(1)
    with loopback("yes", faults) as api, Client(endpoint(api, PRICE), ceiling=ceiling, concurrency=1) as client:
        outcomes = client.complete_all(asked(f"question {index}") for index in range(50))
        if faults.torn:  # where nothing at all comes, no other request is tried
            first = next(outcomes)
            assert first.error
            assert said in first.error.message
        with pytest.raises(Refused, match=said):
            list(outcomes)
        assert len(api.received) == (6 if faults.torn else 3)
        assert 0 < api.billed(1, 4) <= ceiling.spending.lost


def test_rate_limits_and_failing_servers_are_waited_for() -> None:
    faults = Faults(seed=1, rate_limit=0.3, unavailable=0.2, retry_after=0.01)
    with loopback("yes", faults) as api, Client(endpoint(api), concurrency=8) as client:
        outcomes = list(client.complete_all(asked(f"question {index}") for index in range(60)))
        assert len(good(outcomes)) == 60
        assert len(api.received) > 80
        assert len(api.bills) == 60
        assert api.most_at_once <= 8
        assert sorted(item.index for item in outcomes) == list(range(60))


def test_a_wait_longer_than_patience_is_an_error() -> None:
    with loopback("yes", Faults(rate_limit=1.0, retry_after=500)) as api, Client(endpoint(api), patience=1) as client:
        with pytest.raises(Refused, match="429") as caught:
            client.answer(asked("now?"))
        assert "fewer requests" in caught.value.hint


@pytest.mark.parametrize(("status", "hint"), [(401, "valid key"), (402, "credit"), (404, "model's name")])
def test_what_every_request_would_meet_ends_the_work_at_once(status: int, hint: str) -> None:
    with loopback("yes", Faults(status=status)) as api, Client(endpoint(api), concurrency=2) as client:
        with pytest.raises(Refused) as caught:
            list(client.complete_all(asked(f"question {index}") for index in range(50)))
        assert hint in caught.value.hint
        assert len(api.received) <= 2


def test_one_request_that_is_refused_does_not_stop_the_others() -> None:
    with loopback("yes", Faults(status=413)) as api, Client(endpoint(api)) as client:
        outcomes = list(client.complete_all(asked(f"question {index}") for index in range(5)))
    assert len(outcomes) == 5
    assert all(isinstance(item.error, Refused) for item in outcomes)


@pytest.mark.parametrize(
    ("refuses", "sent"),
    [
        ((), "json_schema"),
        (("json_schema",), "json_object"),
        (("json_schema", "json_object"), None),
        (("response_format",), None),
    ],
)
def test_structured_output_falls_back_and_remembers(answers: Answers, refuses: tuple[str, ...], sent: str | None) -> None:
    with loopback(json.dumps({"city": "Paris"}), Faults(refuses=refuses, fenced=1.0)) as api:
        for index in range(2):
            with Client(endpoint(api), answers=answers) as client:
                found = client.answer(asked(f"Capital? {index}", schema=SCHEMA))
            assert found.value == {"city": "Paris"}
        last = api.received[-1]
        assert (last.get("response_format") or {}).get("type") == sent
        assert ("JSON schema" in last["messages"][-1]["content"]) == (sent != "json_schema")
        first = len(api.received)
        with Client(endpoint(api), answers=answers) as client:
            client.answer(asked("Capital? 3", schema=SCHEMA))
        assert len(api.received) == first + 1, "what a model takes is asked once per host and model"


def test_parameters_that_are_refused_by_name_are_left_out_or_renamed() -> None:
    faults = Faults(refuses=("temperature", "seed", "logprobs"))
    with loopback("yes", faults) as api, Client(endpoint(api)) as client:
        found = client.answer(asked("Is it?", seed=3, logprobs=True))
        assert found.text == "yes"
        assert found.top_logprobs is None
        assert not {"temperature", "seed", "logprobs"} & set(api.received[-1])


def test_missing_usage_is_estimated_and_marked() -> None:
    with loopback("word " * 20, Faults(without_usage=1.0)) as api:
        ceiling = Ceiling(1)
        with Client(endpoint(api, PRICE), ceiling=ceiling) as client:
            found = client.answer(asked("Say twenty words."))
        assert found.usage.estimated
        assert 0.5 < found.usage.completion_tokens / 25 < 2
        assert found.cost > 0
        assert ceiling.spending.spent >= api.billed(1, 4)


def test_an_answer_that_was_cut_off_is_not_complete() -> None:
    with loopback("one two three four five six", Faults(cut_off=1.0)) as api, Client(endpoint(api)) as client:
        found = client.answer(asked("Count."))
    assert found.finish_reason == "length"
    assert not found.complete


def test_stopping_sends_nothing_more_and_keeps_what_comes() -> None:
    with loopback("yes", Faults(seconds=0.02)) as api, Client(endpoint(api), concurrency=4) as client:
        seen: list[Answered] = []
        for item in client.complete_all((asked(f"question {index}") for index in range(500)), stop=lambda: len(seen) >= 10):
            seen.append(item)
        assert 10 <= len(seen) <= 14
        assert len(api.bills) == len(seen)


def test_a_client_whose_answers_were_not_all_read_goes_on() -> None:
    with loopback("yes", Faults(seconds=0.01)) as api, Client(endpoint(api), concurrency=4) as client:
        for _ in client.complete_all(asked(f"question {index}") for index in range(50)):
            break
        assert client.answer(asked("and now?")).text == "yes"
        assert len(list(client.complete_all(asked(f"more {index}") for index in range(5)))) == 5


def test_what_costs_money_needs_a_ceiling_and_a_known_price(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="no ceiling"):
        Client(Endpoint(url="https://api.groq.com/openai/v1", model="llama-3.3-70b-versatile"))
    with pytest.raises(SpecError, match="price of in-house at llm"):
        Client(Endpoint(url="https://llm.example.com/v1", model="in-house"), ceiling=Ceiling(1))
    Client(Endpoint(url="https://llm.example.com/v1", model="in-house", price=Price(input=0, output=0))).close()


def test_a_key_is_sent_to_its_host_and_is_nowhere_else(
    tmp_path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-" + "k3y" * 10
    monkeypatch.setenv("MY_TEACHER_KEY", key)
    with loopback("yes") as api:
        named = Endpoint(url=api.url, model="canned", key="MY_TEACHER_KEY", price=PRICE)
        with Client(named, ceiling=Ceiling(1, tmp_path / "ledger.sqlite"), answers=answers) as client:
            client.answer(asked("Who?"))
        assert api.headers[0]["authorization"] == f"Bearer {key}"
    answers.close()
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    with loopback("yes", Faults(status=401)) as api:
        named = Endpoint(url=api.url, model=key, key="MY_TEACHER_KEY")
        with Client(named) as client, pytest.raises(Refused) as caught:
            client.answer(asked("Who?"))
        assert key not in str(caught.value)
    monkeypatch.delenv("MY_TEACHER_KEY")
    with pytest.raises(SpecError, match="no key is set in MY_TEACHER_KEY"):
        Client(named)
    monkeypatch.setenv("OTHER", key)
    with pytest.raises(SpecError, match="unencrypted"):
        Client(Endpoint(url="http://llm.example.com/v1", model="m", key="OTHER", price=Price(input=0, output=0)))


def test_an_api_that_never_answered_is_given_up_soon_and_one_that_did_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.remote.client._UNREACHED", 0.0)
    nowhere = Endpoint(url="http://127.0.0.1:9/v1", model="m")
    with Client(nowhere) as client, pytest.raises(Refused, match="does not respond") as caught:
        client.complete([{"role": "user", "content": "a"}], max_tokens=5)
    assert caught.value.hint.startswith("Start the model's server")
    assert caught.value.where == "127.0.0.1:9"
    with loopback("yes", Faults(seed=1, unavailable=0.7)) as api, Client(endpoint(api)) as client:
        for text in "abc":
            assert client.complete([{"role": "user", "content": text}], max_tokens=5).text == "yes"
