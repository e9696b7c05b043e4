"""The web studio as a person meets it: a real server and a real Chromium.

    python bench/web.py [--rounds 5] [--loads 50]      # writes bench/results/web.json

The first page counts as interactive once its figures, which come by an event of the page, are there; each round has a
browser context of its own with an empty cache. The page of a run is there once its curves are; its first opening after
the server's start is given beside the later ones. Seconds are wall-clock; memory is the server's resident size; idle is the
share of one core that the server takes while nobody has a page open.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser, sync_playwright

from bench.startup import cpu_model
from studio.app import library
from studio.ui.session import COOKIE, Sessions
from tests.ui.conftest import CHROMIUM, Studio
from tests.ui.hostile import done

OUT = Path(__file__).parent / "results" / "web.json"
STEPS = (100, 100_000)
BYTES = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .reduce((sum, entry) => sum + entry.transferSize, 0)"""


def fill(home: Path) -> dict[int, str]:
    """A dataset and two finished runs; the run's id by its logged steps."""
    sample = next(file for file in library.samples() if file.stem == "support")
    file = library.add(home, "Support", [(sample.name, sample)]).files[0]
    found = {}
    for steps in STEPS:
        run = done(home, file, f"{steps} steps", steps=1)
        lines = (
            {
                "step": step, "loss": round(2 * math.exp(-5 * step / steps) + 0.1 * math.sin(step), 5), "lr": 2e-4,
                "grad_norm": 1 + 0.1 * math.cos(step), "tokens_per_second": 900.0, "time": 1e9 + step,
            }
            for step in range(1, steps + 1)
        )  # fmt: skip
        run.folder.metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        run.status.model_copy(update={"ended": time.time()}).write(run.folder.status)
        found[steps] = run.id
    return found


def opened(browser: Browser, studio: Studio, place: str, ready: str) -> dict[str, float]:
    """Seconds from the address to `ready` in a new context, and the bytes that came over the wire."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=studio.url)
    cookie = Sessions(studio.home / "ui" / "session.key").new()
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": studio.url}])
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(place, wait_until="commit")
    page.locator(ready).first.wait_for(timeout=120_000)
    seconds = time.perf_counter() - begun
    page.wait_for_timeout(1500 if place == "/" else 0)  # what still comes counts in bytes (an event stream never idles)
    found = {"seconds": round(seconds, 3), "kB": round(page.evaluate(BYTES) / 1000, 1)}
    context.close()
    return found


def memory(studio: Studio) -> float:
    """The server's resident MB."""
    return round(psutil.Process(studio.child.pid).memory_info().rss / 1e6, 1)


def idle(studio: Studio, seconds: float = 20.0) -> float:
    """The share of one core that the server takes in the next seconds."""
    process = psutil.Process(studio.child.pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return round((after.user + after.system - before.user - before.system) / seconds, 4)


def measure(home: Path, rounds: int, loads: int) -> dict[str, Any]:
    """All figures, on a fresh server."""
    names = fill(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        studio = Studio(home, free.getsockname()[1])
    begun = time.perf_counter()
    studio.start()
    started = round(time.perf_counter() - begun, 2)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            home_page = [opened(browser, studio, "/", "#machine .facts") for _ in range(rounds + 1)]
            runs: dict[int, list[float]] = {steps: [] for steps in STEPS}
            for _ in range(rounds + 1):
                for steps, name in names.items():
                    runs[steps].append(opened(browser, studio, f"/run?id={name}", "#curves svg.chart")["seconds"])
            before, done_loads = memory(studio), 4 * rounds + 4
            for turn in range(max(0, loads - done_loads)):
                place, ready = (("/", "#machine .facts"), ("/runs", "#runs table"), ("/data", "#library table"))[turn % 3]
                opened(browser, studio, place, ready)
            version = browser.version
            browser.close()
        time.sleep(3)  # the last page's connections end
        return {
            "chromium": version,
            "server_started_seconds": started,
            "first_page": {
                "first_after_start": home_page[0],
                "median_seconds": statistics.median(item["seconds"] for item in home_page[1:]),
                "kB": max(item["kB"] for item in home_page),
                "all": home_page,
            },
            "run_page_seconds": {
                f"{steps} steps": {"first": values[0], "median": statistics.median(values[1:]), "all": values}
                for steps, values in runs.items()
            },
            "server_idle_share_of_a_core": idle(studio),
            "server_MB": {"after_pages": done_loads, "then": before, f"after_{loads}_pages": memory(studio)},
        }
    finally:
        studio.kill()


def main() -> None:
    """Measure, print and keep."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--loads", type=int, default=50)
    options = asked.parse_args()
    begun = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.rounds, options.loads)
    result = {
        "bench": "web",
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "gradio": importlib.metadata.version("gradio"),
        "load_before_and_after": [round(begun, 1), round(os.getloadavg()[0], 1)],
        **found,
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
