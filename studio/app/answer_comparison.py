"""Use case of the comparison: base, tuned, retrieval, both, and a large model by API, on the same held-out questions."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.comparison import questions as asking
from studio.comparison import settings
from studio.comparison.compare import BASE, LARGE, Answerer, Messages, Reply, compare
from studio.comparison.page import columns, page, table
from studio.comparison.record import AnswerRow, ComparisonRecord
from studio.comparison.settings import Comparison
from studio.core.files import append_json, folder_aside, read_json_lines, studio_home, write_text
from studio.retrieval import index as retrieval
from studio.retrieval.grounding import Grounding
from studio.tracking.reporter import Reporter, Silent

__all__ = ["Comparison", "ComparisonRecord", "columns", "table"]


def load(path: Path) -> Comparison:
    """The comparison in a YAML file. Raises SpecError."""
    return settings.load(path)


def compare_answers(
    spec: Comparison, home: str | Path | None = None, reporter: Reporter | None = None
) -> tuple[ComparisonRecord, Path]:
    """Compare, and keep the record, each answer and the page in a folder below `<home>/comparisons`. Raises StudioError."""
    root = studio_home(home)
    index = retrieval.find(root, spec.index) if spec.index else None
    grounding = Grounding(index, spec.passages) if index else None
    questions = asking.read(Path(spec.questions).expanduser(), spec.most_questions, index)
    large, close = _large(spec, root)
    try:
        if index is not None:
            index.search("ready", 1)  # the embedding model first: two must not load at once
        local = _local(spec, root)
        id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        target = root / "comparisons" / id
        with folder_aside(target) as aside:
            rows: list[AnswerRow] = []

            def keep(row: AnswerRow) -> None:
                rows.append(row)
                append_json(aside / "answers.jsonl", row.as_line())

            record = compare(spec, questions, local, large, grounding, reporter or Silent(), keep, id=id)
            record.write(aside / "report.json")
            write_text(aside / "report.html", page(record, rows))
    finally:
        close()
    return record, target


def comparisons(home: str | Path | None = None) -> list[Path]:
    """The folders of comparisons, newest first."""
    return sorted((file.parent for file in (studio_home(home) / "comparisons").glob("*/report.json")), reverse=True)


def answers(folder: Path) -> list[AnswerRow]:
    """The answers that the figures of a comparison rest on."""
    file = folder / "answers.jsonl"
    return [AnswerRow.from_json(values, where=str(file)) for values in read_json_lines(file)]


def _local(spec: Comparison, home: Path) -> Sequence[Answerer]:
    """Base, and tuned where there is an adapter: one set of weights."""
    from studio.app.chat import open_talker

    talker: Any = open_talker(spec.run, home)

    def answerer(name: str, tuned: bool) -> Answerer:
        def ask(messages: Messages) -> Reply:
            begun = time.perf_counter()
            text = "".join(talker.say(messages, tuned, max_tokens=spec.max_tokens))
            seconds = time.perf_counter() - begun
            return Reply(text.strip(), talker.prompt_tokens(messages), len(talker.tokenizer(text)["input_ids"]), seconds)

        return Answerer(name, ask, talker.system)

    return [answerer(BASE, False), *([answerer("tuned", True)] if talker.tuned else [])]


def _large(spec: Comparison, home: Path) -> tuple[Answerer | None, Any]:
    """The large model, its answers cached and kept under the ceiling; and what closes it."""
    if spec.large is None:
        return None, lambda: None
    from studio.remote.answers import Answers
    from studio.remote.ceiling import Ceiling
    from studio.remote.client import Client

    cache = Answers(home / "answers.sqlite")
    client = Client(spec.large, ceiling=Ceiling(spec.ceiling) if spec.ceiling else None, answers=cache, concurrency=1)

    def ask(messages: Messages) -> Reply:
        found = client.complete(messages, max_tokens=spec.max_tokens)
        usage = found.usage
        return Reply(found.text.strip(), usage.prompt_tokens, usage.completion_tokens, found.latency_s, found.cost)

    def close() -> None:
        client.close()
        cache.close()

    return Answerer(LARGE, ask, metered=True), close
