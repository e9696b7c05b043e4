"""Format `question_answer`: one column asks, one answers, under whatever names; optionally context and system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from studio.core.messages import ChatMessage
from studio.core.plain import is_list, is_object
from studio.data.columns import SHARED, Format, Proposal, Table, by_name
from studio.data.context import Context
from studio.data.notes import Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import is_absent, optional_text, text_of
from studio.data.turns import checked, from_json

EXAMPLE: dict[str, Any] = {
    "question": "How long is the warranty of the Aria lamp?",
    "answer": "The Aria lamp has a warranty of 24 months.",
}
ROLES = {
    "question": (
        *("question", "questions", "query", "instruction", "input", "prompt", "user", "human", "request", "ask", "q"),
        "user message",
        *("frage", "anfrage", "pregunta", "domanda", "pergunta", "vraag", "pytanie", "вопрос", "问题", "質問", "問題"),
        *("fråga", "spørgsmål", "spørsmål", "otázka", "soru", "질문", "سؤال", "pertanyaan", "câu hỏi", "ερώτηση"),
        *("питання", "kysymys", "kérdés", "întrebare", "שאלה", "پرسش", "tanong", "pitanje", "vprašanje", "въпрос", "سوال"),
    ),
    "answer": (
        *("answer", "answers", "response", "reply", "output", "completion", "assistant", "target", "solution", "bot", "a"),
        *("assistant message", "antwort", "respuesta", "réponse", "reponse", "risposta", "resposta", "antwoord"),
        *("odpowiedź", "ответ", "答案", "回答", "answer key", "answerkey"),
        *("svar", "odpověď", "odpoveď", "cevap", "yanıt", "답변", "대답", "جواب", "إجابة", "jawaban", "câu trả lời"),
        *("απάντηση", "відповідь", "vastaus", "válasz", "răspuns", "תשובה", "پاسخ", "sagot", "odgovor", "отговор"),
    ),
    "context": ("context", "passage", "background", "kontext", "contexte", "contexto", "contesto"),
    "choices": ("choices", "options", "candidates"),
    **SHARED,
}
_CORRECTIONS = frozenset(("corrected", "correction", "improved", "revised", "gold", "golden", "expected", "reference"))
_ANSWERS = frozenset(("answer", "answers", "response", "responses", "output", "completion", "reply", "text"))


def propose(table: Table) -> Proposal | None:
    """Exactly one column known to ask and one known to answer; more of either is unclear."""
    proposal = by_name(table, "question_answer", ROLES, ("question", "answer"), convert, 0.95, loose=0.75)
    if proposal is None or "answer" in proposal.unclear:
        return proposal
    answer = proposal.columns["answer"]
    better = [name for name in table.texts() if name != answer and _is_correction(table.plain[name])]
    if not better:
        return proposal
    return replace(proposal, confidence=0.4, unclear={**proposal.unclear, "answer": (*better, answer)})


def _is_correction(name: str) -> bool:
    """Whether a column's name in plain words says that it holds what an answer was corrected to."""
    said = name.split()
    corrects = _CORRECTIONS.intersection(said)
    return bool(corrects) and (len(said) == 1 or said[-1] in _ANSWERS)


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The question, with its context above it and its choices below it, and the answer. Lists of both are turns."""
    values, notes = row.values, context.notes
    asking, answering = columns["question"], columns["answer"]
    answered = values.get(answering)
    if not isinstance(answered, str) and is_list(answered) and is_list(asked := values.get(asking)):
        return Conversation(_turns(asked, answered, columns, context), (), "", row.file, row.line)
    question = text_of(values, asking, "question", notes)
    if "tools" in columns and (calls := _calls(answered)):
        asked_turn = {"role": "user", "content": question}
        turns = [asked_turn, {"role": "assistant", "content": "", "tool_calls": calls}]
        return Conversation(checked(turns, answering, context), (), "", row.file, row.line)
    if "choices" in columns and not is_absent(values.get(columns["choices"])):
        question, answer = with_choices(question, values.get(columns["choices"]), answered, columns)
    else:
        answer = text_of(values, answering, "answer", notes)
    if "context" in columns:
        extra = optional_text(values, columns["context"], "context", notes)
        question = f"{extra}\n\n{question}" if extra else question
    said: tuple[ChatMessage, ...] = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Conversation(said, (), "", row.file, row.line)


def _calls(answer: object) -> list[Any]:
    """The tool calls that an answer consists of, also as JSON text; none if it is something else."""
    if isinstance(answer, str) and answer.lstrip().startswith("["):
        try:
            answer = from_json(answer, "")
        except Unusable:
            return []
    if not is_list(answer):
        return []
    named = all(is_object(item) and {"name", "arguments"} <= item.keys() for item in answer)
    return answer if named else []


def _turns(questions: list[Any], answered: list[Any], columns: Mapping[str, str], context: Context) -> tuple[ChatMessage, ...]:
    """Questions and answers side by side in two lists, as turns of one conversation."""
    if len(questions) != len(answered):
        raise Unusable(f"wrong type: {len(questions)} questions and {len(answered)} answers", columns["answer"])
    turns = [
        {"role": role, "content": text}
        for pair in zip(questions, answered, strict=True)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return checked(turns, columns["question"], context)


def with_choices(question: str, choices: object, answer: object, columns: Mapping[str, str]) -> tuple[str, str]:
    """A multiple-choice question with its choices by letter, and the right one as `B. text`.

    choices: a list of texts, or `{"text": […], "label": […]}`; answer: a letter, a label, a number from 0, or the text.
    """
    column = columns["choices"]
    choices = from_json(choices, column) if isinstance(choices, str) and choices.lstrip()[:1] in ("[", "{") else choices
    if is_object(choices) and "text" not in choices:  # {"A": "hall", "B": "attic"}
        choices = {"text": list(choices.values()), "label": list(choices)}
    texts = choices.get("text") if is_object(choices) else choices
    if not is_list(texts) or not texts or not all(isinstance(text, str) for text in texts):
        raise Unusable("wrong type: the choices are not a list of texts", column)
    letters = [chr(ord("A") + index) for index in range(len(texts))]
    labels = [str(label) for label in choices.get("label", letters)] if is_object(choices) else letters
    written = str(answer).strip() if not isinstance(answer, bool) else ""
    if isinstance(answer, int) and not isinstance(answer, bool) and written not in labels and 0 <= answer < len(texts):
        index = answer  # a number, not a text that looks like one, counts the choices
    elif written in labels:
        index = labels.index(written)
    elif written in texts:
        index = texts.index(written)
    elif written.isdigit() and int(written) < len(texts):
        index = int(written)
    else:
        raise Unusable(f"the answer is none of the choices: {written[:40]}", columns["answer"])
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(letters, texts, strict=True))
    return f"{question}\n\n{listed}", f"{letters[index]}. {texts[index]}"


FORMAT = Format("question_answer", "Question and answer", EXAMPLE, ROLES, ("question", "answer"), propose, convert)
