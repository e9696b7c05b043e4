"""Bench: several things under the same questions, in one table and one picture; earlier measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import benchmark_results, servers
from studio.app.fragments import bench as show
from studio.core.errors import JobError, SpecError
from studio.ui import frame


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Bench",
        "Bench",
        "Speed, memory, cost and quality, measured from a client. A benchmark keeps running without this page.",
    )
    with gr.Column(elem_classes="card"):
        what = gr.Dropdown(
            [], multiselect=True, max_choices=6, label="Runs, exports, models", elem_id="what", interactive=True,
            info="They are served one after another.",
        )  # fmt: skip
        with gr.Accordion("Compare with an API", open=False):
            with gr.Row():
                url = gr.Textbox(
                    label="Base URL", placeholder="https://openrouter.ai/api/v1", max_lines=1, elem_id="url", interactive=True,
                    info="Any OpenAI-compatible API. Its key is read from the environment or the keyring, by host name.",
                )  # fmt: skip
                model = gr.Textbox(
                    label="Model at the API",
                    max_lines=1,
                    elem_id="model",
                    interactive=True,
                    info="The model's name at the API.",
                )
            leaving = gr.HTML(elem_id="leaving", padding=False)
        with gr.Row(elem_classes="fields"):
            rows = gr.Number(
                30, label="Questions", precision=0, minimum=1, maximum=1000, elem_id="rows", interactive=True,
                info="Held-out rows of the first run; without one, general questions.",
            )  # fmt: skip
            hourly = gr.Number(
                None, label="Your hardware, per hour", minimum=0, elem_id="hourly", interactive=True,
                info="Used for the cost of a million tokens. 0: unknown.",
            )  # fmt: skip
        with gr.Row(elem_classes="actions"):
            go = gr.Button("Measure", variant="primary", elem_id="measure")
            stop = gr.Button("Stop", elem_id="stop", visible=False)
        working = gr.HTML(elem_id="working", padding=False)
    with gr.Column(elem_classes="card"):
        none = gr.HTML(show.NONE, elem_id="none", padding=False)
        earlier = gr.Dropdown([], label="Benchmark", elem_id="earlier", interactive=True, visible=False)
        result = gr.HTML(elem_id="result", padding=False)
    seen, current = gr.State(None), gr.State(None)  # what the page shows, and the benchmark it follows

    def now(chosen: str | None, before: dict[str, Any] | None) -> tuple[Any, ...]:
        """Each part, only where it is another than the page has."""
        every, old = benchmark_results.results(home), before or {}
        newest = every[0] if every else None
        begun = newest is not None and newest.id != old.get("newest", newest.id)  # one has begun: show it
        one = next((item for item in every if item.id == chosen and not begun), newest)
        running = newest is not None and newest.state == "running"
        fresh = {
            "newest": newest.id if newest else "",
            "id": one.id if one else None,
            "list": [(show.label(item), item.id) for item in every],
            "result": show.shown(one) if one else "",
            "working": show.working(newest, benchmark_results.begun(home)),
            "running": running,
        }
        same = {name: before is not None and fresh[name] == old.get(name) for name in fresh}
        listed = gr.update(choices=fresh["list"], value=fresh["id"], visible=one is not None)
        return (
            gr.skip() if same["list"] else gr.update(visible=one is None),
            gr.skip() if same["list"] and same["id"] else listed,
            gr.skip() if same["result"] else fresh["result"],
            gr.skip() if same["working"] else fresh["working"],
            gr.skip() if same["running"] else gr.update(visible=running),
            fresh,
        )

    polled, picked = frame.followed(now, "id")

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        return gr.update(choices=servers.choices(home)), *picked(query.get("id"), None)

    def measuring(names: list[str] | None, address: str, there: str, count: float | None, price: float | None) -> None:
        known = {value for _, value in servers.choices(home)}
        if not set(names or ()) <= known:
            raise JobError("choose what to measure", hint="Choose one or more from the list.", where="Bench")
        given = [*(names or ()), *_api(address, there)]
        if not given:
            raise JobError("choose what to measure", hint="Choose one or more from the list, or an API.", where="Bench")
        words = [
            *given,
            "--rows",
            str(int(count or 30)),
            *(["--price-per-hour", str(float(price))] if price else []),
        ]
        benchmark_results.begin(words, home)

    def stopping() -> None:
        benchmark_results.stop(home)
        gr.Info("Stopping; what has been measured is saved.")

    def disclosure(address: str, count: float | None) -> str:
        host = benchmark_results.other_host(address or "")
        return show.sent(host, int(count or 30)) if host else ""

    fresh = [none, earlier, result, working, stop, seen, current]
    look = {"fn": frame.shows(polled), "inputs": [current, seen], "outputs": fresh}
    gr.on(None, frame.opened(opened), None, [what, *fresh], **frame.QUIET)
    earlier.input(frame.shows(picked), [earlier, seen], fresh, **frame.QUIET)
    url.change(frame.shows(disclosure), [url, rows], [leaving], **frame.QUIET)
    gr.Timer(2).tick(**look, trigger_mode="once", **frame.QUIET)
    go.click(frame.act(measuring, "bench.start", 0), [what, url, model, rows, hourly], None, **frame.ACTION).success(
        **look, **frame.QUIET
    )
    stop.click(frame.act(stopping, "bench.stop"), None, None, **frame.ACTION).success(**look, **frame.QUIET)


def _api(url: str, model: str) -> list[str]:
    """The API as `studio bench` takes it; none where both fields are empty. Raises SpecError."""
    url, model = (url or "").strip(), (model or "").strip()
    if not url and not model:
        return []
    if not url or not model or url.startswith("-"):
        raise SpecError("an API requires both its base URL and a model", hint="Fill in both, or neither.", where="API")
    benchmark_results.require_api(url, model)
    return [f"{url}#{model}"]
