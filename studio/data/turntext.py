"""Conversations written into one text: by a chat template's control tokens, or as a transcript with speakers' names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Turn = dict[str, str]

_ROLE = r"(system|user|assistant|tool|human|model|developer|bot)"
_NAMES = {"human": "user", "model": "assistant", "bot": "assistant", "developer": "system"}


@dataclass(frozen=True)
class Markup:
    """One way chat templates write turns. sign: what shows it; take: the turns, or None if the text is not wholly so."""

    name: str
    sign: re.Pattern[str]
    take: Callable[[str], list[Turn] | None]


def template_of(text: str) -> str:
    """The name of the template markup a text is written in, or nothing."""
    return next((markup.name for markup in MARKUPS if markup.sign.search(text)), "")


def turns_of_template(text: str) -> list[Turn] | None:
    """The turns of a text written by a chat template, without its control tokens; None if it does not come apart wholly."""
    for markup in MARKUPS:
        if markup.sign.search(text):
            turns = markup.take(text)
            if turns and any(turn["role"] == "assistant" for turn in turns):
                return turns
    return None


_SPOKEN = re.compile(
    r"^[ \t]*(?:\*\*|#+[ \t]*|<)?(system|user|human|customer|client|q|question|assistant|ai|bot|chatbot|agent|support|a|answer"
    r"|gpt|model|function response)(?:[ \t]*\d{1,2})?(?:\*\*|>)?[ \t]*:(?:\*\*)?[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSED = re.compile(r"\s*<\|endoftext\|>\s*\Z")
"""What some transcripts end a turn with."""
_SPEAKERS = {
    **dict.fromkeys(("system",), "system"),
    **dict.fromkeys(("user", "human", "customer", "client", "q", "question"), "user"),
    **dict.fromkeys(("assistant", "ai", "bot", "chatbot", "agent", "support", "a", "answer", "gpt", "model"), "assistant"),
    "function response": "tool",
}


def turns_of_text(text: str) -> list[Turn] | None:
    """The turns of a transcript such as `Human: … Assistant: …`; None if the text is none: it must begin with a speaker,
    and both a user and an assistant must speak."""
    marks = list(_SPOKEN.finditer(text))
    if len(marks) < 2 or text[: marks[0].start()].strip():
        return None
    turns: list[Turn] = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        said = _CLOSED.sub("", text[mark.end() : following.start() if following else len(text)]).strip()
        turns.append({"role": _SPEAKERS[mark[1].lower()], "content": said})
    return (
        turns if {"user", "assistant"} <= {turn["role"] for turn in turns} and all(turn["content"] for turn in turns) else None
    )


def turn_of(text: str) -> Turn | None:
    """A text that begins with its speaker's name, `User: …`, as that speaker's turn; None for any other."""
    mark = _SPOKEN.match(text)
    return {"role": _SPEAKERS[mark[1].lower()], "content": text[mark.end() :]} if mark else None


def turns_of_request(text: str) -> list[Turn] | None:
    """The turns of a transcript that ends with the assistant's name and asks for what it says: `Human: … Assistant:`."""
    written = text.rstrip()
    if not written.endswith(":") or not (turns := turns_of_text(f"{written} .")):
        return None
    asks = turns.pop()
    return turns if asks == {"role": "assistant", "content": "."} else None


def _by_headers(opening: str, closing: str, skip: str = "") -> Callable[[str], list[Turn] | None]:
    """Markup in which a header names the role and a token ends the turn. opening has the role as its group."""
    turn = re.compile(rf"{opening}(.*?)(?:{closing}|\Z)\s*", re.DOTALL)
    lead = re.compile(rf"\s*(?:{skip})?\s*") if skip else re.compile(r"\s*")

    def take(text: str) -> list[Turn] | None:
        turns: list[Turn] = []
        at = lead.match(text).end()  # type: ignore[union-attr] - it matches nothing, too
        while at < len(text):
            found = turn.match(text, at)
            if found is None or found.end() == at:
                break
            turns.append({"role": _NAMES.get(found[1].lower(), found[1].lower()), "content": found[2].strip()})
            at = found.end()
        rest = re.sub(r"</?s>|<\|endoftext\|>|<\|end_of_text\|>|<eos>|<\|im_end\|>", "", text[at:]).strip()
        if turns and turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
            turns.pop()  # a request for an answer at the end
        return (
            None
            if rest or not turns or any(not said["content"] for said in turns if said["role"] != "system")
            else [said for said in turns if said["content"]]
        )

    return take


