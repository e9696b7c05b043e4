"""The owner sees every other server that the studio asks, whatever asks it."""

from __future__ import annotations

from pathlib import Path

from studio.app import hosts
from studio.benchmark.result import Item, Result
from studio.remote.answers import FILE, Answers
from studio.remote.completion import Completion, Usage
from studio.runs import folder as folders
from studio.spec import parse
from tests.benchmark.records import CONDITIONS, MACHINE


def test_judges_teachers_measurements_and_whoever_has_answered_are_listed(tmp_path: Path) -> None:
    judge = {"model": "https://judge.example/v1#big", "price_in": 1, "price_out": 1}
    method = {"kind": "distil", "teacher": "https://teacher.example/v1#huge", "learn": "answers"}
    for more in ({"evaluation": {"judge": judge}}, {"training": {"method": method}}):
        folders.create(parse({"name": "bot", "data": {"train": "x.csv"}, **more}), tmp_path)
    damaged = folders.create(parse({"name": "bot", "data": {"train": "x.csv"}}), tmp_path)
    damaged.asked.write_text("[1, 2]")
    item = Item("api", "api", "bench.example")
    result = Result(id="20260101-000001", begun=1.0, state="done", settings=CONDITIONS, machine=MACHINE, items=[item])
    result.write(tmp_path / "bench" / f"{result.id}.json")
    kept = Answers(tmp_path / FILE)
    kept.put(
        "key", "compared.example:8443", "big", Completion(text="a", usage=Usage(prompt_tokens=1, completion_tokens=1), cost=0.0)
    )
    kept.close()
    found = {host: purpose for host, purpose, _ in hosts.in_use(tmp_path)}
    assert found["judge.example"].startswith("judge of bot-")
    assert found["teacher.example"].startswith("teacher of bot-")
    assert found["bench.example"] == "measurement 20260101-000001"
    assert found["compared.example"] == "answers kept from it"


def test_a_damaged_cache_of_answers_leaves_the_list_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage" * 100)
    assert [host for host, _, _ in hosts.in_use(tmp_path)] == ["huggingface.co", "api.wandb.ai"]
