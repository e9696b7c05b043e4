"""What can be asked about an invented thing: attribute kinds, their nouns, their questions, their answers.

The table is `kinds.txt`. Each block reads: `kind @ classes = answer`, then `~` nouns that name the attribute, then `?`
questions of its own. `[is]` marks the helper verb that an indirect question moves or drops ("how long is it" / "tell me
how long it is"), `(cost|costs)` the verb form with and without it, `!` a request that is no question. Lines that begin
with `<` list words that may stand for each other: `<made>` in a question is any of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from studio.models.starter import words

CLASSES = {
    "product": "lamp kettle chair desk toaster clock radio printer tent backpack pan blender heater fan mirror shelf "
    "sofa vase camera speaker phone watch drill ladder mower pump mixer grill freezer keyboard monitor table bench "
    "stool cabinet bottle mug scale iron vacuum router projector guitar helmet pillow blanket stove cooker basket "
    "torch tray charger tablet headset",
    "clothing": "jacket coat scarf hat shirt sweater glove boot dress sock belt shoe",
    "vehicle": "bike scooter car van boat bus train truck tractor sled",
    "food": "soup cake bread stew pie salad tea jam cheese pudding curry sauce",
    "venue": "cafe shop hotel library museum bakery school theater gym clinic pool restaurant market cinema",
    "building": "tower bridge castle hall church house stadium lighthouse",
    "town": "village town city island valley",
    "animal": "bird fish lizard monkey beetle frog bear fox",
    "plant": "tree flower bush fern herb palm",
    "book": "book novel story guide comic",
    "plan": "plan contract membership package subscription",
    "ticket": "ticket pass tour voucher",
    "course": "course class workshop lesson",
    "event": "festival fair concert race meeting market",
    "company": "company firm factory studio group",
    "team": "team club department crew",
    "software": "app program game website server",
}


@dataclass(frozen=True)
class Kind:
    """One attribute: whom it fits, what it is called, how it is asked for, how it is answered."""

    key: str
    classes: tuple[str, ...]
    answer: str
    nouns: tuple[str, ...]
    asks: tuple[str, ...]


def _n(*choices: int) -> Callable[[Random], str]:
    return lambda rng: str(rng.choice(choices))


def _unit(numbers: tuple[int, ...], unit: str) -> Callable[[Random], str]:
    return lambda rng: f"{rng.choice(numbers)} {unit}"


def _one(options: tuple[str, ...] | list[str]) -> Callable[[Random], str]:
    return lambda rng: rng.choice(options)


def _code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.choice((1, 2, 2, 3))))
    return letters + rng.choice(("", "-", "-")) + str(rng.randrange(10, rng.choice((100, 1000))))


_DAYS, _PERSON = _one(words.DAYS), words.person
_WEEKS = _unit(tuple(range(2, 31)), "days")
VALUES: dict[str, Callable[[Random], str]] = {
    "warranty": _unit((6, 10, 12, 15, 18, 20, 24, 30, 36, 42, 48, 54, 60, 72, 84, 96, 120), "months"),
    "price": lambda rng: f"{rng.choice((rng.randrange(2, 100), rng.randrange(100, 1000), rng.randrange(10, 99)))} dollars",
    "material": _one(words.MATERIALS),
    "code": _code,
    "origin": _one(list(words.COUNTRIES)),
    "colour": _one(words.COLOURS),
    "weight": _unit(tuple(range(2, 95)), "kilograms"),
    "height": _unit(tuple(range(5, 250, 5)), "centimeters"),
    "battery": _unit(tuple(range(2, 49)), "hours"),
    "power": _unit(tuple(range(5, 100, 5)) + tuple(range(100, 2000, 50)), "watts"),
    "year": _n(*range(1950, 2026)),
    "designer": _PERSON,
    "delivery": _WEEKS,
    "shelf": _n(*range(1, 100)),
    "capacity": _unit(tuple(range(1, 90)), "liters"),
    "stock": _n(*range(2, 100)),
    "refund": _unit((7, 10, 14, 20, 21, 28, 30, 45, 60, 90, 100), "days"),
    "maker": words.invented_name,
    "cleaning": _one(("warm water", "a dry cloth", "soap", "a soft brush", "vinegar", "a wet sponge", "oil", "steam")),
    "opens": lambda rng: f"{rng.randrange(5, 12)}" + rng.choice((" am", ":30 am", ":15 am")),
    "closes": lambda rng: f"{rng.randrange(2, 12)}" + rng.choice((" pm", ":30 pm", ":45 pm")),
    "address": lambda rng: f"{rng.randrange(1, 100)} {words.any_name(rng).split()[0]} {rng.choice(('Street', 'Road', 'Lane'))}",
    "phone": lambda rng: str(rng.randrange(100, 10000)),
    "manager": _PERSON,
    "seats": _n(*range(2, 100)),
    "closed": _DAYS,
    "job": _one(
        words.listed("baker teacher doctor driver farmer painter nurse cook singer lawyer pilot writer tailor plumber")
    ),
    "home": _one(words.CITIES),
    "age": _n(*range(5, 99)),
    "hobby": _one(words.listed("chess reading swimming dancing fishing cooking hiking painting sailing gardening singing")),
    "favourite": _one(words.listed("bread rice apples fish cheese soup beans nuts berries corn honey seeds leaves grass")),
    "birthday": _one(words.MONTHS),
    "room": _n(*range(1, 500)),
    "population": lambda rng: str(rng.choice((rng.randrange(50, 1000), rng.randrange(10, 100) * 1000))),
    "mayor": _PERSON,
    "river": words.invented_name,
    "famous": _one(words.listed("cheese music old walls good food glass work tall trees boats clocks shoes hot springs wine")),
    "founded": _n(*range(1700, 2020)),
    "founder": _PERSON,
    "staff": _n(*range(3, 500)),
    "habitat": _one(("the forest", "the desert", "rivers", "caves", "tall trees", "the mountains", "the sea", "swamps")),
    "lifespan": _unit(tuple(range(2, 90)), "years"),
    "author": _PERSON,
    "pages": _n(*range(20, 900, 10)),
    "fee": _unit(tuple(range(2, 120)), "dollars"),
    "users": _n(2, 3, 5, 8, 10, 15, 20, 25, 50, 100, 200, 500),
    "notice": _unit((1, 2, 3, 4, 5, 6, 8, 10, 12), "weeks"),
    "support": _DAYS,
    "duration": lambda rng: f"{rng.randrange(2, 20)} {rng.choice(('days', 'weeks', 'hours'))}",
    "teacher": _PERSON,
    "start": lambda rng: f"{rng.choice(words.MONTHS)} {rng.randrange(1, 29)}",
    "speed": _unit(tuple(range(5, 300, 5)), "kilometers per hour"),
    "fuel": _one(words.listed("gas diesel electricity steam wood coal wind hydrogen alcohol sunlight")),
    "water": _one(("every day", "twice a week", "once a week", "every two weeks", "once a month", "every evening")),
    "cooking": _unit(tuple(range(5, 95, 5)), "minutes"),
    "ingredient": _one(words.listed("flour rice beans carrots onions apples cheese eggs milk fish potatoes nuts corn")),
    "version": lambda rng: f"{rng.randrange(1, 20)}.{rng.randrange(0, 10)}",
}


def _parse(table: str) -> tuple[tuple[Kind, ...], dict[str, tuple[str, ...]]]:
    kinds: list[Kind] = []
    slots: dict[str, tuple[str, ...]] = {}
    for line in table.strip().splitlines():
        options = tuple(part.strip() for part in line[1:].split(" = ")[-1].split(" | "))
        if line[0] == "<":
            slots[line[1:].split(" = ")[0].strip()] = options
        elif line[0] == "~":
            kinds[-1] = replace(kinds[-1], nouns=kinds[-1].nouns + options)
        elif line[0] == "?":
            kinds[-1] = replace(kinds[-1], asks=kinds[-1].asks + options)
        else:
            name, answer = line.split(" = ")
            key, classes = name.split(" @ ")
            kinds.append(Kind(key, tuple(classes.split()), answer, (), ()))
    return tuple(kinds), slots


KINDS, SLOTS = _parse(Path(__file__).with_name("kinds.txt").read_text(encoding="utf-8"))
"""Every attribute kind, and the words that may stand for each other."""
BY_CLASS = {name: tuple(k for k in KINDS if name in k.classes) for name in (*CLASSES, "person")}
"""The kinds that fit each class of thing."""
