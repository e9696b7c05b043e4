"""One question in very many wordings, and its answer.

A wording is put together from independent parts (greeting, frame, noun or question of the attribute's own, way of naming
the thing, ending, letter case), so that the model meets thousands of surface forms and has to learn what is meant.
"""

import re
from dataclasses import dataclass
from random import Random

from studio.models.starter import words
from studio.models.starter.kinds import BY_CLASS, CLASSES, VALUES, Kind

FRAMES_DIRECT = (
    "what is the {n} of {e}", "what's the {n} of {e}", "what is the {n} for {e}", "what is {p} {n}",
    "what {n} does {e} have", "which {n} does {e} have", "which {n} belongs to {e}", "what is listed as the {n} of {e}",
    "do you have the {n} of {e}", "can you give me the {n} of {e}", "could you look up the {n} of {e}",
    "may I have the {n} for {e}", "what would be the {n} of {e}", "is there a {n} for {e}", "what {n} is given for {e}",
    "what do you list as {p} {n}", "can I get the {n} of {e}", "would you mind sharing the {n} of {e}",
)  # fmt: skip
FRAMES_ORDER = (
    "tell me the {n} of {e}", "give me the {n} of {e}", "name the {n} of {e}", "state the {n} for {e}",
    "find the {n} of {e}", "show me {p} {n}", "look up the {n} for {e}", "I need the {n} of {e}", "I need to know {p} {n}",
    "I want to know the {n} of {e}", "I would like the {n} of {e}", "I am looking for the {n} of {e}",
    "please share the {n} of {e}", "remind me of the {n} of {e}", "say the {n} of {e}", "write down {p} {n}",
    "let me know the {n} of {e}", "help me with the {n} of {e}", "check the {n} of {e} for me", "tell us {p} {n}",
)  # fmt: skip
FRAMES_SHORT = (
    "{n} of {e}", "{n} for {e}", "{e} {n}", "{e}: {n}", "{e}, {n}", "the {n} of {e}", "{n}, {e}", "{p} {n}",
    "{e} - {n}", "{n}: {e}", "{n} ({e})", "about the {n} of {e}",
)  # fmt: skip
CLAUSES = ("what the {n} of {e} is", "what {n} {e} has", "which {n} {e} has", "what {p} {n} is", "what the {n} for {e} is")
WRAPS_QUESTION = (
    "do you know", "can you tell me", "could you tell me", "would you tell me", "do you happen to know", "any idea",
    "may I ask", "can you say", "have you any idea", "can anyone tell me", "could you find out", "will you explain",
    "is it known", "can you remind me", "could you please let me know", "are you able to tell me", "could you check",
)  # fmt: skip
WRAPS_ORDER = (
    "tell me", "please tell me", "I would like to know", "I want to know", "I wonder", "I was wondering", "I need to know",
    "remind me", "I forgot", "let me know", "a customer asks", "my friend asks", "I have to find out", "say", "explain",
    "someone asked me", "I am not sure", "we need to know", "I'd love to hear", "I cannot remember", "find out",
    "my boss wants to know", "please check", "I am curious", "it would help to know", "I should know",
)  # fmt: skip
TOPICS = (
    "I have {a}.", "I am looking at {e}.", "I just bought {a}.", "I have a question about {e}.", "About {e}:",
    "This is about {e}.", "I am interested in {e}.", "Regarding {e},", "My question is about {e}.", "Let us talk about {e}.",
    "I saw {e} today.", "Someone told me about {e}.", "We are thinking about {e}.", "I like {e}.", "Concerning {e}:",
)  # fmt: skip
GREETINGS = (
    "Hi,", "Hello,", "Hello there,", "Good morning,", "Hey,", "Sorry,", "Excuse me,", "Quick question:", "One question:",
    "Good day,", "Please help:", "Hi there!", "Hello!", "Just checking:", "Question:", "One more thing:", "Dear team,",
)  # fmt: skip
ENDINGS = (", please", ", thanks", " please", " today", ", if you know", " exactly", ", roughly", " again", " now")


@dataclass(frozen=True)
class Thing:
    """An entity: its class, and how it is named ("the Velora lamp"; a person has no article)."""

    group: str
    name: str

    @property
    def plain(self) -> str:
        """The thing inside a sentence."""
        return self.name if self.group == "person" else f"the {self.name}"

    @property
    def start(self) -> str:
        """The thing at the start of a sentence."""
        return self.plain[0].upper() + self.plain[1:]


@dataclass(frozen=True)
class Fact:
    """One thing, one attribute, one value."""

    thing: Thing
    kind: Kind
    value: str

    @property
    def answer(self) -> str:
        """The whole answer."""
        text = self.kind.answer.replace("{v}", self.value)
        return text.replace("{e}", self.thing.start, 1) if text.startswith("{e}") else text.replace("{e}", self.thing.plain)

    @property
    def short(self) -> str:
        """The value alone."""
        return self.value[0].upper() + self.value[1:] + "."


