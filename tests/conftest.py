"""Fixtures shared by all tests (offline, one thread, one tiny model a session), and the lanes."""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import tempfile
from pathlib import Path

os.environ.setdefault("STUDIO_LOCKS", tempfile.mkdtemp(prefix="studio-locks-"))  # the devices of this session alone
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_MODE="offline", CUDA_VISIBLE_DEVICES="")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: there is no GPU to compile its kernels for

import pytest

FAST = "not (torch or numeric or slow or browser or gpu)"
"""What the fast lane runs. That it loads no torch is checked: there, importing it is an error."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="run the fast lane: no torch, no browser, nothing slow")
    parser.addoption("--not-fast", action="store_true", help="run what the fast lane leaves out")


def pytest_configure(config: pytest.Config) -> None:
    # begun in the background of a script, SIGINT is ignored, and so it would be by every process that a test interrupts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("not_fast"):
        config.option.markexpr = f"not ({FAST})"
    if config.getoption("fast"):
        config.option.markexpr = FAST
        folders = [str(Path(__file__).parent / "no_torch"), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
        importlib.import_module("tests.no_torch.sitecustomize")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the marks that follow from a fixture. Where processes, browsers and servers wait for each other on a busy machine, a
    test gets a second try; the summary shows the first."""
    follows = {"tiny_model": "torch", "studio": "browser", "page": "browser"}
    for item in items:
        for name in follows.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(follows[name])
        waits = any(item.get_closest_marker(mark) for mark in ("browser", "slow", "torch"))
        if waits and config.pluginmanager.hasplugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()  # thousands of tests and their modules stay to the end: the collector need not look at them each time


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = [used.ru_utime + used.ru_stime for used in (own, children)]
    terminalreporter.write_line(f"CPU: {sum(seconds):.0f} s, of them {seconds[1]:.0f} s in child processes")
    for first in terminalreporter.stats.get("rerun", []):  # why a second try was needed is otherwise nowhere to be read
        terminalreporter.section(f"first try of {first.nodeid}")
        terminalreporter.write_line(first.longreprtext[-3000:])


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random Llama and its ChatML tokenizer (no generation marks)."""
    from tests.tiny import make_model

    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty studio home."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
