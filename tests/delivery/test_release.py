"""Version and changelog say the same, in one place each."""

from __future__ import annotations

import re
import subprocess

import pytest

import studio
from tests.delivery.conftest import ROOT


def test_the_topmost_section_of_the_changelog_is_the_present_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0].split()[0] == studio.__version__
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \((\d{4}-\d\d-\d\d|unreleased)\)", heading) for heading in headings)
    assert all("unreleased" not in heading for heading in headings[1:])


def test_the_version_stands_in_one_place() -> None:
    assert f'version = "{studio.__version__}"' not in (ROOT / "pyproject.toml").read_text().split("[tool.", 1)[0]


@pytest.mark.parametrize("script", ["release", "audit"])
def test_the_scripts_of_a_release_are_what_bash_can_read(script: str) -> None:
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / script)]).returncode == 0


def test_a_release_is_audited_and_its_pins_get_hashes() -> None:
    steps = (ROOT / ".ci" / "release").read_text()
    assert steps.index("make audit") < steps.index("git tag --annotate")
    assert ".ci/audit --hashes" in steps
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.strip() and line[0] != "#"]
    assert all("==" in line for line in pins)
