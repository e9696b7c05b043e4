"""A small part of the campaign, always the same: no damaged file and no failed write takes a home down."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.campaign import campaign, faults
from tests.campaign.matrix import Matrix

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("matrix"), with_pages=False)


def test_every_command_shows_a_whole_home(matrix: Matrix) -> None:
    assert matrix.whole() == []


@pytest.mark.parametrize("kind", faults.DAMAGES)
def test_no_damaged_file_takes_a_command_down(matrix: Matrix, kind: str) -> None:
    chance = random.Random(f"7 {kind}")
    for file in chance.sample(matrix.files(), 2):
        assert matrix.damaged(file, kind, chance) == []


@pytest.mark.parametrize("fault", faults.WRITE_FAULTS)
def test_whichever_write_fails_the_home_can_be_used_afterwards(tmp_path: Path, fault: str) -> None:
    result = campaign.Result()
    campaign.fail_each_write(tmp_path, fault, result)
    assert sum(result.tried.values()) > 10
    assert result.failed == []
