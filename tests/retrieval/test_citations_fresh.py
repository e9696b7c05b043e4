"""Citations on cases that the rule was not made with: written first, measured once, and not to be tuned on.

What is measured is in docs/documents.md. A change of the rule that does worse here fails.
"""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

from studio.documents.records import Passage
from studio.retrieval import grounding

PASSAGES = {
    "leave": "Annual leave\nFull-time staff receive 28 days of annual leave. Up to six days may be carried over until 31 March of the next year.",
    "sick": "Sickness\nPlease phone your team lead before half past eight. A medical certificate is required from the fourth day of absence.",
    "travel": "Business travel\nRail journeys are booked in second class. Hotel bills up to 140 euros per night are reimbursed on presentation of the receipt.",
    "laptop": "Laptops\nLaptops are replaced every four years. Lost devices must be reported to the service desk within two hours.",
    "oven": "Korvin oven K200\nThe Korvin K200 heats to 280 degrees and draws 3.1 kilowatts. Clean the door glass with a damp cloth only.",
    "pump": "Halden water pump\nThe Halden pump moves 45 litres a minute. Replace the rubber seal after 1,200 hours of use.",
    "drone": "Pereg drone\nThe Pereg flies for 22 minutes with a full battery. It must not be flown in winds above 35 km/h.",
    "river": "The Tamsin river\nThe Tamsin rises near Orlow and flows 214 kilometres to the sea. Its largest tributary is the Vey.",
    "treaty": "Treaty of Lorne\nThe Treaty of Lorne was signed in 1782 by Duke Aldric and the town of Bessen. It ended the salt war.",
    "museum": "Museum of Glass\nThe Museum of Glass is closed on Tuesdays. Admission is 9 euros; children under twelve enter free.",
    "fever": "Fever in children\nCall a doctor if an infant younger than three months has a temperature of 38 degrees or more. Give plenty to drink.",
    "return": "Returns\nUnused goods can be sent back within 30 days. The refund is paid to the original payment method within five working days.",
}


def c(question: str, found: str, answer: str, cited: str | None) -> tuple[str, list[str], str, str | None]:
    """A case: the passages by name, and which one ought to be cited (none: nothing)."""
    return question, found.split(), answer, cited


