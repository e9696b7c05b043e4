"""Stories, and questions about a text that stands in the conversation."""

# ruff: noqa: E501 - the sentences of a story, a line each

from random import Random

from studio.models.starter import words
from studio.models.starter.asking import Fact, new_facts, new_thing, question

_ROOMS = words.listed("kitchen garden park school library shop barn cellar cave forest bakery attic")
_OBJECTS = words.listed("ball book key pear hat cup map coin lamp rope letter basket flute stone kite")
_FRIENDS = words.listed("fox bear wolf cat dog rabbit mouse frog duck horse")
_MOODS = words.listed("happy tired brave curious hungry proud sad lonely quiet")
_WEATHER = words.listed("sunny rainy windy cold warm snowy foggy")


def story(rng: Random) -> tuple[str, str]:
    """A wish for a story, and a short story."""
    animal, friend, thing = rng.choice(_FRIENDS), rng.choice(_FRIENDS), rng.choice(_OBJECTS)
    called = words.invented_name(rng)
    hero, name = rng.choice(((called, called), (f"a {animal}", f"the {animal}"), (f"a {animal} named {called}", called)))
    room, other = rng.sample(_ROOMS, 2)
    mood, end = rng.sample(_MOODS, 2)
    start = name[0].upper() + name[1:]
    lines = [
        rng.choice((f"Once there was {hero}.", f"One {rng.choice(_WEATHER)} day {hero} woke up early.", f"Long ago there lived {hero}.")),
        rng.choice((f"{start} was very {mood}.", f"{start} felt {mood} that morning.", f"Everyone knew that {name} was {mood}.")),
        rng.choice((f"In the {room} {name} found a {thing}.", f"{start} went to the {room} and saw a {thing}.", f"{start} lost a {thing} in the {room}.")),
        rng.choice((f"A {friend} came and asked about the {thing}.", f"Then a {friend} wanted to have the {thing}.", f"A small {friend} came by to help.")),
        rng.choice((f"They went to the {other} together.", f"They played in the {other} all day.", f"Together they carried the {thing} to the {other}.")),
        rng.choice((f"In the end they were {end} and became friends.", f"At night {name} was {end} and went home.", f"After that {name} was never {mood} again.")),
    ]  # fmt: skip
    about = hero if hero.startswith("a ") else f"someone called {hero}"
    wish = rng.choice(
        (f"Tell me a story about {about}.", f"Write a short story about {about}.", f"I want to hear a story about {about}.")
    )
    return wish, " ".join(lines if rng.random() < 0.7 else lines[:1] + lines[2:5])


def where(rng: Random) -> tuple[str, str]:
    """People move about and carry things; the question is where someone or something is now."""
    people = rng.sample(words.FIRST_NAMES, rng.choice((2, 2, 3)))
    place: dict[str, str] = {}
    lines = []
    for _ in range(rng.randrange(2, 5)):
        who, room = rng.choice(people), rng.choice(_ROOMS)
        place[who] = room
        lines.append(f"{who} {rng.choice(('went to', 'walked to', 'is in', 'ran to'))} the {room}.")
    who = rng.choice(list(place))
    text = " ".join(lines)
    if rng.random() < 0.3:
        thing = rng.choice(_OBJECTS)
        text += f" {who} has the {thing}."
        return f"{text} {rng.choice((f'Who has the {thing}?', f'Who holds the {thing}?'))}", f"{who} has the {thing}."
    ask = rng.choice((f"Where is {who}?", f"Where did {who} go?", f"In which place is {who}?", f"Tell me where {who} is."))
    return f"{text} {ask}", f"{who} is in the {place[who]}."


def text_with_facts(rng: Random) -> tuple[str, list[Fact]]:
    """A short text that states a few facts about one or more invented things."""
    facts: list[Fact] = []
    for _ in range(rng.choice((1, 2, 2, 3))):
        facts += new_facts(rng, new_thing(rng), rng.choice((1, 1, 2, 3)))
    rng.shuffle(facts)
    facts = facts[:4]
    style = rng.random()
    lines = [fact.answer for fact in facts]
    if style < 0.25:
        lines = [f"- {line}" for line in lines]
        return "\n".join(lines), facts
    if style < 0.4:
        return "\n".join(f"{f.entity.name}: {rng.choice(f.kind.nouns)} {f.value}" for f in facts), facts
    return " ".join(lines), facts


def asked_text(rng: Random) -> tuple[str, str, str]:
    """(system, user, answer): a question whose answer stands in the system turn or before the question."""
    text, facts = text_with_facts(rng)
    fact = rng.choice(facts)
    ask = question(rng, fact)
    if rng.random() < 0.35:
        lead = rng.choice(
            ("Use these facts.", "Answer from this text.", "Know this:", "Here is what you know.", "Facts:", "Handbook:")
        )
        return f"{lead} {text}", ask, fact.answer
    lead = rng.choice(("", "", "Read this: ", "Text: ", "Context: ", "Here is a note: "))
    return "", f"{lead}{text}{rng.choice((' ', chr(10)))}{ask}", fact.answer
