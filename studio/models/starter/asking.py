"""One question in very many wordings, and its answer.

A wording is put together from independent parts (greeting, frame, noun or question of the attribute's own, way of naming
the thing, ending, letter case), so that the model meets thousands of surface forms and has to learn what is meant.
"""

import re
from dataclasses import dataclass
from random import Random

from studio.models.starter import words
from studio.models.starter.kinds import BY_CLASS, CLASSES, SLOTS, VALUES, Kind

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
    "is it known", "would you be so kind as to tell me", "can I ask", "would you mind telling me", "did anyone say",
    "can you remind me", "could you please let me know", "are you able to tell me", "could you check",
)  # fmt: skip
WRAPS_ORDER = (
    "tell me", "please tell me", "I would like to know", "I want to know", "I wonder", "I was wondering",
    "I need to know", "remind me", "I forgot", "let me know", "a customer asks", "my friend asks", "I have to find out",
    "say", "explain", "someone asked me", "I am not sure", "I would be curious to learn", "help me understand",
    "I have been asked", "clarify", "I would like to learn", "describe", "let us see if you know",
    "I have been trying to find out", "I keep forgetting", "we need to know", "I'd love to hear", "I cannot remember",
    "find out", "my boss wants to know", "please check", "I am curious", "it would help to know", "I should know",
)  # fmt: skip
TOPICS = (
    "I have {a}.", "I am looking at {e}.", "I just bought {a}.", "I have a question about {e}.", "About {e}:",
    "This is about {e}.", "I am interested in {e}.", "Regarding {e},", "My question is about {e}.", "Let us talk about {e}.",
    "I saw {e} today.", "Someone told me about {e}.", "We are thinking about {e}.", "I like {e}.", "Concerning {e}:",
    "Suppose I choose {e}.", "My friend has {a}.", "I have had my eye on {e}.", "My mother wants {a}.", "As for {e},",
    "I am thinking of getting {a}.", "In your list I found {e}.", "When it comes to {e},", "With {e},", "You have {a}.",
    "Say I want {e}.", "There is {a} here.", "I read about {e}.", "My neighbor talks about {e} all day.", "{e}:",
    "I dream of {e}.", "I am writing about {e}.", "Do you know {e}?", "You surely know {e}.", "{e}, yes or no?",
)  # fmt: skip
ASIDES = (
    "I am in a hurry.", "My sister has a birthday.", "We are moving house.", "I am writing a list.", "I am new here.",
    "My boss wants an answer.", "I am at the shop right now.", "This is for school.", "Sorry to bother you.", "Listen,",
    "I could not find it on the page.", "We spoke yesterday.", "I am on the phone with my wife.", "It is raining here.",
    "I have some cash to burn,", "I forgot my glasses.", "Maybe you can help.", "My neighbor asks me this every day.",
    "It is for a gift.", "Before I decide,", "Between us,", "Just out of interest,", "For my notes,", "Well,", "So,", "Okay,",
    "By the way,", "First of all,", "Now then,", "Be honest,", "I lost the paper.", "The page does not say it.", "Once more,",
    "Not sure if you know this,", "You are the expert.", "I bet you know this.", "My kids want to know.", "Hm,", "Right,",
)  # fmt: skip
GREETINGS = (
    "Hi,", "Hello,", "Hello there,", "Good morning,", "Hey,", "Sorry,", "Excuse me,", "Quick question:", "One question:",
    "Good day,", "Please help:", "Hi there!", "Hello!", "Just checking:", "Question:", "One more thing:", "Dear team,",
)  # fmt: skip
ENDINGS = (
    ", please", ", thanks", " please", " today", ", if you know", " exactly", ", roughly", " again", " now", " these days",
    ", by the way", " if I may ask", " then", ", my friend asks", ", it is for a gift", ", do you know", ", I wonder",
    " so that I can plan", " because I am making a list", ", I forgot", " in the end", " really", ", more or less", " at all",
)  # fmt: skip
SHORTER = {
    "what is": "what's", "I would": "I'd", "I am": "I'm", "do not": "don't", "does not": "doesn't", "it is": "it's",
    "who is": "who's", "I have": "I've", "where is": "where's", "cannot": "can't", "is not": "isn't", "let us": "let's",
}  # fmt: skip


@dataclass(frozen=True)
class Entity:
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

    entity: Entity
    kind: Kind
    value: str

    @property
    def answer(self) -> str:
        """The whole answer."""
        text = self.kind.answer.replace("{v}", self.value)
        return text.replace("{e}", self.entity.start, 1) if text.startswith("{e}") else text.replace("{e}", self.entity.plain)

    @property
    def short(self) -> str:
        """The value alone."""
        return self.value[0].upper() + self.value[1:] + "."


def new_thing(rng: Random) -> Entity:
    """An invented entity of any class; things to buy come most often."""
    group = rng.choice((*CLASSES, "person", "person", *["product"] * 10, "food", "venue", "vehicle"))
    if group == "person":
        return Entity(group, words.person(rng))
    return Entity(group, f"{words.any_name(rng)} {rng.choice(CLASSES[group].split())}")


