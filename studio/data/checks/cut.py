"""Answers that stop in the middle of a sentence."""

from __future__ import annotations

import re
from array import array

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.tracking.reporter import Reporter

LONG = 60
"""Characters from which an answer is expected to end as a sentence does."""
USUAL = 0.8
"""Share of the long answers that end as sentences do, from which one that does not is a finding."""
_CLOSED = tuple(".!?…。！？।॥؟۔:;)]}>»\"'”’`*_|~%€$£¥°0123456789")
_DANGLING = re.compile(
    r"(?:[,(\[{«“–—-]|\b(?:and|or|but|the|a|an|of|to|for|with|in|on|at|by|from|because|which|that|is|are|was|und|oder|der|die|"
    r"das|ein|eine|mit|von|für|weil|et|ou|le|la|les|de|des|du|avec|pour|y|o|el|los|las|con|para|e|il|di|per))$",
    re.IGNORECASE,
)


class Cut:
    """Notes which long answers lack an end; how usual ends are is known only after all rows."""

    def __init__(self) -> None:
        self._open, self._dangling = array("I"), array("I")
        self._long = self._count = 0

    def add(self, said: Said) -> None:
        """Look at the end of the answer, or of the plain text."""
        index, self._count = self._count, self._count + 1
        if len(said.answer) < LONG:
            return
        self._long += 1
        answer = said.answer.rstrip()
        if answer.count("```") % 2:
            self._dangling.append(index)
        elif not answer.endswith(_CLOSED) and not _is_symbol(answer[-1:]):
            (self._dangling if _DANGLING.search(answer[-12:]) else self._open).append(index)

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """Answers that end in the midst; all without an end only where nearly all others have one."""
        unfinished = len(self._open) + len(self._dangling)
        rows = [*self._dangling, *self._open] if unfinished <= (1 - USUAL) * self._long else list(self._dangling)
        return CheckResult(sorted(rows), lambda index: "…" + texts.answer(index).rstrip()[-70:])


def _is_symbol(letter: str) -> bool:
    """An emoji or other sign that people end a sentence with."""
    return bool(letter) and ord(letter) > 0x2000 and not letter.isalnum()


CHECK = Check(
    "cut_answers",
    "warning",
    "answers stop in the middle of a sentence",
    f"answers under {LONG} characters, and answers that were cut behind a full stop",
    scan=Cut,
)
