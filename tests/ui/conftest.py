"""A real server in a process of its own, and a real browser that is signed in and fails on any error of a page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Error, expect

from studio.ui.session import COOKIE, Sessions

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_NO_KEYRING = "keyring.backends.fail.Keyring"
SLOW = 240_000
"""Milliseconds a page may take on a busy machine before a test gives up."""
expect.set_options(timeout=SLOW)


@dataclass
class Studio:
    """A running `studio ui`."""

    home: Path
    port: int
    child: Any = field(default=None, repr=False)
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {
            **os.environ,
            "STUDIO_HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
            "PYTHON_KEYRING_BACKEND": _NO_KEYRING,
        }
        command = [sys.executable, "-m", "studio", "ui", "--port", str(self.port), *self.options]
        with open(self.home / "server.log", "ab") as log:
            self.child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.url}/sign-in", timeout=2).read()
                return
            except OSError:
                assert self.child.poll() is None, (self.home / "server.log").read_text()
                time.sleep(0.3)
        raise TimeoutError("the server did not start")

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def link(self) -> str:
        text = (self.home / "server.log").read_text()
        return text.rsplit("Open it with this link (it works once): ", 1)[1].split()[0]


def open_again(page: Any, place: str) -> None:
    """Open a page whose server was started again: left open, it loads itself anew then, which may break off this visit."""
    try:
        page.goto(place)
    except Error:
        page.goto(place)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One server for all browser tests, on a home with two datasets and a run whose every word is hostile."""
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no chromium: apt-get install chromium")
    home = tmp_path_factory.mktemp("studio")
    from tests.ui.hostile import fill

    fill(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Studio(home, port)
    running.start()
    yield running
    running.kill()
    from studio.app import runs
    from studio.runs import lifecycle

    for run in runs.list_runs(home):
        if run.status.active and run.status.process:
            lifecycle.stop(run.folder, patience=1)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Debian's Chromium, which needs nothing downloaded."""
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
    ]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": [*flags, "--disable-component-update"]}


@pytest.fixture
def new_page(studio: Studio, new_context: Any) -> Iterator[Any]:
    """Makes pages that are signed in; what goes wrong on any of them fails the test."""
    errors: list[str] = []

    def make(width: int = 1440, scheme: str = "light", signed_in: bool = True) -> Any:
        context = new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=studio.url)
        context.set_default_timeout(SLOW)
        if signed_in:
            cookie = Sessions(studio.home / "ui" / "session.key").new()
            context.add_cookies([{"name": COOKIE, "value": cookie, "url": studio.url, "sameSite": "Strict", "httpOnly": True}])
        page = context.new_page()

        def refused(dialog: Dialog) -> None:
            errors.append(f"{page.url}: a script opened a dialog")
            dialog.dismiss()

        def failed(problem: Error) -> None:
            errors.append(f"{page.url}: {problem}")

        page.on("pageerror", failed)
        page.on("dialog", refused)
        return page

    yield make
    assert not errors


@pytest.fixture
def screen(new_page: Any) -> Any:
    """A signed-in page at a desk's width."""
    return new_page()
