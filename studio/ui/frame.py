"""What every page shares: the bar at the top, the heading, the clock, and how an event's errors reach the person."""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from studio.app.fragments import parts
from studio.core.errors import StudioError
from studio.core.fields import Leaf
from studio.ui import form

NAVIGATION = (
    ("Home", "/"),
    ("Data", "/data"),
    ("Train", "/train"),
    ("Runs", "/runs"),
    ("Evidence", "/evidence"),
    ("Chat", "/chat"),
    ("Export", "/export"),
    ("Serve", "/serve"),
    ("Bench", "/bench"),
    ("Settings", "/settings"),
)
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""How events are bound that update a page by themselves."""
ACTION: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
"""How events are bound that a person started."""


def top(current: str, title: str, lead: str = "") -> None:
    """The bar with the brand and the navigation, and the page's heading."""
    import gradio as gr

    gr.HTML(parts.bar(NAVIGATION, current), elem_classes="bar-holder", padding=False)
    gr.HTML(parts.heading(title, lead), elem_classes="heading-holder", padding=False)


def act(work: Callable[..., Any]) -> Callable[..., Any]:
    """An event's function, run only for someone who is signed in, with errors in words.

    A wrong input shows what and what to do; an internal error says so, and its details go to the server's log only.
    """

    @functools.wraps(work)
    def run(request: Any, *values: Any) -> Any:
        with _checked(request):
            return work(*values)

    return _typed(run)


def stream(work: Callable[..., Any]) -> Callable[..., Any]:
    """As `act`, for a generator whose values are shown as they come."""

    @functools.wraps(work)
    def run(request: Any, *values: Any) -> Any:
        with _checked(request):
            yield from work(*values)

    return _typed(run)


def opened(work: Callable[..., Any]) -> Callable[..., Any]:
    """As `act`, for a page's load event: `work` is given the page's query parameters first."""

    @functools.wraps(work)
    def run(request: Any, *values: Any) -> Any:
        with _checked(request):
            return work(dict(request.query_params), *values)

    return _typed(run)


@contextlib.contextmanager
def _checked(request: Any) -> Iterator[None]:
    """A session is there, and errors become toasts."""
    import gradio as gr

    if request is None or not request.username:
        raise gr.Error("Your session has ended. Sign in again.", print_exception=False)
    try:
        yield
    except StudioError as error:
        raise gr.Error(str(parts.toast(error)), print_exception=False, duration=12) from None
    except gr.Error:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        text = f"Internal error in Studio ({type(error).__name__}): a bug, not your input. The terminal has the details."
        raise gr.Error(text, print_exception=False) from None


def _typed(run: Any) -> Any:
    import gradio as gr

    run.__annotations__ = {"request": gr.Request}
    del run.__wrapped__  # Gradio must see this signature, not that of the function within
    return run


def box(leaf: Leaf, elem_id: str, visible: bool = True) -> Any:
    """A field of the spec as the control its type asks for; its text is what `ui.form` reads."""
    import gradio as gr

    common: dict[str, Any] = {
        "label": leaf.label,
        "info": form.help_of(leaf),
        "elem_id": elem_id,
        "interactive": True,
        "min_width": 220,
        "visible": visible,
    }
    if form.is_choice(leaf):
        return gr.Dropdown(form.choices(leaf), value=form.default_text(leaf), **common)
    lines = 3 if leaf.path in ("data.system", "tracking.note") else 1
    return gr.Textbox(
        value=form.default_text(leaf),
        placeholder=form.placeholder(leaf),
        lines=lines,
        max_lines=8 if lines > 1 else 1,
        **common,
    )


def changed(controls: Iterable[Any]) -> list[Any]:
    """The events by which a person changes one of these controls."""
    import gradio as gr

    events: list[Any] = []
    for control in controls:
        events += [control.blur, control.submit] if isinstance(control, gr.Textbox) else [control.input]
    return events


def confirmed(ask: str, do: str, name: str) -> Any:
    """A button that asks before it does something that cannot be undone; the second button, whose click does it."""
    import gradio as gr

    first = gr.Button(ask, variant="stop", elem_id=f"{name}-ask")
    with gr.Row(visible=False) as question:
        go = gr.Button(do, variant="stop", elem_id=name)
        back = gr.Button("Cancel", elem_id=f"{name}-back")
    first.click(lambda: (gr.update(visible=False), gr.update(visible=True)), None, [first, question], **QUIET)
    for button in (back, go):
        button.click(lambda: (gr.update(visible=True), gr.update(visible=False)), None, [first, question], **QUIET)
    return go


def go_to(address: str) -> str:
    """A script that leaves for `address` with the value of the event's component at its end, if it has one."""
    return f"(value) => {{ if (value) location.href = '{address}' + encodeURIComponent(value); }}"


def missing(title: str, what_to_do: str, link: str, label: str) -> Any:
    """A page's card for what an address names and is not there."""
    import gradio as gr

    return gr.update(value=parts.empty(title, what_to_do, link, label), visible=True)
