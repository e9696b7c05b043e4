"""No clock, restart or process number makes a run that works look dead, or a dead one look as if it worked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign import clocks


def test_what_is_at_work_is_known_whatever_clock_and_process_table_say(tmp_path: Path) -> None:
    cases = list(clocks.cases(tmp_path, with_views=False))
    assert {change.name for change, _, _ in cases} == {change.name for change in clocks.CHANGES}
    assert [problem for _, _, found in cases for problem in found] == []


@pytest.mark.parametrize("name", ["an hour back", "restart of the machine"])
def test_every_list_and_command_comes_after_it(tmp_path: Path, name: str) -> None:
    changes = [change for change in clocks.CHANGES if change.name.endswith(name)]
    assert [problem for _, _, found in clocks.cases(tmp_path, changes) for problem in found] == []
