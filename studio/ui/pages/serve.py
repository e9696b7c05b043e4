"""Serve: start a server of runs and exports, see how each one does, how to use it, and stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import servers
from studio.app.fragments import parts
from studio.app.fragments import serve as show
from studio.core.errors import JobError
from studio.ui import frame


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Serve", "Serve", "An OpenAI-compatible API for your runs and exports. A server keeps running without this page.")
    gr.HTML(
        parts.links(
            [
                ("Cascade: a small model answers first, a large one when it is unsure", "/cascade", False),
                ("Feedback: rate and correct answers", "/feedback", False),
            ]
        ),
        padding=False,
    )
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section(
                "Start a server", "The engine is chosen by what is served; runs of the same base model share its weights."
            ),
            padding=False,
        )
        with gr.Row(elem_classes="end"):
            what = gr.Dropdown(
                [], multiselect=True, max_choices=8, label="Runs, exports, models", elem_id="what", interactive=True, scale=4
            )
            port = gr.Number(
                None, label="Port (0: a free one)", precision=0, minimum=0, maximum=65535, elem_id="port",
                interactive=True, min_width=120, scale=1,
            )  # fmt: skip
            start = gr.Button("Start", variant="primary", elem_id="start", scale=1)
        collect = gr.Checkbox(
            label="Collect answers", value=False, elem_id="serve-collect", interactive=True,
            info="Store all questions and answers in this studio, personal data masked, to be rated and corrected.",
        )  # fmt: skip
    with gr.Column(elem_classes="card"):
        none = gr.HTML(show.NONE, elem_id="none", padding=False)
        chosen = gr.Radio([], label="Servers", elem_id="servers", interactive=True, elem_classes="choices", visible=False)
        state = gr.HTML(elem_id="state", padding=False)
        with gr.Column(visible=False, elem_id="end") as end:
            stop = frame.confirmed("Stop", "Stop it", "stop")
    with gr.Column(elem_classes="card", visible=False, elem_id="more") as more:
        asking = gr.HTML(elem_id="asking", padding=False)
        log = gr.HTML(elem_id="log", padding=False)
    seen, current = gr.State(None), gr.State(None)  # what the page shows, and the server it follows

    def now(key: str | None, before: dict[str, Any] | None) -> tuple[Any, ...]:
        """Each part, only where it is another than the page has."""
        every = servers.servers(home)
        one = next((item for item in every if item.key == key), every[0] if every else None)
        fresh: dict[str, Any] = {"list": show.choices(every), "key": one.key if one else None}
        if one is not None:
            fresh |= {
                "state": show.state(one, servers.stats(one)),
                "asking": show.asking(one),
                "log": show.log(servers.log_tail(one)),
            }
        old = before or {}

        def part(name: str) -> Any:
            return gr.skip() if before is not None and fresh.get(name) == old.get(name) else fresh.get(name, "")

        known = before is not None and (fresh["list"], fresh["key"]) == (old.get("list"), old.get("key"))
        there = one is not None
        listed = gr.skip() if known else gr.update(choices=fresh["list"], value=fresh["key"], visible=there)
        cards = [gr.skip() if known else gr.update(visible=there)] * 2
        return (
            gr.skip() if known else gr.update(visible=not there),
            listed,
            *cards,
            *map(part, ("state", "asking", "log")),
            fresh,
        )

    polled, picked = frame.followed(now, "key")

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        return gr.update(choices=servers.choices(home)), *picked(None, None)

    def starting(names: list[str], number: float | None, collecting: bool) -> str:
        known = {value for _, value in servers.choices(home)}
        if not names or not set(names) <= known:
            raise JobError("choose what to serve", hint="Choose one or more from the list.", where="Start")
        return servers.start(names, home, int(number or 0), ["--collect"] if collecting else []).key

    def stopping(key: str | None) -> None:
        server = servers.find(key or "", home)
        servers.stop(server)
        gr.Info("Stopping; answers in progress may take up to 20 seconds." if server.url else "Stopped.")

    fresh = [none, chosen, end, more, state, asking, log, seen, current]
    look = {"fn": frame.shows(polled), "inputs": [current, seen], "outputs": fresh}
    anew = gr.State(None)
    gr.on(None, frame.opened(opened), None, [what, *fresh], **frame.QUIET)
    chosen.input(frame.shows(picked), [chosen, seen], fresh, **frame.QUIET)
    gr.Timer(2).tick(**look, trigger_mode="once", **frame.QUIET)
    start.click(frame.act(starting, "serve.start", 0), [what, port, collect], [anew], **frame.ACTION).success(
        frame.shows(picked), [anew, seen], fresh, **frame.QUIET
    )
    stop.click(frame.act(stopping, "serve.stop", 0), [chosen], None, **frame.ACTION).success(**look, **frame.QUIET)
