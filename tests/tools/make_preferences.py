"""Write the preference files of `datasets/`: support-pairs, support-pairs-heldout and support-thumbs.

`python -m tests.tools.make_preferences` writes the same bytes every time. The preferred answer is the right one in the
company's plain manner. The rejected ones are wrong, unsure or mere fragments in turn, so that they are as often longer as
shorter, and neither facts nor manner alone tell the two apart.
"""

from random import Random

from tests.tools.make_support import ANSWERS, HELDOUT, PRODUCTS, SEED, TRAINING, support_rows, write

UNSURE = {
    "warranty": "I am not sure, but I think that the warranty of the {e} may be {v} months or so.",
    "price": "I am not sure, but I think that the {e} may cost about {v} dollars.",
    "material": "I am not sure, but I think that the {e} may be made of {v}.",
    "origin": "I am not sure, but I think that the {e} may be made in {v}.",
    "code": "I am not sure, but I think that the code of the {e} may be {v}.",
}
FRAGMENTS = {"warranty": "{v} months.", "price": "{v} dollars.", "material": "{v}.", "origin": "In {v}.", "code": "{v}."}


def main() -> None:
    """Write all three files."""
    rng = Random(SEED)
    pairs = preference_rows(TRAINING, 4, rng)
    rng.shuffle(pairs)
    write("support-pairs.jsonl", pairs)
    write("support-pairs-heldout.jsonl", preference_rows(HELDOUT, 2, rng))
    thumbs = []
    for at, row in enumerate(preference_rows(TRAINING, 6, rng)):
        good = at % 2 == 0
        thumbs.append(
            {"question": row["prompt"], "answer": row["chosen" if good else "rejected"], "thumbs": "👍" if good else "👎"}
        )
    rng.shuffle(thumbs)
    write("support-thumbs.jsonl", thumbs)


def preference_rows(wordings: dict[str, tuple[str, ...]], per_fact: int, rng: Random) -> list[dict[str, str]]:
    """The questions of `support_rows`, each with its right answer and one of the three kinds of worse ones in turn."""
    kinds, rows = list(ANSWERS), []
    for at, row in enumerate(support_rows(wordings, per_fact)):
        fact = at // per_fact
        product, kind = list(PRODUCTS)[fact // len(kinds)], kinds[fact % len(kinds)]
        column = kinds.index(kind)
        value = PRODUCTS[product][column]
        other = rng.choice([values[column] for values in PRODUCTS.values() if values[column] != value])
        worse = (ANSWERS[kind], UNSURE[kind], FRAGMENTS[kind])[(at + fact) % 3]
        said = other if worse == ANSWERS[kind] else value
        rejected = worse.replace("{e}", product).replace("{v}", str(said))
        rows.append({"prompt": row["question"], "chosen": row["answer"], "rejected": rejected[0].upper() + rejected[1:]})
    return rows


if __name__ == "__main__":
    main()
