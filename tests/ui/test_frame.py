"""What pages share: how one follows an item of a list."""

from __future__ import annotations

from typing import Any

import pytest

from studio.ui import frame

pytestmark = pytest.mark.slow  # gradio is loaded


def test_a_page_follows_a_new_item_and_goes_back_only_when_it_is_chosen() -> None:
    import gradio as gr

    jobs = ["first"]

    def now(wanted: str | None, before: dict[str, Any] | None) -> tuple[Any, ...]:
        begun = jobs[0] != (before or {}).get("newest", jobs[0])
        item = wanted if wanted in jobs and not begun else jobs[0]
        return f"about {item}", {"newest": jobs[0], "id": item}

    polled, picked = frame.followed(now, "id")
    _, seen, current = picked(None, None)
    assert current == "first"
    jobs.insert(0, "second")
    shown, seen, current = polled(current, seen)
    assert (shown, current) == ("about second", "second")
    assert polled(current, seen) == (shown, seen, gr.skip())
    assert picked("first", seen)[-1] == "first"
