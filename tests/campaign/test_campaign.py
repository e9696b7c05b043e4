"""A small part of the campaign, always the same: no damaged file and no failed write takes a home down."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from tests.campaign import campaign, faults
from tests.campaign.each_write import COMPILER, FAULTS, NO_COMPILER, EachWrite
from tests.campaign.matrix import Matrix

pytestmark = pytest.mark.slow
CALLS = ("open", "write", "pwrite", "writev", "sendfile", "rename", "mkdir", "link", "fsync", "truncate", "allocate")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("matrix"), with_pages=False)


def test_every_command_shows_a_whole_home(matrix: Matrix) -> None:
    assert matrix.whole() == []


@pytest.mark.parametrize("kind", faults.DAMAGES)
def test_no_damaged_file_takes_a_command_down(matrix: Matrix, kind: str) -> None:
    chance = random.Random(f"7 {kind}")
    for file in chance.sample(matrix.files(), 2):
        assert matrix.damaged({file: kind}, chance) == []


def test_no_two_damaged_files_take_a_command_down(matrix: Matrix) -> None:
    result = campaign.Result()
    for number in range(4):
        campaign.damage_two(matrix, random.Random(f"7 {number}"), result)
    assert result.tried["two damaged files"] == 4
    assert result.failed == []


@pytest.mark.parametrize("fault", faults.WRITE_FAULTS)
def test_whichever_write_fails_the_home_can_be_used_afterwards(tmp_path: Path, fault: str) -> None:
    result = campaign.Result()
    campaign.fail_each_write(tmp_path, fault, result)
    assert sum(result.tried.values()) > 10
    assert result.failed == []


@pytest.mark.torch
@pytest.mark.skipif(COMPILER is None, reason=NO_COMPILER)
def test_whichever_write_of_a_whole_run_fails_it_goes_on_to_the_same_result(tmp_path: Path) -> None:
    with contextlib.closing(EachWrite(tmp_path)) as run:
        chance = random.Random(7)
        for number, fault in enumerate(FAULTS):  # one in each quarter of the run
            fault, what, failed = run.fail(f"home-{number}", fault, chance.randint(1, 50) + number * 50)
            assert what.partition(" ")[0] in CALLS
            assert failed == []
