"""Fragments of running servers: how one does, how to ask it, what it said."""

from __future__ import annotations

import json
from typing import Any

from studio.core.text import count
from studio.ui.fragments.exports import command
from studio.ui.fragments.parts import badge, empty, error, facts, figures, notice, section, text, when

TONES = {"ready": "good", "starting": "busy", "ending": "warn", "not answering": "bad", "failed": "bad"}
NONE = empty("Nothing is being served", "Choose a run or an export above and start it; it goes on without this page.")
QUESTION = "Is it in stock?"


def choices(servers: list[Any]) -> list[tuple[str, str]]:
    """The servers as a list to choose from."""
    return [
        (f"{item.state} · {', '.join(item.models or item.given)} · {item.url or 'no address yet'}", item.key)
        for item in servers
    ]


def state(server: Any, doing: Any) -> str:
    """What it is and how it does."""
    names = ", ".join(server.models or server.given)
    head = f'<div class="verdict">{badge(server.state, TONES.get(server.state, "calm"))}<span>{text(names)}</span></div>'
    if server.error is not None:
        return head + f'<div style="margin-top:12px">{error(server.error)}</div>'
    engines = ", ".join(dict.fromkeys(engine for engine in doing.engines.values() if engine))
    told = facts([("Address", server.url or "not yet"), ("Engine", engines or "–"), ("Since", when(server.since))])
    if doing.locked:
        return head + told + notice("It wants an API key, also for its figures.", "Ask /metrics with the key.", "calm")
    return f'{head}<div style="margin-top:12px">{_figures(doing)}</div><div style="margin-top:8px">{told}</div>'


def _figures(doing: Any) -> str:
    return figures(
        [
            ("Requests", count(doing.requests), f"{count(doing.failed)} refused or failed" if doing.failed else ""),
            ("Being written", count(doing.active), f"{count(doing.waiting)} waiting"),
            ("First token", _seconds(doing.first_p50), f"95 %: {_seconds(doing.first_p95)}" if doing.first_p95 else ""),
            ("Tokens/s, one answer", f"{doing.speed:.3g}" if doing.speed else "–", f"{count(doing.written)} written"),
        ]
    )


def _seconds(value: float | None) -> str:
    from studio.serving.measure.figures import seconds

    return "–" if value is None else f"about {seconds(value)}"


def asking(server: Any) -> str:
    """How to ask it, from a terminal and from Python, for each model."""
    if not server.url or not server.models:
        return ""
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
    others = f"<p class='note'>Models by name: {text(', '.join(server.models))}</p>" if len(server.models) > 1 else ""
    return section("Ask it") + others + command(curl) + command(python)


def log(words: str) -> str:
    """The end of its log."""
    if not words.strip():
        return section("Log") + '<p class="note">It was started in a terminal, which has its log.</p>'
    return section("Log") + f'<pre class="log" tabindex="0" aria-label="Log" style="margin-top:8px">{text(words)}</pre>'
