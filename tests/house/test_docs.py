"""What the docs say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import docs

ROOT = docs.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "studio" / "README.md"])


def test_the_field_table_and_the_schema_are_current() -> None:
    assert docs.FIELDS.read_text() == docs.fields_page(), "run: python -m tests.docs"
    assert docs.SCHEMA.read_text() == docs.schema_file(), "run: python -m tests.docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert missing == []


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from studio.cli.main import app

    root = get_command(app)
    for line in re.findall(r"^\$ studio (.+?)(?:#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE):
        command = root
        for word in line.split():
            inner = getattr(command, "commands", {}).get(word)
            if inner is None:
                break
            command = inner
        assert command is not root, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in line.split() if word.startswith("--")} <= known, line


def test_every_config_the_readme_names_is_there() -> None:
    for name in re.findall(r"configs/[\w.-]+\.yaml", (ROOT / "README.md").read_text()):
        assert (ROOT / name).exists(), name
