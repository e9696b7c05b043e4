"""Screenshots of every page, at both widths: `python -m tests.ui.shoot [HOME [desk|phone]]` writes docs/screenshots.

HOME is a studio home with a finished run and a dataset; without one the hostile home of the tests is used.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from studio.app import library, runs
from studio.ui.session import COOKIE, Sessions
from tests.ui.conftest import CHROMIUM, Studio
from tests.ui.hostile import fill

OUT = Path(__file__).parents[2] / "docs" / "screenshots"
SIZES = (("desk", 1440, "light"), ("phone", 390, "light"))
PHONE = ("home", "data", "desk", "train", "run", "evidence")
"""Pages that are kept at a phone's width."""
READY = {
    "home": "#machine .facts",
    "data": "#library table",
    "dataset": "#samples .turn",
    "desk": "#desk-table tr[data-row]",
    "train": "#plan .kpi",
    "runs": "#runs table",
    "run": "#curves svg",
    "evidence": "#figures table",
    "chat": "#message",
    "export": "#made .sample",
    "settings": "#HF_TOKEN-state .badge",
}


def main(home: Path, sizes: tuple[str, ...] = ("desk", "phone")) -> None:
    """Start a server on `home`, look at every page, and keep what is seen. sizes: which widths."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        studio = Studio(home, free.getsockname()[1])
    studio.start()
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for size, width, scheme in (item for item in SIZES if item[0] in sizes):
                page = _page(browser, studio, width, scheme)
                for name, place in places(home).items():
                    if size == "phone" and name not in PHONE:
                        continue
                    page.goto(place)
                    page.locator(READY[name]).first.wait_for(timeout=90_000)
                    page.wait_for_timeout(600)
                    page.screenshot(
                        path=OUT / f"{name}-{size}-{scheme}.png",
                        full_page=name not in ("train", "evidence", "run") and size == "desk",
                    )
            browser.close()
    finally:
        studio.kill()


def places(home: Path) -> dict[str, str]:
    """The address of every page, on the newest finished run and a dataset."""
    run = next(run.id for run in runs.list_runs(home) if run.status.state == "done")
    data = next((item.key for item in library.versions(home) if item.title == "Support"), library.versions(home)[0].key)
    query = {
        "dataset": f"?key={data}",
        "desk": f"?key={data}&check=personal_data",
        "train": f"?data={data}",
        "run": f"?id={run}",
        "evidence": f"?id={run}",
        "export": f"?id={run}",
    }
    return {name: ("/" if name == "home" else f"/{name}") + query.get(name, "") for name in READY}


def _page(browser: Any, studio: Studio, width: int, scheme: str) -> Any:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=studio.url)
    cookie = Sessions(studio.home / "ui" / "session.key").new()
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": studio.url}])
    return context.new_page()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), tuple(sys.argv[2:]) or ("desk", "phone"))
    else:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder))
            main(Path(folder))