CASES = [
    # right answers, in the passage's words or close to them
    c("How many days of annual leave do I get?", "leave sick travel", "You get 28 days of annual leave.", "leave"),
    c(
        "Until when can I carry leave over?",
        "leave return museum",
        "Up to six days can be carried over until 31 March.",
        "leave",
    ),
    c("When do I need a medical certificate?", "sick fever leave", "From the fourth day of absence.", "sick"),
    c(
        "What does the company pay for a hotel?",
        "travel museum return",
        "Hotel bills are reimbursed up to 140 euros per night.",
        "travel",
    ),
    c("How hot does the Korvin K200 get?", "oven pump drone", "It heats to 280 degrees.", "oven"),
    c("How much water does the Halden pump move?", "pump river oven", "45 litres a minute.", "pump"),
    c("How long can the Pereg stay in the air?", "drone oven pump", "The Pereg flies for 22 minutes.", "drone"),
    c("How long is the Tamsin?", "river treaty museum", "The river is 214 kilometres long.", "river"),
    c("Who signed the Treaty of Lorne?", "treaty river museum", "Duke Aldric and the town of Bessen signed it.", "treaty"),
    c("On which day is the Museum of Glass closed?", "museum return leave", "It is closed on Tuesdays.", "museum"),
    c("What does a ticket for the Museum of Glass cost?", "museum travel return", "A ticket costs 9 euros.", "museum"),
    c(
        "When should I call a doctor for my baby's fever?",
        "fever sick leave",
        "Call a doctor if the infant is younger than three months and has 38 degrees or more.",
        "fever",
    ),
    c(
        "Can I send back something I have not used?",
        "return leave museum",
        "Yes, unused goods can be sent back within 30 days.",
        "return",
    ),
    c("How quickly must I report a lost laptop?", "laptop return sick", "Within two hours, to the service desk.", "laptop"),
    c("When is the pump's seal due?", "pump oven laptop", "Replace the rubber seal after 1,200 hours.", "pump"),
    # right, but said in other words
    c("May I fly the Pereg in a storm?", "drone river oven", "No, not when the wind is stronger than 35 km/h.", "drone"),
    c("How do I wipe the window of the Korvin oven?", "oven pump museum", "Use nothing but a moist cloth.", "oven"),
    c("What did the Treaty of Lorne put an end to?", "treaty river leave", "It brought the salt war to a close.", "treaty"),
    c("In which class do we go by train?", "travel leave museum", "Trains are booked second class.", "travel"),
    c("How often does one get a new laptop?", "laptop travel leave", "You receive a new one every four years.", "laptop"),
    # wrong value
    c("How many days of annual leave do I get?", "leave sick travel", "You get 30 days of annual leave.", None),
    c(
        "What does the company pay for a hotel?",
        "travel museum return",
        "Hotel bills are reimbursed up to 120 euros per night.",
        None,
    ),
    c("How hot does the Korvin K200 get?", "oven pump drone", "It heats to 250 degrees.", None),
    c("How much water does the Halden pump move?", "pump river oven", "The Halden pump moves 54 litres a minute.", None),
    c("Who signed the Treaty of Lorne?", "treaty river museum", "King Osbert signed the Treaty of Lorne.", None),
    c("On which day is the Museum of Glass closed?", "museum return leave", "It is closed on Mondays.", None),
    c("When do I need a medical certificate?", "sick fever leave", "From the third day of absence.", None),
    c("How long can the Pereg stay in the air?", "drone oven pump", "The Pereg flies for 35 minutes.", None),
    c("Where does the Tamsin rise?", "river treaty museum", "It rises near Bessen.", None),
    c("How quickly must I report a lost laptop?", "laptop return sick", "Within four hours.", None),
    # a value from another passage, or another thing
    c("What does a ticket for the Museum of Glass cost?", "museum travel return", "A ticket costs 140 euros.", None),
    c("How long does a refund take?", "return leave sick", "A refund takes 28 days.", None),
    c("How long does the Pereg drone's battery take to charge?", "drone laptop pump", "It charges in 90 minutes.", None),
    c("What does the Halden pump weigh?", "pump oven drone", "It weighs 12 kilograms.", None),
    c("Who painted the ceiling of the Museum of Glass?", "museum treaty river", "It was painted by Ansel Brode.", None),
    # refusals and talk: nothing to cite
    c("What does the Halden pump cost?", "pump oven drone", "The documents do not say what the pump costs.", None),
    c("Who is the director of the Museum of Glass?", "museum treaty river", "I cannot find that in the documents.", None),
    # twisted: words cannot show it, counted apart
    c("May I fly the Pereg in winds of 40 km/h?", "drone river oven", "Yes, it may be flown in winds above 35 km/h.", None),
    c("Do children pay at the Museum of Glass?", "museum return travel", "Yes, children under twelve must pay 9 euros.", None),
    c("Can used goods be sent back?", "return leave museum", "Used goods can be sent back within 30 days.", None),
]

TWISTED = 3
"""The last cases: a *not* put in or left out, which words cannot show."""


def passage(name: str) -> Passage:
    text = PASSAGES[name]
    return Passage(id=name, document=name, text=text, heading_path=(text.split("\n")[0],), start=0, end=0, sha256="")


def cited(case: tuple[str, list[str], str, str | None]) -> set[str]:
    question, found, answer, _ = case
    return {item.document for item in grounding.citations(answer, [passage(name) for name in found], question)}


def test_right_answers_cite_their_passage_and_no_other_and_hardly_any_wrong_one_cites_anything() -> None:
    right = [(cited(case), case[3]) for case in CASES if case[3]]
    wrong = [cited(case) for case in CASES[:-TWISTED] if case[3] is None]
    assert (len(right), len(wrong)) == (20, 17)
    assert sum(found == {want} for found, want in right) >= 15
    assert all(found <= {want} for found, want in right)
    assert sum(bool(found) for found in wrong) <= 1
