"""Settings of Gradio that it has no option for: an idle server rests, and an opened page costs only its own values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

EVENTS_SECONDS, PROGRESS_SECONDS = 0.02, 0.1
"""How often Gradio's queue looks for an event that waits, and for progress to show. Its own 0.001 and 0.01 s keep a
processor 7 % busy while nobody has a page open."""


def tune(pages: Any) -> None:
    """Let an idle server and an opened page cost little. pages: Gradio's application, before it serves."""
    queue = pages.get_blocks()._queue  # no option of Gradio leads to these
    queue.sleep_when_free, queue.progress_update_sleep_when_free = EVENTS_SECONDS, PROGRESS_SECONDS
    _keep_no_configurations(pages)


def _keep_no_configurations(pages: Any) -> None:
    """For each page that is opened, Gradio works out the configuration of every component of all pages, for links that reopen
    a page as it was. The studio has no such links, and that is most of what opening one of its twenty pages costs."""
    from gradio.state_holder import SessionState, StateHolder

    class PageState(SessionState):
        def __init__(self, blocks: Any) -> None:
            nothing_to_copy = SimpleNamespace(default_config=blocks.default_config, blocks=())
            super().__init__(nothing_to_copy)  # pyright: ignore[reportArgumentType]

    class PageStates(StateHolder):
        def __getitem__(self, session_id: str) -> SessionState:
            if session_id not in self.session_data:
                self.session_data[session_id] = PageState(self.blocks)
            return super().__getitem__(session_id)

    states = PageStates()
    states.set_blocks(pages.get_blocks())
    pages.state_holder = states
