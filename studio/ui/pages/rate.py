"""Rate pairs blind: which answer is better, without knowing whose it is. A, T and B on the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import judging, runs
from studio.app.fragments import parts
from studio.app.fragments import rate as show
from studio.ui import frame


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Evidence", "Rate answers", "Which answer is better? The models' names are hidden. Keys: A, B, T for a tie.")
    run, pair = gr.State(""), gr.State("")
    with gr.Column(elem_classes="card"):
        shown = gr.HTML(parts.waiting("Reading …"), elem_id="pair", padding=False)
        with gr.Row(visible=False) as choices:
            buttons = [
                (gr.Button("A is better", elem_id="rate-a"), "A"),
                (gr.Button("Tie", elem_id="rate-t"), "tie"),
                (gr.Button("B is better", elem_id="rate-b"), "B"),
            ]
    with gr.Column(elem_classes="card"):
        opinion = gr.HTML(elem_id="opinion", padding=False)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        return page(query.get("id", "") or "last")

    def page(name: str) -> tuple[Any, ...]:
        known = runs.list_runs(home)
        wanted = next((item for item in known if name in (item.id, "last") and item.folder.report.exists()), None)
        if wanted is None:
            nothing = parts.empty(
                "No answers to rate", "Answers appear once a run has been evaluated.", "/runs", "Choose a run"
            )
            return "", "", nothing, gr.update(visible=False), ""
        pairs, rated = judging.pairs_to_rate(wanted)
        left = [item for item in pairs if item.index not in rated]
        said = show.opinion(judging.opinion(wanted), wanted.id, link=False)
        if not left:
            return wanted.id, "", show.finished(len(pairs)), gr.update(visible=False), said
        position = (len(pairs) - len(left) + 1, len(pairs))
        return wanted.id, left[0].key, show.pair(left[0], *position), gr.update(visible=True), said

    outputs = [run, pair, shown, choices, opinion]
    gr.on(None, frame.opened(opened), None, outputs, **frame.QUIET)
    for button, choice in buttons:

        def rated(name: str, key: str, choice: Any = choice) -> tuple[Any, ...]:
            wanted = runs.find(name, home)
            pairs, done = judging.pairs_to_rate(wanted)
            if not any(item.key == key and item.index in done for item in pairs):  # a key that was pressed twice rates once
                judging.rate(wanted, key, choice)
            return page(name)

        button.click(frame.act(rated, "answers.rate", 0), [run, pair], outputs, **frame.QUIET)
