"""Every value that a template writes is escaped: a property of the environment, held for every template of the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError, nodes

import studio
from studio.core import html
from studio.core.html import Fragments, environment

EVIL = "\"'><script>hack()</script>&"
ROOT = Path(studio.__file__).parent
TEMPLATES = sorted(
    (f"studio.{'.'.join(file.relative_to(ROOT).parts[:-2])}", file.relative_to(file.parents[0]).as_posix())
    for file in ROOT.rglob("templates/*.html")
)


def test_there_are_templates():
    assert len(TEMPLATES) > 8


@pytest.mark.parametrize(("package", "name"), TEMPLATES)
def test_no_template_turns_escaping_off(package: str, name: str):
    made = environment(package)
    source = made.loader.get_source(made, name)[0]  # type: ignore[union-attr]
    assert made.autoescape is True
    tree = made.parse(source)
    assert not [part for part in tree.find_all(nodes.Filter) if part.name == "safe"]
    assert not list(tree.find_all((nodes.MarkSafe, nodes.MarkSafeIfAutoescape, nodes.ScopedEvalContextModifier)))
    assert not re.search(r"<[^>{]*\s[\w-]+=\{\{", source)  # an attribute without quotes can be left by a blank


def test_a_value_is_escaped_and_markup_is_not():
    parts = Fragments("studio.app", "parts.html")
    once = parts("badge", EVIL, EVIL)
    assert "<script" not in once
    assert "&lt;script&gt;" in once
    assert parts("note", once) == f'<p class="note">{once}</p>'  # not escaped twice


def test_a_name_that_a_template_does_not_know_is_an_error():
    with pytest.raises(UndefinedError):
        html.render("studio.ui", "sign_in.html", message="")


def test_python_makes_markup_of_foreign_text_nowhere():
    """`Markup(x)` in the code takes texts of ours alone, or what another template wrote."""
    allowed = {
        "core/html.py": 1,  # a macro's own output
        "cascade/page.py": 3,  # its style sheet, and a frame around charts
        "comparison/page.py": 1,  # its style sheet
        "evaluation/page.py": 1,  # its style sheet
        "app/fragments/bench.py": 3,  # the page of a benchmark, which escapes by itself
    }
    for file in ROOT.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        calls = re.findall(r"\bMarkup\((?!\"\"\))", source) if "markupsafe" in source else []
        assert len(calls) <= allowed.get(file.relative_to(ROOT).as_posix(), 0), file
