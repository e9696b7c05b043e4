"""Speakers of chats: which names are usual ones, and what role they have."""

from __future__ import annotations

from collections.abc import Mapping

from studio.data.turns import EVERYBODY, SPEAKERS

MARKS = "\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\ufeff"
"""Marks of writing direction, which chat exports put around names, numbers and notices."""
_USUAL = {
    **SPEAKERS,
    **dict.fromkeys(("you", "you said", "me", "i"), "user"),
    **dict.fromkeys(("chatgpt said", "claude said", "gemini said", "copilot said"), "assistant"),
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
