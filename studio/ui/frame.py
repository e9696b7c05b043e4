"""What every page shares: the bar at the top, the heading, the clock, and how an event's errors reach the person."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import audit, quota, roles
from studio.app.fragments import parts
from studio.app.roles import Action
from studio.core import journal, people
from studio.core.errors import StudioError
from studio.core.fields import Leaf
from studio.ui import form, visit

if TYPE_CHECKING:
    import gradio as gr

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


@dataclass(frozen=True)
class NotDone:
    """What an action returns that was not done after all; `shown` is what it gives to the page."""

    shown: Any


def act(work: Callable[..., Any], action: Action, about: int | None = None, name: str = "") -> Callable[..., Any]:
    """An event's function that changes something: run only for a role that allows `action`, and noted in the audit log.

    about: which of its values names what it is done to; name: what names it, where no value does. A wrong input shows what is
    wrong and what to do; an internal error says so, and its details go to the server's log only.
    """
    return _wrapped(work, action, about, name)


def shows(work: Callable[..., Any]) -> Callable[..., Any]:
    """An event's function that only shows something, for whoever is signed in; errors as in `act`."""
    return _wrapped(work)


def opened(work: Callable[..., Any]) -> Callable[..., Any]:
    """As `shows`, for a page's load event: `work` is given the page's query parameters first."""

    def run(request: gr.Request, *values: object) -> Any:
        with _checked(request):
            return work(dict(request.query_params), *values)

    return _typed(run)


def stream(work: Callable[..., Any], action: Action | None = None) -> Callable[..., Any]:
    """As `act`, or `shows` without an action, for a generator whose values are shown as they come."""

    def run(request: object, *values: object) -> Any:
        steps: Iterator[Any] | None = None
        end, first = object(), action
        while True:  # each step may run in another thread, so each is begun anew for the same person
            with _checked(request, first):
                steps = iter(work(*values)) if steps is None else steps
                value = next(steps, end)
            if value is end:
                return
            first = None
            yield value

    return _typed(run, action)


def followed(now: Callable[[Any, Any], tuple[Any, ...]], key: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """For a page that follows one item of a list: the function of its timer, and that of choosing an item.

    now(item, before) gives the outputs and at their end what the page then shows, with the item at `key`. Both functions take
    a State with the item and one with what was shown, and give one output more, for the first. The list's own value is not
    what the timer asks by: a page that is slow to show a new item would still send the item before, and go back to it.
    """
    import gradio as gr

    def polled(current: object, before: object) -> tuple[Any, ...]:
        changed = now(current, before)
        item = changed[-1][key]
        return *changed, gr.skip() if item == current else item

    def picked(wanted: object, before: object) -> tuple[Any, ...]:
        changed = now(wanted, before)
        return *changed, changed[-1][key]

    return polled, picked


def price_fields(page: str) -> tuple[Any, Any]:
    """The two fields for what a model's API costs; `page` begins their element ids."""
    import gradio as gr

    found = gr.Number(
        None, label="Price in", minimum=0, elem_id=f"{page}-price-in", interactive=True,
        info="US dollars per million input tokens. 0 for both prices uses the published price.",
    )  # fmt: skip
    return found, gr.Number(
        None, label="Price out", minimum=0, elem_id=f"{page}-price-out", interactive=True,
        info="US dollars per million output tokens.",
    )  # fmt: skip


def _wrapped(
    work: Callable[..., Any], action: Action | None = None, about: int | None = None, name: str = ""
) -> Callable[..., Any]:
    def run(request: object, *values: object) -> Any:
        with _checked(request, action, values[about] if about is not None and about < len(values) else name) as deed:
            result = work(*values)
            if isinstance(result, NotDone):
                deed.outcome, result = "refused", result.shown
        return result

    return _typed(run, action)


def _location(error: Exception) -> str:
    """Where in the program an error was raised; its text may hold data and stays in the terminal."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


@dataclass
class _Deed:
    outcome: audit.Outcome = "done"
    why: str = ""


@contextlib.contextmanager
def _checked(request: object, action: Action | None = None, about: object = "") -> Iterator[_Deed]:
    """Somebody is signed in and may do it; the block acts for them, what they do is noted, and errors become toasts."""
    import gradio as gr

    seen, deed = visit.of(request), _Deed()
    if seen is None:
        raise gr.Error("Your session has ended. Sign in again.", print_exception=False)
    try:
        if action is not None:
            roles.require(seen.person, action)
            if action in roles.WRITES:
                quota.require_space(seen.home)
        with people.acting(seen.person):
            yield deed
    except StudioError as error:
        deed.outcome, deed.why = "refused" if error.exit_code in (2, 3) else "failed", type(error).__name__
        raise gr.Error(str(parts.toast(error)), print_exception=False, duration=12) from None
    except gr.Error:
        deed.outcome = "refused"
        raise
    except Exception as error:
        deed.outcome, deed.why = "failed", type(error).__name__
        traceback.print_exc(file=sys.stderr)
        journal.of_home(seen.home, "web").write({"event": "fault", "kind": type(error).__name__, "at": _location(error)})
        text = f"Internal error in Studio ({type(error).__name__}): a bug, not your input. The terminal has the details."
        raise gr.Error(text, print_exception=False) from None
    finally:
        if action is not None:
            audit.record(seen.home, seen.person, action, about, deed.outcome, seen.address, deed.why)


def _typed(run: Any, action: Action | None = None) -> Any:
    """The function as Gradio takes it, with a mark that it asks who runs it: a test looks for events without one."""
    import gradio as gr

    run.__annotations__ = {"request": gr.Request}
    run.studio_action = action or "show"
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
    first.click(shows(lambda: (gr.update(visible=False), gr.update(visible=True))), None, [first, question], **QUIET)
    for button in (back, go):
        button.click(shows(lambda: (gr.update(visible=True), gr.update(visible=False))), None, [first, question], **QUIET)
    return go


def go_to(address: str) -> str:
    """A script that leaves for `address` with the value of the event's component at its end, if it has one."""
    return f"(value) => {{ if (value) location.href = '{address}' + encodeURIComponent(value); }}"


def missing(title: str, what_to_do: str, link: str, label: str) -> Any:
    """A page's card for what an address names and is not there."""
    import gradio as gr

    return gr.update(value=parts.empty(title, what_to_do, link, label), visible=True)
