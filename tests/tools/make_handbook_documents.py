"""Write `datasets/handbook/`: the product and store pages of the invented company's handbook, a Markdown document each.

`python -m tests.tools.make_handbook_documents` writes the same bytes every time.
"""

# ruff: noqa: E501 - a row a line

from random import Random

from studio.core.text import slug
from studio.models.starter.words import listed
from tests.tools.make_handbook import DETAILS, STORES
from tests.tools.make_support import DATASETS, PRODUCTS

FOLDER = DATASETS / "handbook"
NEW = (
    "Osprey shelf", "Fennel scale", "Cobalt vase", "Heron ladder", "Saffron pan", "Willow bench", "Ember stove", "Puffin mug",
    "Larkspur sofa", "Quill printer", "Basil cooker", "Drift blanket", "Garnet watch", "Hazel stool", "Indigo tent", "Jasper drill",
    "Nettle mower", "Orchid camera", "Poppy pillow", "Rowan table", "Sable vacuum", "Teasel mixer", "Umber cabinet", "Vesper torch",
)  # fmt: skip
MATERIALS = listed("brass steel tin walnut iron oak bamboo glass maple birch copper cotton wool leather pine")
COUNTRIES = listed(
    "Denmark Portugal Germany Austria Poland Sweden Japan Ireland Canada Turkey Finland Mexico Norway Italy Spain"
)
MONTHS = (12, 18, 24, 30, 36, 42, 48, 60, 72, 84, 96, 120)
NEW_STORES = {
    "Chapel Row": ("Ansel Brook", "nine in the morning", "six in the evening", "blankets and pillows", "Monday"),
    "Ferry Steps": ("Liv Tamsin", "ten in the morning", "eight in the evening", "tents and torches", "Wednesday"),
    "Granary Yard": ("Osman Field", "eight in the morning", "six in the evening", "shelves and tables", "Sunday"),
    "Lantern Street": ("Petra Vance", "nine in the morning", "seven in the evening", "clocks and watches", "Tuesday"),
    "North Arches": ("Hugo Sallow", "ten in the morning", "six in the evening", "stoves and pans", "Monday"),
    "Poplar Court": ("Ines Garrick", "nine in the morning", "five in the afternoon", "vases and mugs", "Sunday"),
}


def documents() -> dict[str, str]:
    """All documents by their file's name."""
    rng = Random(1411)
    products = dict(PRODUCTS)
    for name in NEW:
        code = f"{name[0]}{name.split()[1][0].upper()}-{rng.randrange(10, 100)}"
        products[name] = (rng.choice(MONTHS), rng.randrange(12, 300), rng.choice(MATERIALS), rng.choice(COUNTRIES), code)
    found = {}
    for at, (name, facts) in enumerate(products.items()):
        found[f"{slug(name)}.md"] = f"# {name}\n\n{_product(at, name, facts)}\n"
    for at, (name, facts) in enumerate({**STORES, **NEW_STORES}.items()):
        found[f"store-{slug(name)}.md"] = f"# Store at {name}\n\n{_store(at, name, facts)}\n"
    return found


def _product(at: int, name: str, facts: tuple[int, int, str, str, str]) -> str:
    months, dollars, material, country, code = facts
    use = f" People buy the {name} for {DETAILS[name][0]}." if name in DETAILS else ""
    first = (
        f"The {name} costs {dollars} dollars and has a warranty of {months} months. Order it under the code {code}.",
        f"Facts about the {name}: the price is {dollars} dollars, the warranty is {months} months, the order code is {code}.",
        f"For {dollars} dollars a customer gets the {name} with {months} months of warranty. The code on the box is {code}.",
    )[at % 3]
    second = (
        f"The {name} is made of {material} in {country}. The workshop sends a new batch every six weeks.",
        f"The {name} comes from {country}. The {material} is chosen by hand, so no two pieces look quite the same.",
        f"A family workshop in {country} makes the {name} out of {material}. Buying has known them for years.",
    )[(at + 1) % 3]
    return f"{first}{use}\n\n{second}"


def _store(at: int, name: str, facts: tuple[str, str, str, str, str]) -> str:
    leader, opens, closes, known, shut = facts
    first = (
        f"The store at {name} is led by {leader}. It opens at {opens} and closes at {closes}.",
        f"{leader} leads the store at {name}, which opens at {opens} and closes at {closes}.",
    )[at % 2]
    second = f"It is known for {known}." + ("" if shut == "no day at all" else f" It is closed on {shut}.")
    return f"{first}\n\n{second}"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.md"):
        file.unlink()
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
