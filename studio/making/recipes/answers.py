"""Recipe `answers`: the teacher answers the user's own questions, from the passages that come nearest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from studio.data.split import normal
from studio.documents.records import Passage
from studio.making.recipes.base import (
    Ask,
    Draft,
    Material,
    Question,
    Recipe,
    Style,
    Unusable,
    conversation,
    shown,
)
from studio.making.records import MadeRow

_SCHEMA = {
    "type": "object",
    "properties": {
        "known": {"type": "boolean", "description": "whether the passages answer the question"},
        "answer": {"type": "string", "description": "the answer, or an honest refusal if it is not known"},
        "quote": {"type": "string", "description": "the words it rests on, copied exactly; empty if it is not known"},
    },
    "required": ["known", "answer", "quote"],
    "additionalProperties": False,
}


class Answers(Recipe, frozen=True):
    """Answers to your own questions, from your documents where there are any, with a refusal where they do not say."""

    takes = "questions"
    prompt = "answers/1"

    kind: Literal["answers"] = "answers"
    passages: Annotated[int, Field(ge=0, le=10)] = 3
    """Passages that the teacher is shown for a question; 0: it answers from what it knows."""
    context: Literal["passage", "none"] = "none"
    """passage: the row's prompt has the passages; none: it is the bare question."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request a question."""

        def all_asks() -> Iterator[Ask]:
            nearest = _Nearest(material.passages) if self.passages and material.passages else None
            for question in material.questions:
                found = nearest.of(question.text, self.passages) if nearest else ()
                sources = "\n\n".join(map(shown, found))
                rule = (
                    "Use nothing but these passages. If they do not answer it, set `known` to false and say honestly in "
                    f"`answer` that this is not known.\n\n{sources}"
                    if found
                    else "If you do not know it for certain, set `known` to false and say so in `answer`."
                )
                instruction = f"Answer this question of {style.audience}: {question.text}\n\n{rule}"
                yield Ask(self.request(instruction, _SCHEMA, style), found, subject=question)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The answer."""
        if not isinstance(value, dict) or not isinstance(value.get("answer"), str) or not value["answer"].strip():
            raise Unusable("the answer is not the JSON that was asked for")
        question: Question = ask.subject
        known, answer = value.get("known") is not False, value["answer"].strip()
        in_context = self.context == "passage" and bool(ask.passages)
        passage = "\n\n".join(item.text for item in ask.passages)
        user = style.in_context(passage, question.text) if in_context else question.text
        draft = Draft(
            question.text, answer, conversation(style, user, answer), quote=str(value.get("quote") or "").strip(),
            needs_quote=known and bool(ask.passages), refuses=not known, in_context=in_context,
        )  # fmt: skip
        return [draft]


class _Nearest:
    """The passages that share the rarest words with a question."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._words = [Counter(normal(" ".join((*passage.heading_path, passage.text))).split()) for passage in passages]
        seen = Counter(word for words in self._words for word in words)
        self._weight = {word: math.log(1 + len(passages) / count) for word, count in seen.items()}

    def of(self, question: str, count: int) -> tuple[Passage, ...]:
        asked = set(normal(question).split())
        scores = [sum(self._weight[word] for word in asked if word in words) for words in self._words]
        order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        return tuple(self._passages[index] for index in order[:count] if scores[index] > 0)
