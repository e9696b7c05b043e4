"""A help desk's export as people bring it: CP1252 with semicolons, contradictions, personal data, near and exact repeats."""

from __future__ import annotations

QUESTIONS = ("Größe", "Farbe", "Lieferzeit", "Gewicht", "Preis")
THINGS = ("Stehlampe", "Wasserkocher", "Wanduhr", "Küchenstuhl", "Schreibtisch", "Teppich", "Spiegel", "Regal")


def export(rows: int = 40) -> bytes:
    """The file. Its rows, after `rows` sound ones, are those that `MESS` names."""
    lines = ["Frage;Antwort"]
    for number in range(rows):
        what, thing = QUESTIONS[number % 5], THINGS[number // 5 % 8]
        lines.append(f"Welche {what} hat der Artikel {thing} Nummer {number}?;{what} von {thing} {number}: {number * 3 + 10}.")
    return ("\r\n".join([*lines, *(";".join(row) for row in MESS)]) + "\r\n").encode("cp1252")


MESS = (
    ("Wann öffnet die Werkstatt?", "Um acht Uhr."),
    ("Wann öffnet die Werkstatt?", "Seit März öffnet sie um neun Uhr."),
    ("Wer hilft bei Rückgaben?", "Schreiben Sie an helga.muster@example.org oder nennen Sie IBAN DE89 3704 0044 0532 0130 00."),
    ("Ich bin kurt@example.com, wo bleibt mein Paket?", "Lieber kurt@example.com, es kommt morgen."),
    (
        "Wie lange gilt die Garantie auf alle Lampen im Sortiment?",
        "Zwei Jahre ab dem Tag des Kaufs, gegen Vorlage der Rechnung.",
    ),
    (
        "Wie lange gilt die Garantie auf alle Lampen im Sortiment??",
        "Zwei Jahre ab dem Tag des Kaufs gegen Vorlage der Rechnung.",
    ),
    ("Was kostet der Versand?", "Der Versand kostet fünf Euro."),
    ("Was kostet der Versand?", "Der Versand kostet fünf Euro."),
)
"""(question, answer): two that contradict each other, two with personal data, a near repeat and an exact one."""
