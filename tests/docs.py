"""Writes what docs and editors read from the spec itself: `python -m tests.docs`. A test checks that they are current."""

from __future__ import annotations

import json
from pathlib import Path

from studio import spec
from studio.app import making, reference
from studio.core.files import write_text
from tests import site

ROOT = Path(__file__).parents[1]
FIELDS = ROOT / "docs" / "fields.md"
SCHEMA = ROOT / "configs" / "schema.json"
RECIPE_SCHEMA = ROOT / "configs" / "recipes" / "schema.json"
DIAGRAM = ROOT / "docs" / "images" / "architecture.svg"

HEAD = """# Every field of a spec

The same fields in YAML, in `--set section.field=value`, in Python and in the form. *Empty* means "decide for me":
`studio plan` shows what was decided and why. Made by `python -m tests.docs` from the fields themselves.

"""


def fields_page() -> str:
    """docs/fields.md."""
    return HEAD + reference.markdown()


def schema_file() -> str:
    """configs/schema.json."""
    return json.dumps(spec.schema(), indent=2) + "\n"


def recipe_schema_file() -> str:
    """configs/recipes/schema.json."""
    return json.dumps(making.schema(), indent=2) + "\n"


if __name__ == "__main__":
    write_text(FIELDS, fields_page())
    write_text(SCHEMA, schema_file())
    write_text(RECIPE_SCHEMA, recipe_schema_file())
    write_text(DIAGRAM, site.diagram())
