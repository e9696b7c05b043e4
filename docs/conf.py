"""The documentation site: Sphinx over the Markdown pages of this folder. `make docs` builds it into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import studio  # noqa: E402

project = "Studio"
author = "The Studio authors"
version = release = studio.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["conf.py"]

html_theme = "furo"
html_title = f"Studio {version}"
html_favicon = "../studio/ui/static/favicon.svg"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
highlight_language = "text"

autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True


def as_markdown(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written with Markdown's single backticks: make them reStructuredText's double ones."""
    import re

    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]


def write_generated(app: Any) -> None:
    """Write the pages that are made from the code: the command reference."""
    from tests import site

    (Path(app.srcdir) / "commands.md").write_text(site.commands_page(), encoding="utf-8")


def setup(app: Any) -> None:
    """Connect what is above."""
    app.connect("autodoc-process-docstring", as_markdown)
    app.connect("builder-inited", write_generated)
