"""HTML from Jinja2 templates in which every value is escaped: nothing foreign becomes markup, whatever a fragment holds.

A template file holds macros, one a fragment; `Fragments` calls them from Python. What a macro returns is `Markup`, which
other templates take as it is; every other value is escaped.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED = "studio.core"
"""The package whose templates every other one's may import."""


@cache
def environment(package: str) -> Environment:
    """The templates of a package, in its folder `templates`, and those all share."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    from studio.core import text

    loader = ChoiceLoader([PackageLoader(package), PackageLoader(SHARED)])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    untyped: Any = made  # Jinja2 gives no type of what it holds
    untyped.filters.update(count=text.count, duration=text.duration, sentence=sentence, size=text.size)
    untyped.globals.update(plural=text.plural, shorten=text.shorten)
    return made


class Fragments:
    """The macros of one template file."""

    def __init__(self, package: str, file: str) -> None:
        self._package, self._file = package, file

    def __call__(self, macro: str, /, *values: object, **named: object) -> Markup:
        """The HTML a macro writes from some values."""
        module: Any = environment(self._package).get_template(self._file).module
        return Markup(str(getattr(module, macro)(*values, **named)).strip())


def render(package: str, file: str, **values: object) -> str:
    """A whole template as text."""
    return environment(package).get_template(file).render(**values)


def sentence(words: object) -> str:
    """With a capital letter and a full stop."""
    text = str(words).strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?…' else '.'}" if text else ""
