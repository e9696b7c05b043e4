"""The text that the starter model is trained on: an endless, seeded stream of short conversations.

Nothing here is taken from anywhere: every sentence is put together by this package. `conversations(seed)` always gives
the same stream for the same seed. Apart from the general facts in `words.py`, every entity and every value is invented
and drawn at random, so that the model learns how questions and answers work, not what the answers are.
"""

from collections.abc import Iterator
from random import Random

from studio.models.starter import calling, reading, world
from studio.models.starter.asking import Fact, new_facts, new_thing, question

Messages = list[dict[str, str]]

SYSTEMS = (
    "You are a helpful assistant.", "You are a helpful assistant.", "You are Starter, a small and friendly model.",
    "Answer in one sentence.", "You answer questions.", "You are the help desk.", "Be polite and brief.",
    "You work for a small company.", "You help customers.", "Answer the question.", "You are a support agent.",
)  # fmt: skip
SHORT = ("Answer with the value only.", "Give only the value.", "Reply with the value alone.")
_KNOWN_THINGS = 50
"""Invented things with fixed facts that come back, so that the model practises knowing and not only guessing."""


def conversations(seed: int) -> Iterator[Messages]:
    """An endless stream of conversations in the OpenAI form; the same for the same seed.

    Now and then an item is a single message of the role "text": plain text without a conversation.
    """
    rng = Random(seed)
    known = [fact for _ in range(_KNOWN_THINGS) for fact in new_facts(rng, new_thing(rng), 4)]
    while True:
        yield _conversation(rng, known)


def _conversation(rng: Random, known: list[Fact]) -> Messages:
    draw = rng.random()
    if draw < 0.30:
        return _with_system(rng, [_ask_about_things(rng, known)])
    if draw < 0.40:
        return _follow_up(rng)
    if draw < 0.62:
        system, ask, answer = reading.asked_text(rng)
        return _turns([(ask, answer)], system)
    if draw < 0.88:
        count = rng.choice((1, 1, 1, 2, 3))
        return _with_system(rng, [world.pair(rng) for _ in range(count)])
    if draw < 0.93:
        return _turns([reading.where(rng)])
    if draw < 0.95:
        return calling.tool_turns(rng)
    if draw < 0.98:
        return _with_system(rng, [reading.story(rng)])
    return [{"role": "text", "content": _page(rng)}]


def _page(rng: Random) -> str:
    """Plain text without a conversation."""
    parts = [
        reading.story(rng)[1] if rng.random() < 0.6 else reading.text_with_facts(rng)[0] for _ in range(rng.choice((1, 2, 3)))
    ]
    return "\n\n".join(parts)


def _ask_about_things(rng: Random, known: list[Fact]) -> tuple[str, str]:
    fact = rng.choice(known) if rng.random() < 0.4 else new_facts(rng, new_thing(rng), 1)[0]
    return question(rng, fact), fact.answer


def _follow_up(rng: Random) -> Messages:
    """Several questions about one thing; the later ones say "it", and may ask again what was already answered."""
    thing = new_thing(rng)
    facts = new_facts(rng, thing, rng.choice((2, 2, 3)))
    it = rng.choice(("she", "he", "this person")) if thing.group == "person" else "it"
    turns = [(question(rng, facts[0]), facts[0].answer)]
    for fact in facts[1:]:
        noun = rng.choice(fact.kind.nouns)
        short = rng.choice((f"And the {noun}?", f"What about the {noun}?", f"And its {noun}?", f"{noun.capitalize()}?"))
        turns.append((short if rng.random() < 0.4 else question(rng, fact, it=it), fact.answer))
    if rng.random() < 0.4:
        again = rng.choice(facts)
        turns.append((question(rng, again), again.answer))
    if rng.random() < 0.2:
        turns = [("Hello", "Hello! How can I help you?"), *turns]
    if rng.random() < 0.2:
        turns.append((rng.choice(("Thanks!", "Thank you.")), "You are welcome."))
    if rng.random() < 0.12:
        return _turns(
            [(ask, next((f.short for f in facts if f.answer == said), said)) for ask, said in turns], rng.choice(SHORT)
        )
    return _with_system(rng, turns)


def _with_system(rng: Random, turns: list[tuple[str, str]]) -> Messages:
    return _turns(turns, rng.choice(SYSTEMS) if rng.random() < 0.2 else "")


def _turns(turns: list[tuple[str, str]], system: str = "") -> Messages:
    messages = [{"role": "system", "content": system}] if system else []
    for ask, answer in turns:
        messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
    return messages
