"""What pages share that let people rate answers: the switch that says whether they are stored, and the commands of buttons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import feedback
from studio.app.feedback import Opinion
from studio.app.fragments import feedback as show
from studio.core.errors import SpecError
from studio.ui import frame

if TYPE_CHECKING:
    import gradio as gr

WORDS = {
    "good": "Rated good.",
    "bad": "Rated bad.",
    "": "Rating removed.",
    "correct": "Correction stored.",
    "flag": "Flag stored.",
}


def channel() -> Any:
    """The hidden field in which feedback.js puts what was said."""
    import gradio as gr

    return gr.Textbox(elem_id="feedback-command", elem_classes="channel", label="Feedback", interactive=True)


def command(said: str) -> tuple[str, Opinion, str]:
    """What a button says: of which answer, what, and what to tell the person. Raises SpecError."""
    try:
        values = json.loads(said)
        what, of, text = str(values["say"]), str(values["of"]), str(values.get("text") or "")
        opinion = {
            "good": Opinion(rating="good"), "bad": Opinion(rating="bad"), "": Opinion(rating=""),
            "correct": Opinion(correction=text), "flag": Opinion(flag=text),
        }[what]  # fmt: skip
    except (ValueError, KeyError, TypeError):
        raise SpecError("this command is not understood", hint="Load the page again.", where="Feedback") from None
    return of, opinion, WORDS[what]


def switch(home: Path) -> tuple[Any, Any]:
    """Whether this studio collects, and the button that changes it."""
    import gradio as gr

    with gr.Row(elem_classes="end"):
        words = gr.HTML(elem_id="collecting", padding=False)
        button = gr.Button("Turn on", elem_id="collect", min_width=200)
    return words, button


def state(home: Path) -> tuple[Any, Any]:
    """The values of the switch now."""
    import gradio as gr

    on = feedback.collecting(home).pages
    return show.collecting(on), gr.update(value="Stop collecting" if on else "Let answers be rated", visible=True)


def turned(home: Path) -> tuple[Any, Any]:
    """Turn collecting on or off; the values of the switch then."""
    feedback.turn(not feedback.collecting(home).pages, home)
    return state(home)


def bind(button: gr.Button, words: gr.HTML, home: Path, then: Any = None, inputs: Any = None, outputs: Any = None) -> None:
    """Let the button turn collecting on and off. then: brings the page up to it."""
    done = button.click(frame.act(lambda: turned(home), "feedback.collect"), None, [words, button], **frame.QUIET)
    if then is not None:
        done.success(frame.shows(then), inputs, outputs, **frame.QUIET)