def new_facts(rng: Random, subject: Entity, count: int) -> list[Fact]:
    """Up to `count` different facts about one thing."""
    kinds = BY_CLASS[subject.group]
    weights = [4.0 if kind.key in _COMMON else 1.0 for kind in kinds]
    picked: dict[str, Kind] = {}
    while len(picked) < min(count, len(kinds)):
        kind = rng.choices(kinds, weights)[0]
        picked[kind.key] = kind
    return [Fact(subject, kind, VALUES[kind.key](rng)) for kind in picked.values()]


_COMMON = frozenset(words.listed("warranty price material code origin colour weight delivery refund maker opens"))


_SUBJECTS = (
    r"\{e\}|I|you guys|you folks|your people|your workers|you|they|we|someone|a person|people|there|"
    r"delivery of \{e\}|the [\w ]+? (?:of|on|for|after|before) \{e\}"
)
_MOVED = re.compile(rf"\[(\w+)\] ({_SUBJECTS}) ?")


def helper(pattern: str, noun: str, direct: bool) -> str:
    """Turn "how long [is] {e} open" into its direct or its indirect form."""
    if direct:
        text = re.sub(r"\((\w[\w ]*)\|[\w ]*\)", r"\1", pattern)
        return re.sub(r"\[(\w+)\]", r"\1", text).replace("{e}", noun)
    text = re.sub(r"\([\w ]*\|(\w[\w ]*)\)", r"\1", pattern)
    helper = re.search(_MOVED, text)
    if helper is None:
        return re.sub(r"\[(\w+)\]", r"\1", text).replace("{e}", noun)
    verb, subject = helper.group(1), helper.group(2)
    moved = f"{subject} " if verb in ("do", "does", "did") else f"{subject} {verb} "
    return (text[: helper.start()] + moved + text[helper.end() :]).strip().replace("{e}", noun)


def _mention(rng: Random, subject: Entity) -> str:
    """How a question names the thing."""
    if subject.group == "person":
        return subject.name
    article = rng.choices(("the", "your", "our", "one", "a", "this", "my", ""), (60, 8, 4, 3, 7, 4, 5, 9))[0]
    return f"{article} {subject.name}".strip()


def question(rng: Random, fact: Fact, it: str | None = None) -> str:
    """One wording of the question that `fact` answers; `it` replaces the name in a follow-up question."""
    name = it or _mention(rng, fact.entity)
    owner = "its" if it else f"{name}'s"
    lead, extra = "", rng.random()
    if it is None and extra < 0.15:
        topic = rng.choice(TOPICS)
        article = "a" if fact.entity.group != "person" else ""
        lead = topic.replace("{e}", name).replace("{a}", f"{article} {fact.entity.name}".strip()) + " "
        name, owner = ("it", "its") if fact.entity.group != "person" else ("this person", "this person's")
    elif extra < 0.22:
        lead = rng.choice(GREETINGS) + " "
    elif extra < 0.32:
        lead = rng.choice(ASIDES) + " "
    text, mark = _body(rng, fact.kind, name, owner, follow=it is not None)
    if rng.random() < 0.08:
        text += rng.choice(ENDINGS)
    return finish(rng, lead[:1].upper() + lead[1:], text, mark)


def _body(rng: Random, kind: Kind, name: str, owner: str, follow: bool) -> tuple[str, str]:
    """The question itself and its end mark."""
    noun, own = rng.choice(kind.nouns), rng.choice(kind.asks)
    own = re.sub(r"<(\w+)>", lambda slot: rng.choice(SLOTS[slot.group(1)]), own)

    def fill(frame: str) -> str:
        return frame.replace("{n}", noun).replace("{e}", name).replace("{p}", owner)

    draw, polite = rng.random(), rng.random() < 0.5
    if own[0] == "!":
        return own[1:].replace("{e}", name), rng.choice((".", ".", "", "?"))
    if draw < 0.42:
        return helper(own, name, direct=True), "?"
    if draw < 0.56:
        return fill(rng.choice(FRAMES_DIRECT)), "?"
    if draw < 0.67:
        return fill(rng.choice(FRAMES_ORDER)), rng.choice(("", ".", "."))
    if draw < 0.75 and not follow:
        return fill(rng.choice(FRAMES_SHORT)), rng.choice(("", "?", "?"))
    clause = helper(own, name, direct=False) if rng.random() < 0.7 else fill(rng.choice(CLAUSES))
    return f"{rng.choice(WRAPS_QUESTION if polite else WRAPS_ORDER)} {clause}", "?" if polite else "."


def finish(rng: Random, lead: str, text: str, mark: str) -> str:
    """Capital letter, end mark, and now and then the carelessness of real typing."""
    if not lead or (lead.rstrip()[-1] in ".!:" and rng.random() < 0.8):
        text = text[0].upper() + text[1:]
    if text[-1] in "?=":
        mark = ""
    if rng.random() < 0.25:
        for long, short in SHORTER.items():
            text = text.replace(long, short)
    whole = lead + text + (mark if rng.random() < 0.9 else "")
    return whole.lower() if rng.random() < 0.07 else whole
