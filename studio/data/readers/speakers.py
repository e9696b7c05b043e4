"""The refusal of a chat whose speakers are not known: it asks who is who."""

from __future__ import annotations

from studio.core.errors import DataError
from studio.data.readers.facts import Facts
from studio.data.turns import EVERYBODY


def who(names: list[str], facts: Facts, what: str = "it is a transcript", text: bool = False) -> DataError:
    """The refusal of a chat whose speakers are not known, with the line that says who is who."""
    from studio.data.choices import quoted

    one, two = (*names, "NAME")[:2]
    line = f"roles: {{{quoted(one)}: user, {quoted(two)}: assistant}}"
    others = ""
    if len(names) > 2:
        line = f'roles: {{{quoted(two)}: assistant, "{EVERYBODY}": user}}'
        others = f' The role of `"{EVERYBODY}"` is that of everybody else.'
    as_text = " To learn it as it stands, set data.format: text." if text else ""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    join = "turns: join if one speaks several times in a row"
    return DataError(
        f"{what}, and it is not clear who of {', '.join(f'`{name}`' for name in names[:8])}{more} is the assistant",
        hint=f"Write under data: {line} with the right roles, and {join}.{others}{as_text}",
        where=facts.name,
    )