def _instructions(text: str) -> list[Turn] | None:
    """Llama 2 and Mistral: `<s>[INST] <<SYS>>…<</SYS>> question [/INST] answer </s>`."""
    turns: list[Turn] = []
    for block in re.split(r"(?:<s>)?\s*\[INST\]", text)[1:]:
        asked, closed, answered = block.partition("[/INST]")
        if not closed:
            return None
        system = re.match(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", asked, re.DOTALL)
        if system:
            turns.append({"role": "system", "content": system[1].strip()})
            asked = system[2]
        answered = answered.replace("</s>", "").strip()
        turns.append({"role": "user", "content": asked.strip()})
        if answered:
            turns.append({"role": "assistant", "content": answered})
    before = re.split(r"(?:<s>)?\s*\[INST\]", text)[0].strip()
    return None if before or any(not turn["content"] for turn in turns) else turns


_ALPACA = re.compile(
    r"\A(?P<lead>.*?)###\s*Instruction:\s*(?P<ask>.*?)(?:###\s*Input:\s*(?P<input>.*?))?###\s*Response:\s*(?P<answer>.*)\Z",
    re.DOTALL,
)
_ALPACA_LEAD = re.compile(r"Below is an instruction that describes a task.*?(appropriately completes the request\.)", re.DOTALL)


def _alpaca(text: str) -> list[Turn] | None:
    """`### Instruction: … ### Input: … ### Response: …`, with or without its usual first sentence."""
    found = _ALPACA.match(text)
    if found is None or not found["ask"].strip() or not found["answer"].strip() or "### Instruction" in found["answer"]:
        return None
    lead = _ALPACA_LEAD.sub("", re.sub(r"<s>|<bos>", "", found["lead"])).strip()
    extra = (found["input"] or "").strip()
    asked = found["ask"].strip()
    answer = re.sub(r"(</s>|<\|endoftext\|>|<eos>|<\|im_end\|>|### End)\s*\Z", "", found["answer"]).strip()
    return [
        *([{"role": "system", "content": lead}] if lead else []),
        {"role": "user", "content": f"{asked}\n\n{extra}" if extra else asked},
        {"role": "assistant", "content": answer},
    ]


MARKUPS: tuple[Markup, ...] = (
    Markup(
        "ChatML",
        re.compile(rf"<\|im_start\|>{_ROLE}", re.I),
        _by_headers(rf"<\|im_start\|>{_ROLE}\s*\n", r"<\|im_end\|>", r"<s>|<\|begin_of_text\|>"),
    ),
    Markup(
        "Llama 3",
        re.compile(r"<\|start_header_id\|>"),
        _by_headers(
            rf"<\|start_header_id\|>{_ROLE}<\|end_header_id\|>", r"<\|eot_id\|>|<\|end_of_text\|>", r"<\|begin_of_text\|>"
        ),
    ),
    Markup("Gemma", re.compile(r"<start_of_turn>"), _by_headers(rf"<start_of_turn>{_ROLE}\s*\n", r"<end_of_turn>", r"<bos>")),
    Markup("Llama 2", re.compile(r"\[INST\]"), _instructions),
    Markup(
        "Phi and Zephyr",
        re.compile(r"<\|(?:user|assistant)\|>"),
        _by_headers(
            r"<\|(system|user|assistant)\|>", r"<\|end\|>|</s>|<\|endoftext\|>|(?=<\|(?:system|user|assistant)\|>)", r"<s>"
        ),
    ),
    Markup("Alpaca", re.compile(r"###\s*Instruction:.*###\s*Response:", re.DOTALL), _alpaca),
)
"""The template markups that are taken apart, the more telling ones first."""
