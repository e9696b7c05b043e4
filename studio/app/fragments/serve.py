"""Fragments of running servers: how one does, how to use it, its log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.app.fragments.parts import badge, command, empty, error, facts, figures, joined, note, notice, section, when
from studio.core.html import Fragments
from studio.core.text import count

if TYPE_CHECKING:
    from studio.app.servers import Server, ServerStats

_html = Fragments("studio.app", "serve.html")
TONES = {"ready": "good", "starting": "busy", "ending": "warn", "not answering": "bad", "failed": "bad"}
NONE = empty("No server is running", "Choose a run or an export above and start one; it keeps running without this page.")
QUESTION = "Is it in stock?"


def choices(servers: list[Any]) -> list[tuple[str, str]]:
    """The servers as a list to choose from."""
    return [
        (f"{item.state} · {', '.join(item.models or item.models_requested)} · {item.url or 'no address yet'}", item.key)
        for item in servers
    ]


def state(server: Server, stats: ServerStats) -> Markup:
    """What it is and how it does."""
    names, mark = ", ".join(server.models or server.models_requested), badge(server.state, TONES.get(server.state, "calm"))
    mark = joined(mark, badge("collecting", "warn")) if server.collecting else mark
    if server.error is not None:
        return _html("state", mark, names, [error(server.error)])
    engines = ", ".join(dict.fromkeys(engine for engine in stats.engines.values() if engine))
    about = facts([("Address", server.url or "not yet"), ("Engine", engines or "–"), ("Since", when(server.since))])
    if stats.locked:
        locked = notice("This server requires an API key, also for its metrics.", "Read /metrics with the key.", "calm")
        return _html("state", mark, names, [about, locked])
    return _html("state", mark, names, [_figures(stats), about])


def _figures(stats: ServerStats) -> Markup:
    return figures(
        [
            ("Requests", count(stats.requests), f"{count(stats.failed)} refused or failed" if stats.failed else ""),
            ("Answers in progress", count(stats.active), f"{count(stats.waiting)} queued"),
            ("First token", _seconds(stats.first_p50), f"95 %: {_seconds(stats.first_p95)}" if stats.first_p95 else ""),
            ("Tokens/s, one answer", f"{stats.speed:.3g}" if stats.speed else "–", f"{count(stats.written)} written"),
        ]
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"about {value * 1000:.0f} ms" if value < 1 else f"about {value:.3g} s"


def asking(server: Server) -> Markup:
    """How to use it, from a terminal and from Python, for each model."""
    if not server.url or not server.models:
        return Markup("")
    name = server.models[0]
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": QUESTION}]})
    quoted = body.replace("'", "'\\''")
    curl = f"curl {server.url}/chat/completions -H 'content-type: application/json' -d '{quoted}'"
    python = (
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{server.url}", api_key="none")\n'
        f"answer = client.chat.completions.create(model={json.dumps(name)}, "
        f'messages=[{{"role": "user", "content": "{QUESTION}"}}])\n'
        "print(answer.choices[0].message.content)"
    )
    others = note(f"Models by name: {', '.join(server.models)}") if len(server.models) > 1 else ""
    return joined(section("Use it"), others, command(curl), command(python))


def log(words: str) -> Markup:
    """The end of its log."""
    if not words.strip():
        return joined(section("Log"), note("It was started in a terminal, which shows its log."))
    return joined(section("Log"), _html("log", words))
