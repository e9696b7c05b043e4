"""What a page may begin: with models of its list, files that were dropped into it, and an address with a model's name."""

from __future__ import annotations

from pathlib import Path

import pytest

import studio
from studio.app import cascade_web
from studio.app.cascade_web import Uploads
from studio.core.errors import JobError, SpecError


def test_a_page_begins_no_cascade_with_what_is_not_its_own(tmp_path: Path):
    for small, url, model, files, message in (
        ("/etc", "http://localhost:1/v1", "m", Uploads(), "choose a run or a model"),
        ("starter", "localhost", "m", Uploads(), "address and name"),
        ("starter", "http://localhost:1/v1", "", Uploads(), "address and name"),
        ("starter", "http://localhost:1/v1", "m", Uploads(fresh=["/etc/passwd"]), "not dropped here"),
    ):
        with pytest.raises(SpecError, match=message):
            cascade_web.begin_calibrating(tmp_path, small, url, model, None, 0.02, files)
    assert cascade_web.task(tmp_path) is None


def test_from_python_a_cascade_names_its_models_or_says_what_is_wrong(tmp_path: Path):
    with pytest.raises(SpecError, match="expected a model behind an API"):
        studio.calibrate_cascade("starter", "gpt", home=tmp_path)
    with pytest.raises(JobError):
        studio.calibrate_cascade("nothing", "http://127.0.0.1:1/v1#m", home=tmp_path)
