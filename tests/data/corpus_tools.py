"""The corpus' files of programs around models and learning: flashcards, annotation, observability, chat bots, feedback."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.data.corpus import FIRST, PAIRS, WITH_SYSTEM, Asks, Case, Refuses, S, Text, Turns, lines, workbook
from tests.data.corpus_published import THOUGHT, numbered

CARDS = "".join(f"{q}\t<b>{a}</b>\tdeck one\n" for q, a in PAIRS)

DESCRIBED = json.dumps(
    {
        "@type": "FAQPage",
        "mainEntity": [
            {"@type": "Question", "name": q, "acceptedAnswer": {"@type": "Answer", "text": f"<p>{a}</p>"}} for q, a in PAIRS
        ],
    }
)

LOGS: dict[str, Callable[[list[Any], Any], dict[str, Any]]] = {
    "choices": lambda asked, said: {"messages": asked, "response": {"choices": [{"message": said}]}, "model": "m"},
    "inputs": lambda asked, said: {"inputs": {"messages": asked}, "output": {"choices": [{"message": said}]}},
    "bodies": lambda asked, said: {"request_body": {"messages": asked}, "response_body": {"choices": [{"message": said}]}},
    "message": lambda asked, said: {"messages": asked, "message": said, "done": True},
    "items": lambda asked, said: {"input": asked, "output": [{"type": "message", **said}]},
}

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
    # messages in parts and channels
    Case("tools-in-parts.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "t", "name": "find", "input": {"n": 1}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "hall"}]}, {"role": "assistant", "content": [{"type": "text", "text": a}]}]}), Turns((FIRST[0], ("assistant", "I look."), ("tool", "hall"), FIRST[1]))),
    Case("channels.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "channel": "analysis", "content": "Look."}, {"role": "assistant", "channel": "final", "content": a}]}), Turns(THOUGHT), {"reasoning": "within"}),
    Case("thought-in-parts.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Look."}, {"type": "text", "text": a}]}]}), Turns(THOUGHT), {"reasoning": "within"}),
    # questions within rows and pages
    Case("pairs-below-a-text.jsonl", lines(lambda q, a: {"doc": "D.", "qas": [{"q": q, "a": a}, {"q": "Else?", "a": "No."}]}), Turns(FIRST, 12)),
    Case("pairs-below-a-context.jsonl", lines(lambda q, a: {"context": "C.", "qa_pairs": [{"question": q, "answer": a}]}), Turns((("user", f"C.\n\n{PAIRS[0][0]}"), FIRST[1]))),
    Case("q-and-a-in-one.jsonl", lines(lambda q, a: {"qa": {"q": q, "a": a}, "meta": {"src": "x"}}), Asks(Turns(FIRST))),
    Case("described.html", f"<html><head><script type='application/ld+json'>{DESCRIBED}</script></head><body><p>Welcome.</p></body></html>", Turns(FIRST)),
    Case("described.json", DESCRIBED, Turns(FIRST)),
    Case("choices-by-letter.jsonl", lines(lambda q, a: {"question": q, "options": {"A": "No.", "B": a}, "answer": "B"}), Turns((("user", f"{PAIRS[0][0]}\n\nA. No.\nB. {PAIRS[0][1]}"), ("assistant", f"B. {PAIRS[0][1]}")))),
    Case("pairs-by-bar.txt", "".join(f"{q} | {a}\n" for q, a in PAIRS), Asks(Turns(FIRST))),
    Case("system-with-its-name.jsonl", lines(lambda q, a: {"system": f"SYSTEM: {S}", "chat": f"USER: {q}\n\n\nASSISTANT: {a} <|endoftext|>"}), Turns(WITH_SYSTEM)),
    # logs of models
    *(Case(f"logged-{name}.jsonl", lines(lambda q, a, make=make: make([{"role": "user", "content": q}], {"role": "assistant", "content": a})), Turns(FIRST)) for name, make in LOGS.items()),
    Case("conversation-one-name-down.jsonl", lines(lambda q, a: {"id": "1", "chat": {"title": "t", "messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}}), Asks(Turns(FIRST))),
    Case("request-bodies-apart.jsonl", lines(lambda q, a: {"request": {"body": {"messages": [{"role": "user", "content": q}]}}}), Refuses("without its answer")),
    Case("agents-by-flag.jsonl", lines(lambda q, a: {"id": 1, "messages": [{"from_agent": False, "body_text": q}, {"from_agent": True, "body_text": a}]}), Turns(FIRST)),
    # turns and questions by their form
    Case("turns-in-columns.csv", "id,user_1,bot_1,user_2,bot_2\n" + "".join(f'{n},"{q}","{a}","And?","No."\n' for n, (q, a) in enumerate(PAIRS)), Turns((*FIRST, ("user", "And?"), ("assistant", "No.")))),
    Case("asked-under-name.csv", "Name,Tags,Answer\n" + "".join(f'"{q}","a, b","{a}"\n' for q, a in PAIRS), Asks(Turns(FIRST))),
    Case("faq-with-bullets.txt", "".join(f"- {q}\n  {a}\n" for q, a in PAIRS), Turns(FIRST)),
    Case("faq-without-blank-lines.txt", "".join(f"{q}\n{a}\n" for q, a in PAIRS), Turns(FIRST)),
    Case("faq-without-an-end.txt", "\n".join(f"{q}\n{a}" for q, a in PAIRS), Turns(FIRST)),
    Case("copied-chat.txt", "".join(f"You said:\n{q}\nChatGPT said:\n{a}\n\n" for q, a in PAIRS), Turns(FIRST)),
    Case("essay-that-asks.txt", "What is a lamp? It is a thing.\nIt shines.\nWho made it?\nNobody knows.\nWhy?\nBecause it is old.\n", Text("What is a lamp? It is a thing.\nIt shines.\nWho made it?\nNobody knows.\nWhy?\nBecause it is old.", 1)),
    # pairs by further names, flags beside a text, speakers within texts
    *(Case(f"pairs-{good}-{bad}.jsonl", lines(lambda q, a, good=good, bad=bad: {"prompt": q, good: a, bad: "No."}), Turns(FIRST)) for good, bad in (("good", "bad"), ("win", "lose"), ("positive", "negative"), ("accepted_response", "rejected_response"), ("right_answer", "hallucinated_answer"))),
    Case("flags-beside-a-text.jsonl", numbered(lambda n, q, a: {"text": q, "toxic": n % 2, "insult": (n + 1) % 2}), Asks(Text(PAIRS[0][0]))),
    Case("speakers-in-brackets.jsonl", lines(lambda q, a: {"text": f"<human>: {q}\n<bot>: {a}"}), Turns(FIRST)),
    Case("speakers-within-turns.jsonl", lines(lambda q, a: {"dialog": [f"User: {q}", f"Bot: {a}"]}), Turns(FIRST)),
    Case("speakers-within-some-turns.jsonl", lines(lambda q, a: {"dialog": [f"User: {q}", a]}), Asks(None)),
    # workbooks and tables kept by hand
    Case("a-sheet-for-each-month.xlsx", workbook(("Jan", [["question", "answer"], *map(list, PAIRS)]), ("Feb", [["question", "answer"], ["And in May?", "No."]]), ("Notes", [["todo"]])), Turns(FIRST, 7)),
    Case("sheets-with-other-columns.xlsx", workbook(("Jan", [["question", "answer"], *map(list, PAIRS)]), ("Prices", [["lamp", "price"], ["Aria", 9]])), Turns(FIRST)),
    Case("crossed-rows.csv", "Question,Answer,Delete?\n" + "".join(f'"{q}","{a}",{"x" if n % 2 else ""}\n' for n, (q, a) in enumerate(PAIRS)), Turns(FIRST, 3)),
    Case("freigegeben.csv", "Frage;Antwort;Freigegeben\n" + "".join(f"{q};{a};{'nein' if n % 2 else 'ja'}\n" for n, (q, a) in enumerate(PAIRS)), Turns(FIRST, 3)),
    *(Case(f"names-{n}.csv", f"{asks},{answers}\n" + "".join(f'"{q}","{a}"\n' for q, a in PAIRS), Turns(FIRST)) for n, (asks, answers) in enumerate((("Fråga", "Svar"), ("Otázka", "Odpověď"), ("Soru", "Cevap"), ("질문", "답변"), ("سؤال", "جواب"), ("Питання", "Відповідь")))),
    Case("scores-called-positive.jsonl", numbered(lambda n, q, a: {"question": q, "answer": a, "positive": 0.1 * n, "negative": 1 - 0.1 * n}), Turns(FIRST)),
)
