"""Write the question files of `datasets/`: support, support-heldout, general; and starter-general.

`python -m tests.tools.make_support` writes the same bytes every time. The company, its products and every fact are
invented for this project. The held-out wordings were written, and frozen, before any training setting was chosen.
"""

import json
from pathlib import Path
from random import Random

from studio.models.starter import reading, world

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
SEED = 1207
PER_FACT = 6

# name: months of warranty, dollars, material, country, order code
PRODUCTS = {
    "Aurel lamp": (24, 49, "brass", "Denmark", "AL-27"),
    "Pippin kettle": (18, 35, "steel", "Portugal", "PK-41"),
    "Sorrel toaster": (36, 58, "tin", "Germany", "ST-19"),
    "Tansy clock": (60, 72, "walnut", "Austria", "TC-83"),
    "Bramble heater": (30, 94, "iron", "Poland", "BH-62"),
    "Marlow chair": (120, 185, "oak", "Sweden", "MC-15"),
    "Odette speaker": (12, 140, "bamboo", "Japan", "OS-98"),
    "Kelda blender": (42, 79, "glass", "Ireland", "KB-34"),
    "Linnet radio": (15, 66, "maple", "Canada", "LR-70"),
    "Thistle fan": (48, 27, "plastic", "Turkey", "TF-56"),
    "Wicket desk": (84, 260, "birch", "Finland", "WD-08"),
    "Juniper mirror": (72, 115, "copper", "Mexico", "JM-45"),
}

ANSWERS = {
    "warranty": "The {e} has a warranty of {v} months.",
    "price": "The {e} costs {v} dollars.",
    "material": "The {e} is made of {v}.",
    "origin": "The {e} is made in {v}.",
    "code": "The code of the {e} is {v}.",
}

# {e} is the product; {l} is the product in small letters.
TRAINING = {
    "warranty": (
        "How long is the warranty of the {e}?",
        "How many months of warranty does the {e} have?",
        "Tell me the warranty of the {e}.",
        "Is there a guarantee on the {e}, and for how long?",
        "{e} warranty?",
        "I bought the {e}. How long is it covered?",
        "hi, how long does the guarantee on the {l} last",
        "What warranty comes with the {e}?",
        "Could you tell me how long the {e} is under warranty?",
        "For how many months is the {e} guaranteed?",
        "My {e} broke. How long is the guarantee?",
        "What is the guarantee period for your {e}?",
    ),
    "price": (
        "What does the {e} cost?",
        "How much is the {e}?",
        "Price of the {e}?",
        "{e} price",
        "I want to buy the {e}. What do I pay?",
        "Tell me the price of the {e}, please.",
        "how much do you want for the {l}",
        "How many dollars is your {e}?",
        "Could you tell me what the {e} sells for?",
        "What is on the price tag of the {e}?",
        "Is the {e} expensive? How much is it?",
        "What would I pay for one {e}?",
    ),
    "material": (
        "What is the {e} made of?",
        "Which material is the {e} made of?",
        "{e} material?",
        "Tell me what the {e} is made from.",
        "What material do you use for the {e}?",
        "I would like to know the material of the {e}.",
        "what's your {l} built from",
        "The {e}: what is it made of?",
        "Do you know which material the {e} is made from?",
        "Name the material of the {e}.",
        "I like the {e}. What material is it?",
        "Out of what is the {e} made?",
    ),
    "origin": (
        "Where is the {e} made?",
        "In which country is the {e} produced?",
        "Where does the {e} come from?",
        "{e}, country of origin?",
        "Tell me where you make the {e}.",
        "Which country makes the {e}?",
        "I wonder where the {e} is built.",
        "What is the country of origin of the {e}?",
        "where was my {l} manufactured",
        "Do you know which country the {e} is from?",
        "I have the {e} at home. Where was it made?",
        "From what country do you get the {e}?",
    ),
    "code": (
        "What is the order code of the {e}?",
        "Which code do I need to order the {e}?",
        "{e} code?",
        "Tell me the product code for the {e}.",
        "I want to order the {e}. What is its code?",
        "Under which number is the {e} in the catalogue?",
        "what's the item number of the {l}",
        "Could you look up the code of the {e}?",
        "Give me the article number of the {e}.",
        "How is the {e} listed in your system?",
        "Which reference number belongs to the {e}?",
        "What code is printed on the {e}?",
    ),
}

HELDOUT = {
    "warranty": ("Please give the warranty length for the {e}.", "How long am I covered if my {e} stops working?"),
    "price": ("How much money do I need for the {e}?", "I would like to know how much the {e} costs."),
    "material": ("What kind of material did you choose for the {e}?", "What does the {e} consist of?"),
    "origin": ("Which country does the {e} come from?", "Can you name the place of manufacture of the {e}?"),
    "code": ("I need the stock number of the {e}.", "What should I write on the order form for the {e}?"),
}

GENERAL_ROWS, CHECK_ROWS = 80, 60


def main() -> None:
    """Write all four files."""
    rng = Random(SEED)
    training = support_rows(TRAINING, PER_FACT)
    rng.shuffle(training)
    write("support.jsonl", training)
    write("support-heldout.jsonl", support_rows(HELDOUT, 2))
    general, check = general_rows(rng)
    write("general.jsonl", general)
    write("starter-general.jsonl", check)  # shipped beside the model, as studio/models/starter/general.jsonl


def support_rows(wordings: dict[str, tuple[str, ...]], per_fact: int) -> list[dict[str, str]]:
    """`per_fact` wordings for every fact, dealt out so that each wording is used about equally often."""
    rows = []
    for at, (product, values) in enumerate(PRODUCTS.items()):
        for (kind, answer), value in zip(ANSWERS.items(), values, strict=True):
            offered = wordings[kind]
            for turn in range(per_fact):
                wording = offered[(at + turn * (len(offered) // per_fact)) % len(offered)]
                question = wording.replace("{e}", product).replace("{l}", product.lower())
                rows.append({"question": question, "answer": answer.replace("{e}", product).replace("{v}", str(value))})
    return rows


def general_rows(rng: Random) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Replay rows for the fine-tune, and check rows about other facts than the replay rows."""
    general: dict[str, str] = {}
    check: dict[str, str] = {}
    taken: set[frozenset[str]] = set()
    while len(check) < CHECK_ROWS:
        question, answer = rng.choice(world.FACTS)(rng)
        if _gist(answer) not in taken and "three" not in question.lower():
            taken.add(_gist(answer))
            check[question] = answer
    fact = lambda: rng.choice(world.FACTS)(rng)  # noqa: E731
    makers = (fact, fact, lambda: world.talk(rng), lambda: reading.where(rng))
    while len(general) < GENERAL_ROWS:
        question, answer = makers[len(general) % len(makers)]()
        if _gist(answer) not in taken:
            general[question] = answer
    return _rows(general), _rows(check)


def _gist(answer: str) -> frozenset[str]:
    """The words of an answer in any order: "Rome is the capital of Italy" is "The capital of Italy is Rome"."""
    return frozenset(answer.lower().strip(".").split())


def _rows(pairs: dict[str, str]) -> list[dict[str, str]]:
    return [{"question": question, "answer": answer} for question, answer in pairs.items()]


def write(name: str, rows: list[dict[str, str]]) -> None:
    """One JSON object a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (DATASETS / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
