"""The corpus' exports of other tools: messengers, help desks, annotation tools, model providers, spreadsheets."""

from __future__ import annotations

from tests.data.corpus import PAIRS, Case, Refuses, Turns

SPOKEN = Turns(tuple(turn for q, a in PAIRS for turn in (("user", q), ("assistant", a))), 1)
WHO = {"roles": {"Anna": "user", "Shop": "assistant"}}


def chat(line: str, *, first: str = "") -> str:
    """A messenger's export; `line` has {m} for a minute, {who} and {said}."""
    spoken = ((who, said) for q, a in PAIRS for who, said in (("Anna", q), ("Shop", a)))
    return first + "".join(
        line.format(m=f"{minute:02}", who=who, said=said) + "\n" for minute, (who, said) in enumerate(spoken)
    )


MESSENGERS = {
    "de": "12.03.24, 10:{m} - {who}: {said}",
    "us-apple": "\u200e[3/12/24, 1:{m}:05\u202fPM] {who}: {said}",
    "us-android": "3/12/24, 1:{m}\u202fpm - {who}: {said}",
    "es": "12/3/24, 10:{m} p. m. - {who}: {said}",
    "fr": "12/03/2024 à 10:{m} - {who}: {said}",
    "nl": "12-03-2024 10:{m} - {who}: {said}",
    "sv": "2024-03-12 10:{m} - {who}: {said}",
    "ko": "2024. 3. 12. 오후 1:{m}, {who} : {said}",
}
NOTICE = "12.03.24, 10:00 - Nachrichten sind Ende-zu-Ende-verschlüsselt.\n"
NUMBER = "+44 7700 900123"

CASES: tuple[Case, ...] = (
    *(Case(f"chat-{locale}.txt", chat(line), SPOKEN, WHO) for locale, line in MESSENGERS.items()),
    Case("chat-notice.txt", chat(MESSENGERS["de"], first=NOTICE), SPOKEN, WHO),
    Case("chat-pictures.txt", chat(MESSENGERS["de"] + "\n12.03.24, 10:{m} - {who}: <Medien ausgeschlossen>"), SPOKEN, WHO),
    Case("chat-number.txt", chat(MESSENGERS["de"]).replace("Anna", f"\u202a{NUMBER}\u202c"), Refuses(f'roles: {{"{NUMBER}": user')),
    Case("chat-number-said.txt", chat(MESSENGERS["de"]).replace("Anna", NUMBER), SPOKEN, {"roles": {NUMBER: "user", "Shop": "assistant"}}),
    Case("chat-tilde.txt", chat(MESSENGERS["us-apple"]).replace("Anna", "~\u202fAnna 🌸"), SPOKEN, {"roles": {"~ Anna 🌸": "user", "Shop": "assistant"}}),
)  # fmt: skip
