"""Format `question_answer`: one column asks, one answers, under whatever names; optionally context and system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import Format, Proposal, Table, by_name
from studio.data.notes import Notes
from studio.data.rows import Conversation, Row
from studio.data.texts import optional_text, text_of

EXAMPLE: dict[str, Any] = {
    "question": "How long is the warranty of the Aria lamp?",
    "answer": "The Aria lamp has a warranty of 24 months.",
}
ROLES = {
    "question": (
        *("question", "query", "instruction", "input", "prompt", "user", "human", "request", "ask", "q", "user message"),
        *("frage", "anfrage", "pregunta", "domanda", "pergunta", "vraag", "pytanie", "вопрос", "问题", "質問"),
    ),
    "answer": (
        *("answer", "response", "reply", "output", "completion", "assistant", "target", "solution", "bot", "a"),
        *("assistant message", "antwort", "respuesta", "réponse", "reponse", "risposta", "resposta", "antwoord"),
        *("odpowiedź", "ответ", "答案", "回答"),
    ),
    "context": ("context", "passage", "background", "kontext", "contexte", "contexto", "contesto"),
    "system": ("system", "system prompt", "system message"),
}


def propose(table: Table) -> Proposal | None:
    """Exactly one column known to ask and one known to answer; more of either is unclear."""
    return by_name(table, "question_answer", ROLES, ("question", "answer"), convert, 0.95, loose=0.75)


def convert(row: Row, columns: Mapping[str, str], notes: Notes) -> Conversation:
    """The question, with its context above it, and the answer."""
    values = row.values
    question = text_of(values, columns["question"], "question", notes)
    answer = text_of(values, columns["answer"], "answer", notes)
    if "context" in columns:
        context = optional_text(values, columns["context"], "context", notes)
        question = f"{context}\n\n{question}" if context else question
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    system = optional_text(values, columns.get("system"), "system prompt", notes)
    messages = ({"role": "system", "content": system}, *turns) if system else turns
    return Conversation(messages, (), "", row.file, row.line)


FORMAT = Format("question_answer", "Question and answer", EXAMPLE, ROLES, ("question", "answer"), propose, convert)
