"""Prices, the ceiling's ledger, the cache's file, and JSON within answers."""

from __future__ import annotations

import email.utils
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from studio.core.errors import SpecError, Stopped
from studio.core.records import RecordError
from studio.remote.answers import Answers
from studio.remote.ceiling import Ceiling, CeilingReached
from studio.remote.endpoint import Endpoint, Price
from studio.remote.prices import PriceUnknown, price_of, published_price
from studio.remote.refusals import message_in, retry_after
from studio.remote.structured import json_in


def test_the_users_own_price_goes_before_the_published_one() -> None:
    groq = Endpoint(url="https://api.groq.com/openai/v1", model="llama-3.3-70b-versatile")
    published = price_of(groq)
    assert published.input > 0
    assert published.output >= published.input
    own = Price(input=0.01, output=0.02)
    assert price_of(Endpoint(url=groq.url, model=groq.model, price=own)) == own


def test_the_published_price_is_the_hosts_own() -> None:
    mini = published_price(Endpoint(url="https://openrouter.ai/api/v1", model="openai/gpt-4o-mini"))
    assert mini
    assert 0 < mini.input < mini.output


def test_this_machine_is_free_and_the_unknown_is_asked_for() -> None:
    assert price_of(Endpoint(url="http://localhost:11434/v1", model="qwen3:8b")).free
    with pytest.raises(PriceUnknown) as caught:
        price_of(Endpoint(url="https://llm.example.com/v1", model="our-own"))
    assert "price: {input:" in caught.value.hint


def test_a_reservation_waits_for_others_and_is_refused_only_if_it_cannot_fit() -> None:
    ceiling = Ceiling(1.0)
    first = ceiling.reserve(0.7)
    threading.Timer(0.1, lambda: first.settle(0.2)).start()
    begun = time.monotonic()
    second = ceiling.reserve(0.7)
    assert time.monotonic() - begun >= 0.08
    second.settle(0.7)
    assert ceiling.spending.spent == pytest.approx(0.9)
    assert ceiling.left == pytest.approx(0.1)
    ceiling.reserve(0.1).release()
    ceiling.reserve(0.1).settle(0.1)
    with pytest.raises(CeilingReached, match="ceiling of 1"):
        ceiling.reserve(0.000001)


def test_a_ledger_holds_across_processes_and_their_ends(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    script = (
        "import sys, time; from pathlib import Path; from studio.remote.ceiling import Ceiling; "
        "ceiling = Ceiling(1.0, Path(sys.argv[1])); ceiling.reserve(0.2).settle(0.1); ceiling.reserve(0.6); "
        "print('reserved', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(ledger)], stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline()
    ceiling = Ceiling(1.0, ledger)
    now = ceiling.spending
    assert (round(now.spent, 6), round(now.reserved, 6), now.lost) == (0.1, 0.6, 0)
    stopping = time.monotonic() + 0.2
    with pytest.raises(Stopped):  # it waits while the other process lives
        ceiling.reserve(0.5, lambda: time.monotonic() > stopping)
    child.kill()
    child.communicate()
    now = ceiling.spending
    assert (round(now.spent, 6), now.reserved, round(now.lost, 6)) == (0.7, 0, 0.6)
    with pytest.raises(CeilingReached):
        ceiling.reserve(0.5)
    ceiling.close()


@pytest.mark.parametrize("usd", [0, -1, float("nan"), float("inf")])
def test_a_ceiling_is_a_positive_amount(usd: float) -> None:
    with pytest.raises(SpecError, match="positive amount"):
        Ceiling(usd)


def test_sums_are_exact() -> None:
    ceiling = Ceiling(0.3)
    for _ in range(3):
        ceiling.reserve(0.1).settle(0.1)
    assert ceiling.left == 0


def test_a_damaged_cache_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    file.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(RecordError) as caught:
        Answers(file)
    assert caught.value.where == str(file)
    assert "paid again" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": [1, 2]}\n```', {"a": [1, 2]}),
        ('Sure! Here it is:\n\n{"a": "x}"}\nAnything else?', {"a": "x}"}),
        ('[{"a": 1}]', [{"a": 1}]),
        ("The list [1] shows nothing", None),
        ("no JSON", None),
        ('{"a": ', None),
        ("", None),
    ],
)
def test_json_is_found_within_prose(text: str, value: object) -> None:
    assert json_in(text) == value


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("1.5") == 1.5
    later = retry_after(email.utils.formatdate(time.time() + 30, usegmt=True))
    assert later is not None
    assert 28 < later <= 31
    assert retry_after("") is None
    assert retry_after("soon") is None


def test_what_an_error_says() -> None:
    assert message_in('{"error": {"message": "no", "code": "bad"}}') == "no (bad)"
    assert message_in('{"error": "no"}') == "no"
    assert message_in("plain") == "plain"
