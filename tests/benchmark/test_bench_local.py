"""`studio bench` on this machine: real servers of real engines, started, asked and ended."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from studio.app import benchmark_results, benchmarks, servers, serving
from studio.app.benchmarks import BenchmarkRequest
from studio.benchmark.pricing import Hardware
from studio.benchmark.result import Progress
from studio.core.errors import JobError, StudioError
from studio.http import server as listening
from studio.processes.identity import ProcessId


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.txt"
    file.write_text("What colour is the sky?\nIs it warm?\nWhat is the price of the lamp?\n")
    return file


@pytest.mark.torch
def test_an_adapter_and_a_gguf_file_are_served_asked_and_ended(
    adapters: dict[str, Path], gguf: Path, home: Path, questions: Path
):
    given = (str(adapters["shop"]), str(gguf))
    priced = Hardware(per_hour=1.0)
    request = BenchmarkRequest(given, levels=(1, 2), max_tokens=12, questions=str(questions), hardware=priced)
    told: list[Progress] = []
    found = benchmarks.measure(request, home, told.append)
    assert [item.error for item in found.items] == [None, None]
    assert [item.engine for item in found.items] == ["transformers", "llama.cpp"]
    for item in found.items:
        assert [level.concurrency for level in item.levels] == [1, 2]
        assert item.memory
        assert item.memory > 50 << 20
        assert item.start_seconds
        assert item.counted == "usage"
        assert item.quality == {}  # the questions have no answers
        for level in item.levels:
            assert level.requests == (3 if level.concurrency == 1 else 18)
            assert 0 < level.tokens <= 12 * level.requests
            assert level.first_p50 <= level.latency_p50
            assert level.cost == pytest.approx(1e6 / 3600 / level.tokens_per_second.median)
    assert serving.running(home) == []
    assert not [one for one in psutil.Process().children(recursive=True) if "serve" in " ".join(_words(one))]
    assert benchmark_results.result("last", home) == found
    assert {one.name for one in told} == {"shop", gguf.stem}


@pytest.fixture(autouse=True)
def nothing_left(home: Path) -> Iterator[None]:
    """A test that fails leaves no server behind."""
    yield
    for server in servers.servers(home):
        servers.stop(server, patience=10)


@pytest.mark.torch
def test_a_killed_measurement_leaves_no_server_behind(gguf: Path, home: Path, questions: Path):
    command = [sys.executable, "-m", "studio", "bench", str(gguf), "--prompts", str(questions), "--home", str(home)]
    bench = psutil.Popen([*command, "--repeats", "100"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert within(60, lambda: serving.running(home))
        started = bench.children()
        assert started
    finally:
        bench.kill()
        bench.wait()
    assert within(30, lambda: all(map(ended, started)))


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
time.sleep(60)
"""


def test_a_server_that_does_not_end_when_asked_is_ended_with_all_it_started():
    stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert stubborn.stdout
    started = psutil.Process(int(stubborn.stdout.readline()))
    servers.stop(servers.Server(ProcessId.of(stubborn.pid), "ready"), patience=0.2)
    assert stubborn.wait(10) == -signal.SIGKILL or stubborn.returncode == 0  # 0: it was reaped by the one who ended it
    assert within(10, lambda: ended(started))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.slow
def test_vllm_ends_with_the_studio_that_runs_it():
    vllm = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    script = f"import sys; from studio.serving import vllm; vllm.run([sys.executable, '-c', {vllm!r}], '127.0.0.1')"
    studio = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert studio.stdout
    started = psutil.Process(int(studio.stdout.readline()))
    studio.kill()
    studio.wait()
    assert within(10, lambda: ended(started))


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def within(seconds: float, happens: Callable[[], Any]) -> bool:
    until = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.torch
