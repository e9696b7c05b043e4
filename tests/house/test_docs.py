"""What the docs say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import docs

ROOT = docs.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_field_table_and_the_schema_are_current() -> None:
    assert docs.FIELDS.read_text() == docs.fields_page(), "run: python -m tests.docs"
    assert docs.SCHEMA.read_text() == docs.schema_file(), "run: python -m tests.docs"


@pytest.mark.parametrize("document", PAGES, ids=lambda file: file.name)
def test_every_link_of_a_page_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", document.read_text())
    missing = [link for link in links if not link.startswith("http") and not (document.parent / link).exists()]
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


def test_every_pain_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "pains.md").read_text()))
    written = {name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert named - written == set()


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    wanted = {re.split(r"[<>=\[ ;]", item)[0].lower().replace("_", "-") for item in project["dependencies"]}
    assert wanted - pinned == set()


def test_the_field_table_says_which_bounds_are_excluded() -> None:
    table = (ROOT / "docs" / "fields.md").read_text()
    assert "| `training.learning_rate` | number, more than 0 and at most 1 |" in table
    assert "| `adapter.dropout` | number, at least 0 and less than 1 |" in table
