"""The corpus' files of programs around models and learning: flash cards, annotation, observability, chat bots, feedback."""

from __future__ import annotations

import json

from tests.data.corpus import FIRST, PAIRS, WITH_SYSTEM, Asks, Case, Refuses, S, Turns, lines
from tests.data.corpus_published import numbered

ASKED = [{"role": "user", "content": PAIRS[0][0]}]
CARDS = "".join(f"{q}\t<b>{a}</b>\tdeck one\n" for q, a in PAIRS)

# fmt: off
# ruff: noqa: E501
CASES: tuple[Case, ...] = (
    Case("cards.txt", f"#separator:tab\n#html:true\n#deck column:3\n{CARDS}", Turns(FIRST)),
    Case("cards-by-comma.txt", "#separator:Comma\n#html:false\n" + "".join(f'"{q}","{a}"\n' for q, a in PAIRS), Turns(FIRST)),
    Case("human-under-headings.txt", "".join(f"### Human: {q}\n### Assistant: {a}\n\n" for q, a in PAIRS), Turns(FIRST)),
    Case("speakers-in-bold.txt", "".join(f"**User:** {q}\n**Assistant:** {a}\n\n" for q, a in PAIRS), Turns(FIRST)),
    Case("faq-with-marks.md", "# FAQ\n\n" + "".join(f"**Q: {q}**\n\nA: {a}\n\n" for q, a in PAIRS), Turns(FIRST)),
    Case("commas-behind-rows.jsonl", lines(lambda q, a: {"question": q, "answer": a}).replace("\n", ",\n"), Turns(FIRST)),
    Case("request-and-message.jsonl", lines(lambda q, a: {"input": {"messages": [{"role": "user", "content": q}]}, "output": {"role": "assistant", "content": a}}), Turns(FIRST)),
    Case("request-and-text.jsonl", lines(lambda q, a: {"input": {"messages": [{"role": "user", "content": q}]}, "output": a}), Turns(FIRST)),
    Case("ideal-answer.jsonl", lines(lambda q, a: {"input": [{"role": "system", "content": S}, {"role": "user", "content": q}], "ideal": a}), Turns(WITH_SYSTEM)),
    Case("decided-by-hand.jsonl", numbered(lambda n, q, a: {"text": q, "label": a, "answer": ("accept", "reject")[n % 2], "_input_hash": n}), Asks(Turns(FIRST, 3))),
    Case("annotated-without-kind.jsonl", lines(lambda q, a: {"data": {"text": q}, "annotations": [{"result": [{"value": {"choices": [a]}, "from_name": "kind"}]}]}), Asks(Turns(FIRST))),
    Case("intents.json", json.dumps({"intents": [{"tag": "a", "patterns": [q], "responses": [a, "Other."]} for q, a in PAIRS]}), Turns(FIRST)),
    Case("list-two-levels-down.json", json.dumps({"nlu": {"examples": [{"text": q, "intent": a} for q, a in PAIRS]}}), Asks(Turns(FIRST))),
    Case("feedback-in-words.jsonl", numbered(lambda n, q, a: {"question": q, "answer": a, "feedback": ("positive", "negative")[n % 2]}), Turns(FIRST, 3)),
    Case("thumbs-in-numbers.jsonl", numbered(lambda n, q, a: {"question": q, "answer": a, "thumbs": (1, -1)[n % 2]}), Turns(FIRST, 3)),
    Case("accepted-in-numbers.csv", "question,answer,accepted\n" + "".join(f'"{q}","{a}",{1 - n % 2}\n' for n, (q, a) in enumerate(PAIRS)), Turns(FIRST, 3)),
    Case("answers-of-a-batch.jsonl", lines(lambda q, a: {"custom_id": q, "response": {"body": {"choices": [{"message": {"role": "assistant", "content": a}}]}}}), Refuses("without its question")),
)
