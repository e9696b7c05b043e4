"""Writing: tokens to text while they come, whole characters only, and ended at a stop string wherever it falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]


class Writer:
    """The text of one answer, token by token."""

    def __init__(self, decode: Decode, stops: Sequence[str] = ()) -> None:
        self._decode, self._stops = decode, tuple(stop for stop in stops if stop)
        self._ids: list[int] = []
        self._from = self._read = 0
        self._held = ""
        self.stopped = False
        """True once a stop string came; it is not part of the text."""

    def add(self, token: int) -> str:
        """Take one more token; the text that can be shown now."""
        self._ids.append(token)
        # a token's text depends on those before it: decode a window that begins where the text was last whole
        before = self._decode(self._ids[self._from : self._read])
        text = self._decode(self._ids[self._from :])
        if text.endswith("\ufffd") or len(text) <= len(before):
            return ""
        self._from, self._read = self._read, len(self._ids)
        return self._release(text[len(before) :])

    def finish(self) -> str:
        """The text still held back when the answer ended."""
        if self.stopped:
            return ""
        before = self._decode(self._ids[self._from : self._read])
        rest = self._decode(self._ids[self._from :])[len(before) :]
        self._from = self._read = len(self._ids)
        shown = self._release(rest)
        held, self._held = self._held, ""
        return shown if self.stopped else shown + held

    def _release(self, new: str) -> str:
        """The held and the new text, up to a stop string or to what may become one."""
        if not self._stops:
            return new
        text = self._held + new
        places = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :] if keep else ""
        return text[: len(text) - keep] if keep else text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[len(text) - length :]):
            return length
    return 0
