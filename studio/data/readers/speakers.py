"""Speakers of chats: whose names are known, and the refusal that asks who is who."""

from __future__ import annotations

from collections.abc import Mapping

from studio.core.errors import DataError
from studio.data.readers.facts import Facts
from studio.data.turns import EVERYBODY, SPEAKERS

MARKS = "\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\ufeff"
"""Marks of writing direction, which chat exports put around names, numbers and notices."""
_USUAL = {
    **SPEAKERS,
    "q": "user",
    "question": "user",
    "a": "assistant",
    "answer": "assistant",
    "frage": "user",
    "antwort": "assistant",
    **dict.fromkeys(("kunde", "kundin", "nutzer", "nutzerin", "anfrage", "cliente", "usuario", "usuário", "utente"), "user"),
    **dict.fromkeys(("utilisateur", "klant", "klient", "pregunta", "domanda", "pergunta", "guest", "caller"), "user"),
    **dict.fromkeys(("berater", "beraterin", "kundendienst", "agente", "asistente", "assistente", "assistent"), "assistant"),
    **dict.fromkeys(("conseiller", "conseillère", "respuesta", "réponse", "risposta", "resposta"), "assistant"),
    **dict.fromkeys(("mitarbeiter", "mitarbeiterin", "kundenservice", "kundenbetreuung", "soporte", "suporte"), "assistant"),
    **dict.fromkeys(("service client", "servicio al cliente", "operatore", "operador", "atendente"), "assistant"),
    **dict.fromkeys(("helpdesk", "help desk", "customer service", "representative", "advisor"), "assistant"),
}


def bare(name: str) -> str:
    """A speaker's name without the tilde of a person who is no contact, and without marks."""
    return name.strip(f"{MARKS}~ \t\u00a0\u202f")


def known(name: str, roles: Mapping[str, str]) -> str:
    """The role of a speaker's name: as the settings say, or a usual name's; else nothing."""
    lowered = name.lower()
    said = {bare(key): role for key, role in roles.items()}
    return said.get(lowered) or _USUAL.get(lowered) or said.get(EVERYBODY, "")


def who(names: list[str], facts: Facts, what: str = "it is a transcript", text: bool = False) -> DataError:
    """The refusal of a chat whose speakers are not known, with the line that says who is who."""
    from studio.data.advice import quoted

    one, two = (*names, "NAME")[:2]
    line = f"roles: {{{quoted(one)}: user, {quoted(two)}: assistant}}"
    others = f' A role for `"{EVERYBODY}"` is that of everybody else.' if len(names) > 2 else ""
    as_text = " To learn it as it stands, set data.format: text." if text else ""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    join = "turns: join if one speaks several times in a row"
    return DataError(
        f"{what}, and it is not clear who of {', '.join(f'`{name}`' for name in names[:8])}{more} is the assistant",
        hint=f"Write under data: {line} with the right roles, and {join}.{others}{as_text}",
        where=facts.name,
    )
