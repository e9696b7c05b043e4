"""General knowledge of the starter model: a few hundred true facts, sums, small tasks and polite talk."""

from random import Random

from studio.models.starter import words
from studio.models.starter.asking import GREETINGS, WRAPS_ORDER, WRAPS_QUESTION, finish, helper

Pair = tuple[str, str]


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def reword(rng: Random, subject: str, *patterns: str) -> str:
    """One of the patterns about `subject`: as a direct question, an indirect one, or the plain words of an order."""
    pattern, draw = rng.choice(patterns), rng.random()
    if pattern.split(" ")[0] not in _ASKING:
        text, mark = pattern.replace("{e}", subject), rng.choice(("", "."))
    elif draw < 0.7:
        text, mark = helper(pattern, subject, direct=True), "?"
    elif draw < 0.85:
        text, mark = f"{rng.choice(WRAPS_QUESTION)} {helper(pattern, subject, direct=False)}", "?"
    else:
        text, mark = f"{rng.choice(WRAPS_ORDER)} {helper(pattern, subject, direct=False)}", "."
    lead = rng.choice(GREETINGS) + " " if rng.random() < 0.08 else ""
    return finish(rng, lead, text, mark)


_ASKING = frozenset(words.listed("what which who where when how whose why in on at of"))


def capital(rng: Random) -> Pair:
    """A capital, or the country it belongs to."""
    country, city = rng.choice(tuple(words.COUNTRIES.items()))
    if rng.random() < 0.25:
        asks = (
            "which country has the capital {e}",
            "{e} is the capital of which country?",
            "which country [is] {e} the capital of",
        )
        return reword(rng, city, *asks), f"{city} is the capital of {country}."
    asks = ("what [is] {e}", "which city [is] {e}", "name {e}", "tell me {e}", "{e}?", "what city [is] {e}")
    where = rng.choice(
        (f"the capital of {country}", f"the capital of {country}", f"{country}'s capital", f"the capital city of {country}")
    )
    return reword(rng, where, *asks), f"The capital of {country} is {city}."


def opposite(rng: Random) -> Pair:
    """The opposite of a word."""
    one, other = rng.sample(rng.choice(words.OPPOSITES), 2)
    asks = ("what [is] {e}", "which word [is] {e}", "give me {e}", "tell me {e}", "{e}?", "what [do] you call {e}")
    thing = rng.choice(
        (f"the opposite of {one}", f"the opposite of {one}", f"the contrary of {one}", f"the opposite word of {one}")
    )
    return reword(rng, thing, *asks), f"The opposite of {one} is {other}."


def creature(rng: Random) -> Pair:
    """Sound, young, home or legs of an animal."""
    draw = rng.randrange(4)
    if draw == 0:
        name, sound = rng.choice(tuple(words.SOUNDS.items()))
        asks = ("what sound [does] {e} (make|makes)", "which sound [does] {e} (make|makes)", "how [does] {e} (sound|sounds)",
                "what noise [does] {e} (make|makes)")  # fmt: skip
        return reword(rng, a(name), *asks), f"{a(name).capitalize()} {sound}."
    if draw == 1:
        name, young = rng.choice(tuple(words.YOUNG.items()))
        thing = rng.choice(("a young", "a baby")) + f" {name}"
        return reword(
            rng, thing, "what [is] {e} called", "what [is] the name of {e}", "what [do] you call {e}"
        ), f"A young {name} is called a {young}."
    if draw == 2:
        name, home = rng.choice(tuple(words.HOMES.items()))
        return reword(
            rng, a(name), "where [does] {e} (live|lives)", "what home [does] {e} (have|has)"
        ), f"{a(name).capitalize()} lives in {a(home)}."
    name, legs = rng.choice(tuple(words.LEGS.items()))
    return reword(
        rng, a(name), "how many legs [does] {e} (have|has)", "number of legs of {e}"
    ), f"{a(name).capitalize()} has {legs} legs."


def colour(rng: Random) -> Pair:
    """The color of a well-known thing."""
    thing, shade = rng.choice(tuple(words.COLOURS_OF.items()))
    asks = ("what color [is] {e}", "which color [does] {e} (have|has)", "color of {e}?", "tell me the color of {e}")
    return reword(rng, thing, *asks), f"The color of {thing} is {shade}."


def group(rng: Random) -> Pair:
    """What kind of thing something is, or three things of a kind."""
    kind, members = rng.choice(tuple(words.GROUPS.items()))
    if rng.random() < 0.6:
        item = rng.choice(members)
        name = item if kind in ("color", "metal", "drink", "sport") else a(item)
        asks = (
            "what kind of thing [is] {e}",
            "what [is] {e}",
            "which group [does] {e} (belong|belongs) to",
            "what sort of thing [is] {e}",
        )
        return reword(rng, name, *asks), f"{name[0].upper() + name[1:]} is {a(kind)}."
    picked = rng.sample(members, 3)
    ask = reword(rng, f"three {kind}s", "name {e}", "give me {e}", "list {e}", "tell me {e}")
    return ask, f"{picked[0].capitalize()}, {picked[1]} and {picked[2]}."


