"""Every page of the web studio, opened as a browser opens it: load events, what follows them, and a clock's first tick."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from studio.core.people import OWNER
from studio.ui.visit import Visit
from tests.campaign import whole_home


class Pages:
    """The pages of one home, which must lie at the same path at every look."""

    def __init__(self, home: Path) -> None:
        from studio.ui import site

        (home / "ui").mkdir(parents=True, exist_ok=True)
        self._home = home
        self._site = site.build(home)
        self._following: dict[Any, list[Any]] = {}
        self._changing: dict[int, list[Any]] = {}
        for event in self._site.fns.values():
            if event.trigger_after is not None:
                self._following.setdefault(event.trigger_after, []).append(event)
            for block, name in event.targets:
                if name == "change" and block is not None:
                    self._changing.setdefault(block, []).append(event)

    def open(self, page: str, query: dict[str, str]) -> None:
        """Open a page. Raises gr.Error for what the page shows as an error."""
        values: dict[int, Any] = {}
        for event in self._events(page):
            self._fire(event, values, query)

    def _events(self, page: str) -> Iterator[Any]:
        for event in self._site.fns.values():
            if event.page == page and any(name == "load" for _, name in event.targets):
                yield event
        for event in self._site.fns.values():
            if event.page == page and any(name == "tick" for _, name in event.targets):
                yield event

    def _fire(self, event: Any, values: dict[int, Any], query: dict[str, str]) -> None:
        if event.fn is not None:
            visit = Visit(OWNER, "campaign", self._home, "127.0.0.1")
            request = SimpleNamespace(query_params=query, state=SimpleNamespace(visit=visit))
            given = [values.get(item._id, getattr(item, "value", None)) for item in event.inputs]
            takes_request = "request" in getattr(event.fn, "__annotations__", {})
            said = event.fn(request, *given) if takes_request else event.fn(*given)
            said = list(said)[-1] if isinstance(said, Iterator) else said
            changed = _write(event.outputs, said, values)
            for block in changed:
                for other in self._changing.get(block, []):
                    if other is not event and other.fn is not None and other.page == event.page:
                        self._fire(other, values, query)
        for other in self._following.get(event._id, []):
            self._fire(other, values, query)


def _write(outputs: list[Any], said: Any, values: dict[int, Any]) -> list[int]:
    """Put what a function gave into the page; the components whose value is another now."""
    if len(outputs) == 1:
        said = [said]
    changed = []
    for component, value in zip(outputs, said or (), strict=False):
        if isinstance(value, dict) and value.get("__type__") == "update":
            if "value" not in value:
                continue
            value = value["value"]
        if values.get(component._id, getattr(component, "value", None)) != value:
            changed.append(component._id)
        values[component._id] = value
    return changed


def visits(home: Path) -> Iterator[tuple[str, dict[str, str], str]]:
    """Every page with the addresses it is opened at: page, query, and the thing it shows, relative to the home."""
    named = whole_home.names(home)
    for page in ("", "data", "documents", "make", "train", "runs", "evidence", "chat", "export", "serve", "cascade", "bench"):
        yield page, {}, ""
    yield "settings", {}, ""
    both = named["runs"]
    yield "compare", {"runs": ",".join(both)}, "runs"
    for run in both:
        for page in ("run", "evidence", "rate", "chat", "export"):
            yield page, {"id": run}, f"runs/{run}"
        yield "train", {"again": run}, f"runs/{run}"
    for name in named["datasets"]:
        keys = sorted(f"{name}/{folder.name}" for folder in (home / "datasets" / name).glob("[!.]*") if folder.is_dir())
        for key in keys:
            yield "dataset", {"key": key}, f"datasets/{name}"
            yield "desk", {"key": key}, f"datasets/{name}"
        yield "train", {"data": keys[0]}, f"datasets/{name}"
    for name in named["documents"]:
        yield "documents", {"name": name}, f"documents/{name}"
        yield "documents", {"name": name, "document": "aurel.md"}, f"documents/{name}"
    for job in named["making"]:
        yield "make", {"job": job}, f"making/{job}"
    for cascade in named["cascades"]:
        yield "cascade", {"id": cascade}, f"cascades/{cascade}"
