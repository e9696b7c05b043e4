"""Version and changelog say the same, in one place each."""

from __future__ import annotations

import re
import subprocess

import studio
from tests.delivery.conftest import ROOT


def test_the_topmost_section_of_the_changelog_is_the_present_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0].split()[0] == studio.__version__
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \((\d{4}-\d\d-\d\d|unreleased)\)", heading) for heading in headings)
    assert all("unreleased" not in heading for heading in headings[1:])


def test_the_version_stands_in_one_place() -> None:
    assert f'version = "{studio.__version__}"' not in (ROOT / "pyproject.toml").read_text().split("[tool.", 1)[0]


def test_the_release_script_is_a_script_bash_can_read() -> None:
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "release")]).returncode == 0
