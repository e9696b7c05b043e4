"""What a web studio may store: uploads of a session by day, the disk space of its home; refusals say what to delete."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.app import quota
from studio.app.quota import Limits, Uploads
from studio.core.errors import HardwareError, SpecError


def test_the_limits_are_decided_from_the_disk_until_an_owner_sets_them(tmp_path: Path) -> None:
    decided = quota.bounds(tmp_path)
    assert quota.LEAST_UPLOADS <= decided.session_uploads <= quota.MOST_UPLOADS
    assert decided.used < decided.disk <= decided.used + decided.free
    quota.write(Limits(session_uploads=5 << 20, disk=3 << 30), tmp_path)
    now = quota.bounds(tmp_path)
    assert (now.session_uploads, now.disk) == (5 << 20, 3 << 30)


def test_a_full_quota_is_refused_with_what_takes_most(tmp_path: Path) -> None:
    big = tmp_path / "models" / "big"
    big.mkdir(parents=True)
    with open(big / "weights", "wb") as out:
        out.truncate(2 << 30)
    quota.write(Limits(disk=1 << 30), tmp_path)
    with pytest.raises(HardwareError, match=r"disk quota of 1\.0 GiB is used up: 2\.0 GiB are taken") as refused:
        quota.require_space(tmp_path)
    assert "models 2.0 GiB" in refused.value.hint
    assert "raise the quota in Settings" in refused.value.hint
    quota.write(Limits(disk=3 << 30), tmp_path)
    quota.require_space(tmp_path)
    with pytest.raises(HardwareError, match=r"this upload needs 1\.5 GiB"):
        quota.require_space(tmp_path, 3 << 29, "this upload")


def test_a_session_uploads_so_much_a_day_and_others_are_not_counted(tmp_path: Path) -> None:
    now = 0.0
    uploads = Uploads(clock=lambda: now)
    uploads.take("ann", 60, 100)
    with pytest.raises(HardwareError, match="may upload 100 B a day; 60 B were uploaded and this is 50 B"):
        uploads.take("ann", 50, 100)
    uploads.take("bob", 50, 100)
    uploads.take("ann", 40, 100)
    now = quota.DAY + 1
    uploads.take("ann", 100, 100)


@pytest.mark.parametrize(
    ("text", "size"), [("20 GiB", 20 << 30), ("500M", 500 << 20), ("1.5 tb", 3 << 39), ("", None), ("7", 7)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int | None) -> None:
    assert quota.parse_size(text) == size


def test_limits_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for wrong in (Limits(session_uploads=10), Limits(disk=10)):
        with pytest.raises(SpecError):
            quota.write(wrong, tmp_path)
    with pytest.raises(SpecError, match="expected a size"):
        quota.parse_size("many")