def use(rng: Random) -> Pair:
    """What a thing is for."""
    item, purpose = rng.choice(tuple(words.USES.items()))
    asks = (
        "what [is] {e} for",
        "what [do] you do with {e}",
        "what [is] {e} used for",
        "how [do] people use {e}",
        "what [do] I need {e} for",
    )
    return reword(rng, a(item), *asks), f"You use {a(item)} to {purpose}."


def calendar(rng: Random) -> Pair:
    """The day or month before or after."""
    names, what = rng.choice(((words.DAYS, "day"), (words.MONTHS, "month")))
    at = rng.randrange(len(names))
    one, two = names[at], names[(at + 1) % len(names)]
    if rng.random() < 0.5:
        asks = (f"which {what} comes after {{e}}", f"what {what} follows {{e}}", f"what [is] the {what} after {{e}}")
        return reword(rng, one, *asks), f"{two} comes after {one}."
    return reword(
        rng, two, f"which {what} comes before {{e}}", f"what [is] the {what} before {{e}}"
    ), f"{one} comes before {two}."


def number(rng: Random) -> Pair:
    """Small sums, number words, sides and sizes."""
    draw = rng.randrange(6)
    one, two = rng.randrange(11), rng.randrange(11)
    asks = ("what [is] {e}", "how much [is] {e}", "{e}?", "{e} =", "work out {e}")
    if draw < 2:
        sign = rng.choice(("plus", "plus", "+"))
        return reword(rng, f"{one} {sign} {two}", *asks), f"{one} plus {two} is {one + two}."
    if draw == 2:
        one, two = max(one, two), min(one, two)
        sign = rng.choice(("minus", "minus", "-"))
        return reword(rng, f"{one} {sign} {two}", *asks), f"{one} minus {two} is {one - two}."
    if draw == 3:
        at = rng.randrange(21)
        return reword(
            rng, str(at), "what [is] {e} in words", "how [do] you write {e} as a word", "spell {e}"
        ), f"{at} is {words.NUMBERS[at]}."
    if draw == 4:
        shape, sides = rng.choice(tuple(words.SHAPES.items()))
        return reword(
            rng, a(shape), "how many sides [does] {e} (have|has)", "number of sides of {e}"
        ), f"{a(shape).capitalize()} has {sides} sides."
    one, two = rng.sample(range(100), 2)
    asks = ("which [is] larger, {e}", "what number [is] bigger, {e}")
    return reword(rng, f"{one} or {two}", *asks), f"{max(one, two)} is larger than {min(one, two)}."


def grammar(rng: Random) -> Pair:
    """Plurals and past tenses."""
    if rng.random() < 0.5:
        one, many = rng.choice(tuple(words.PLURALS.items()))
        return reword(
            rng, one, "what [is] the plural of {e}", "plural of {e}", "how [do] you write more than one {e}"
        ), f"The plural of {one} is {many}."
    now, then = rng.choice(tuple(words.PASTS.items()))
    return reword(
        rng, now, "what [is] the past tense of {e}", "past tense of {e}", "what [is] the past of {e}"
    ), f"The past tense of {now} is {then}."


def repeat(rng: Random) -> Pair:
    """Names to be copied as they are."""
    picked = [rng.choice((words.any_name, words.invented_name, words.person))(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
    text = " and ".join(picked)
    return rng.choice(
        (f"Repeat: {text}", f"Say {text}.", f"Write {text}.", f"Please repeat this: {text}", f"Copy this name: {text}")
    ), text + "."


def talk(rng: Random) -> Pair:
    """Greetings, thanks and questions about the model itself."""
    asks, answers = rng.choice(_TALK)
    ask = rng.choice(asks)
    return (ask.lower() if rng.random() < 0.15 else ask), rng.choice(answers)


_TALK = (
    (("Hi", "Hello", "Hello!", "Hi there", "Good morning", "Hey", "Good evening", "Good day!"),
     ("Hello! How can I help you?",)),
    (("How are you?", "How are you today?", "How do you do?", "Are you well?"), ("I am fine, thank you.",)),
    (("Thanks", "Thank you!", "Thank you very much.", "Thanks a lot!", "Great, thanks."), ("You are welcome.",)),
    (("Bye", "Goodbye", "Good night", "See you later!", "Bye bye"), ("Goodbye! Have a nice day.",)),
    (("Who are you?", "What are you?", "What is your name?", "Introduce yourself.", "Who am I talking to?",
     "Are you a person?"),
     ("I am Starter, a very small language model.",)),
    (("What can you do?", "How can you help me?", "What do you know?", "Help"),
     ("I can answer short questions and read short texts.",)),
    (("Who made you?", "Where do you come from?", "Who trained you?"),
     ("The studio made me from nothing, on one small computer.",)),
    (("Can you help me?", "I need help.", "I have a question.", "May I ask something?"),
     ("Of course. What would you like to know?",)),
)  # fmt: skip


FACTS = (
    capital,
    capital,
    capital,
    opposite,
    opposite,
    creature,
    creature,
    colour,
    group,
    group,
    use,
    calendar,
    number,
    number,
    grammar,
)
"""Everything with one right answer (some twice: they have more to learn)."""


def pair(rng: Random) -> Pair:
    """One question of general knowledge and its answer."""
    draw = rng.random()
    return talk(rng) if draw < 0.06 else repeat(rng) if draw < 0.16 else rng.choice(FACTS)(rng)