def test_a_server_goes_on_without_who_started_it_tells_how_it_does_and_ends_when_asked(gguf: Path, home: Path):
    begun = servers.start([str(gguf)], home, extra=["--max-context", "256", "--max-concurrent", "2"])
    assert servers.find(begun.key, home).state == "starting"
    ready = servers.wait_until_ready(begun, home, 120)
    assert ready.models == (gguf.stem,)
    asked = {"model": gguf.stem, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    assert httpx.post(f"{ready.url}/chat/completions", json=asked, timeout=300).status_code == 200
    too_long = [{"role": "user", "content": "Hello " * 2000}]
    assert httpx.post(f"{ready.url}/chat/completions", json={**asked, "messages": too_long}, timeout=300).status_code == 400
    stats = servers.stats(ready)
    assert (stats.requests, stats.failed, stats.active, stats.waiting) == (2, 1, 0, 0)
    assert stats.written > 0
    assert stats.engines == {gguf.stem: "llama.cpp"}
    assert stats.first_p50
    assert "serving 1 model" in servers.log_tail(ready)
    servers.stop(ready)
    until = time.monotonic() + 60
    while ready.process.alive() and time.monotonic() < until:
        time.sleep(0.1)
    assert servers.servers(home) == []
    with pytest.raises(JobError, match="no such server"):
        servers.find(ready.key, home)


@pytest.mark.torch
def test_a_server_that_cannot_start_says_why_and_goes_from_the_list_when_it_was_seen(gguf: Path, home: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        begun = servers.start([str(gguf)], home, port=taken.getsockname()[1])
        with pytest.raises(StudioError, match="cannot be served"):
            servers.wait_until_ready(begun, home, 60)
    [failed] = servers.servers(home)
    assert failed.state == "failed"
    servers.stop(failed)
    assert servers.servers(home) == []
    with pytest.raises(StudioError):
        servers.start(["nothing-of-that-name"], home)


def test_a_note_that_goes_while_servers_are_listed_is_none(home: Path):
    folder = home / "serving" / "started"
    folder.mkdir(parents=True)
    (folder / "1.json").symlink_to(folder / "gone")  # listed, and not there when it is read
    assert servers.servers(home) == []


def test_figures_are_read_from_a_histogram_as_prometheus_reads_them():
    text = "# TYPE studio_first_token_seconds histogram\n" + "".join(
        f'studio_first_token_seconds_bucket{{le="{bound}",model="a"}} {count}\n'
        for bound, count in (("0.1", 0), ("0.2", 10), ("+Inf", 10))
    )
    stats = servers.read_metrics(text)
    assert stats.first_p50 == pytest.approx(0.15)
    assert stats.speed is None
    assert servers.quantile({0.1: 0.0, float("inf"): 5.0}, 0.5) == 0.1


def test_a_first_token_never_waits_for_an_acknowledgement():
    """Sockets named as TCP are those whose Nagle's algorithm asyncio turns off; on others a kept-open connection is slow."""
    listener = listening.listen("127.0.0.1", 0)
    assert listener.proto == socket.IPPROTO_TCP
    listener.close()


def test_held_out_rows_of_a_run_are_asked_with_its_evidences_limit_and_metric(home: Path, tmp_path: Path):
    from studio.app import benchmark_targets
    from tests.ui.hostile import done

    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "a", "answer": "b"}\n')
    run = done(home, str(file))
    (run.folder.data).mkdir(exist_ok=True)
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (run.folder.data / "held-out.jsonl").write_text(json.dumps(row) + "\n")
    found = benchmark_targets.targets(("last", "last:merged"), (), home)
    assert [(one.name, one.kind) for one in found] == [(run.id, "run"), (f"{run.id}:merged", "export")]
    assert benchmark_targets.rows(found, "", 10, home).source == f"held-out rows of {run.id}"
    assert benchmark_targets.longest(found) == 32
    assert benchmark_targets.metric(found) == "exact_match"
    assert benchmark_targets.evidence(found[0])["exact_match"].value == 0.9
    with pytest.raises(JobError, match="no export"):
        benchmark_targets.targets(("last:gguf-q8_0",), (), home)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