def new_thing(rng: Random) -> Thing:
    """An invented entity of any class; things to buy come most often."""
    group = rng.choice((*CLASSES, "person", "person", *["product"] * 10, "food", "venue", "vehicle"))
    if group == "person":
        return Thing(group, words.person(rng))
    return Thing(group, f"{words.any_name(rng)} {rng.choice(CLASSES[group].split())}")


def new_facts(rng: Random, thing: Thing, count: int) -> list[Fact]:
    """Up to `count` different facts about one thing."""
    kinds = BY_CLASS[thing.group]
    weights = [4.0 if kind.key in _COMMON else 1.0 for kind in kinds]
    picked: dict[str, Kind] = {}
    while len(picked) < min(count, len(kinds)):
        kind = rng.choices(kinds, weights)[0]
        picked[kind.key] = kind
    return [Fact(thing, kind, VALUES[kind.key](rng)) for kind in picked.values()]


_COMMON = frozenset(words.listed("warranty price material code origin colour weight delivery refund maker opens"))


def helper(pattern: str, thing: str, direct: bool) -> str:
    """Turn "how long [is] {e} open" into its direct or its indirect form."""
    if direct:
        text = re.sub(r"\((\w[\w ]*)\|[\w ]*\)", r"\1", pattern)
        return re.sub(r"\[(\w+)\]", r"\1", text).replace("{e}", thing)
    text = re.sub(r"\([\w ]*\|(\w[\w ]*)\)", r"\1", pattern)
    helper = re.search(
        r"\[(\w+)\] (\{e\}|I|you|they|people|delivery of \{e\}|the [\w ]+? (?:of|on|for|after|before) \{e\}|there) ?", text
    )
    if helper is None:
        return re.sub(r"\[(\w+)\]", r"\1", text).replace("{e}", thing)
    verb, subject = helper.group(1), helper.group(2)
    moved = f"{subject} " if verb in ("do", "does", "did") else f"{subject} {verb} "
    return (text[: helper.start()] + moved + text[helper.end() :]).strip().replace("{e}", thing)


def _mention(rng: Random, thing: Thing) -> str:
    """How a question names the thing."""
    if thing.group == "person":
        return thing.name
    article = rng.choices(("the", "your", "our", "one", "a", "this", "my", ""), (60, 8, 4, 3, 7, 4, 5, 9))[0]
    return f"{article} {thing.name}".strip()


def question(rng: Random, fact: Fact, it: str | None = None) -> str:
    """One wording of the question that `fact` answers; `it` replaces the name in a follow-up question."""
    name = it or _mention(rng, fact.thing)
    noun, own = rng.choice(fact.kind.nouns), rng.choice(fact.kind.asks)
    owner = "its" if it else f"{name}'s"
    lead = ""
    if it is None and rng.random() < 0.12:
        topic = rng.choice(TOPICS)
        article = "a" if fact.thing.group != "person" else ""
        lead = topic.replace("{e}", name).replace("{a}", f"{article} {fact.thing.name}".strip()) + " "
        name, owner = ("it", "its") if fact.thing.group != "person" else ("this person", "this person's")

    def fill(frame: str) -> str:
        return frame.replace("{n}", noun).replace("{e}", name).replace("{p}", owner)

    draw, mark = rng.random(), "?"
    if draw < 0.34:
        text = helper(own, name, direct=True)
    elif draw < 0.52:
        text = fill(rng.choice(FRAMES_DIRECT))
    elif draw < 0.66:
        text, mark = fill(rng.choice(FRAMES_ORDER)), rng.choice(("", ".", "."))
    elif draw < 0.76 and not it:
        text, mark = fill(rng.choice(FRAMES_SHORT)), rng.choice(("", "?", "?"))
    else:
        clause = helper(own, name, direct=False) if rng.random() < 0.65 else fill(rng.choice(CLAUSES))
        polite = rng.random() < 0.5
        text = f"{rng.choice(WRAPS_QUESTION if polite else WRAPS_ORDER)} {clause}"
        mark = "?" if polite else "."
    if rng.random() < 0.06:
        text += rng.choice(ENDINGS)
    if not lead and rng.random() < 0.1:
        lead = rng.choice(GREETINGS) + " "
    return finish(rng, lead, text, mark)


def finish(rng: Random, lead: str, text: str, mark: str) -> str:
    """Capital letter, end mark, and now and then the carelessness of real typing."""
    if not lead or (lead.rstrip()[-1] in ".!:" and rng.random() < 0.8):
        text = text[0].upper() + text[1:]
    if text[-1] in "?=":
        mark = ""
    whole = lead + text + (mark if rng.random() < 0.9 else "")
    return whole.lower() if rng.random() < 0.07 else whole
