"""A small part of the campaign, always the same: no damaged file and no failed write takes a home down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign import campaign, faults


@pytest.mark.slow
def test_no_damaged_file_takes_a_view_down() -> None:
    result = campaign.run(60, seed=7, most=12)
    assert sum(result.tried.values()) > 10
    assert result.failed == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults.WRITE_FAULTS)
def test_whichever_write_fails_the_home_can_be_used_afterwards(tmp_path: Path, fault: str) -> None:
    result = campaign.Result()
    campaign.fail_each_write(tmp_path, fault, result)
    assert sum(result.tried.values()) > 10
    assert result.failed == []
