"""Write `datasets/tickets.jsonl` (one label a message) and `datasets/orders.jsonl` (fields of a letter as JSON).

`python -m tests.tools.make_tasks` writes the same bytes every time.
"""

from __future__ import annotations

import json
from random import Random

from tests.tools.make_support import DATASETS, PRODUCTS, SEED

LABELS = {
    "delivery": (
        "My {product} was due {when} and has not come.",
        "Where is the parcel with the {product}? I have been waiting since {when}.",
        "The tracking page has said the same since {when}. When will the {product} be here?",
        "You sent the {product} to my old address {when}.",
    ),
    "repair": (
        "The {product} stopped working {when}.",
        "My {product} makes a loud noise since {when}, can it be mended?",
        "A part of the {product} broke off {when}.",
        "The {product} does not switch on any more, it was fine until {when}.",
    ),
    "refund": (
        "I returned the {product} {when} and have not got my money back.",
        "Please take back the {product}, I bought it {when} and do not like it.",
        "I was charged twice for the {product} {when}.",
        "I cancelled the {product} {when}. When will I be paid back?",
    ),
    "question": (
        "Is the {product} in your store again? It was sold out {when}.",
        "Does the {product} come in another colour? I saw one {when}.",
        "Can I use the {product} outdoors? A friend told me so {when}.",
        "What is the difference between the {product} and the one you showed {when}?",
    ),
}
WHEN = ("yesterday", "on Monday", "last week", "two days ago", "this morning", "on 3 May", "before the holidays")
NAMES = ("Ada Brandt", "Jonas Kiel", "Mirja Oland", "Pablo Serra", "Yuki Tan", "Femi Ade", "Clara Novak", "Luis Prado")
TOWNS = ("Lyon", "Graz", "Turku", "Porto", "Leeds", "Ghent", "Malmo", "Brno")
LETTERS = (
    "Hello, this is {name} from {town}. I would like {count} of the {product}, please by {day}.",
    "Please send {count} × {product} to {name}, {town}. They have to be here by {day}.",
    "{name} here. We talked on the phone: {count} pieces of the {product} for our house in {town}, no later than {day}.",
    "Dear team, I order the {product}, {count} pieces. Delivery to {town} until {day}. Regards, {name}",
)
INSTRUCTION = "Give name, town, product, count and day as JSON."


def tickets() -> list[dict[str, str]]:
    """Messages with the team each belongs to, every label alike often."""
    random = Random(SEED)
    rows = []
    for number in range(40):
        for label, forms in LABELS.items():
            text = forms[number % len(forms)].format(product=random.choice(list(PRODUCTS)), when=random.choice(WHEN))
            rows.append({"prompt": text, "completion": label})
    random.shuffle(rows)
    return list({row["prompt"]: row for row in rows}.values())


def orders() -> list[dict[str, str]]:
    """Letters that order something, and what they say as JSON with its keys always in the same order."""
    random = Random(SEED + 1)
    rows = []
    for number in range(120):
        fields = {
            "name": random.choice(NAMES), "town": random.choice(TOWNS), "product": random.choice(list(PRODUCTS)),
            "count": random.randint(1, 12), "day": f"2026-{random.randint(1, 12):02}-{random.randint(1, 28):02}",
        }  # fmt: skip
        letter = LETTERS[number % len(LETTERS)].format(**fields)
        rows.append({"instruction": INSTRUCTION, "input": letter, "output": json.dumps(fields, ensure_ascii=False)})
    return rows


def main() -> None:
    """Write both files."""
    for name, rows in {"tickets": tickets(), "orders": orders()}.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (DATASETS / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
