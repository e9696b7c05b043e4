"""Use case of the comparison: base, tuned, retrieval, both, and a large model by API, on the same held-out questions."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.app import question_files
from studio.comparison import page as pages
from studio.comparison import questions as asking
from studio.comparison import settings
from studio.comparison.compare import BASE, LARGE, Answerer, Messages, Reply, compare
from studio.comparison.page import columns, table
from studio.comparison.questions import Questions
from studio.comparison.record import AnswerRow, ComparisonRecord
from studio.comparison.settings import Comparison
from studio.core.errors import DataError, JobError
from studio.core.files import append_json, folder_aside, make_home, read_json_lines, studio_home, write_text
from studio.core.records import RecordError
from studio.core.text import plural
from studio.retrieval import index as retrieval
from studio.retrieval.grounding import Grounding
from studio.retrieval.index import Index
from studio.tracking.reporter import Reporter, Silent

__all__ = ["Comparison", "ComparisonRecord", "columns", "table"]


def load(path: Path) -> Comparison:
    """The comparison in a YAML file. Raises SpecError."""
    return settings.load(path)


def compare_answers(
    spec: Comparison, home: str | Path | None = None, reporter: Reporter | None = None
) -> tuple[ComparisonRecord, Path]:
    """Compare, and keep record, spec, each answer, the passages and the page in a folder below `<home>/comparisons`.

    Raises StudioError, also for questions that the run was trained on.
    """
    from studio.runs import served_models

    root = studio_home(home)
    if spec.run:
        spec = Comparison.model_validate({**spec.model_dump(), "run": served_models.lasting_name(spec.run, root)})
    index = retrieval.find(root, spec.index) if spec.index else None
    questions = questions_of(spec, root, index)
    large, close = _large(spec, root)
    with contextlib.ExitStack() as opened:
        opened.callback(close)
        if index is not None:
            index.search("ready", 1)  # the embedding model first: two must not load at once
        local, context = _local(spec, root, opened)
        grounding = Grounding(index, spec.passages).within(context) if index else None
        id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        target = make_home(root) / "comparisons" / id
        with folder_aside(target) as aside:
            rows: list[AnswerRow] = []

            def keep(row: AnswerRow) -> None:
                rows.append(row)
                append_json(aside / "answers.jsonl", row.as_line())

            record = compare(spec, questions, local, large, grounding, reporter or Silent(), keep, id=id)
            record.write(aside / "report.json")
            write_text(aside / "comparison.yaml", spec.as_yaml())
            for passage in dict.fromkeys(item for row in rows for item in row.passages):
                assert index is not None
                append_json(aside / "passages.jsonl", index.passages[passage].as_line())
            write_text(aside / "report.html", pages.render(record, rows, spec.as_yaml()))
    return record, target


def comparisons(home: str | Path | None = None) -> list[Path]:
    """The folders of comparisons, newest first."""
    return sorted((file.parent for file in (studio_home(home) / "comparisons").glob("*/report.json")), reverse=True)


def find(id: str, home: str | Path | None = None) -> Path:
    """The folder of the comparison of that id. Raises JobError."""
    for folder in comparisons(home):
        if folder.name == id:
            return folder
    raise JobError("there is no such comparison", hint="Choose one from the list.", where=id[:80])


def listed(home: Path) -> list[tuple[str, str]]:
    """Comparisons as (label, id), newest first; damaged ones are left out."""
    found: list[tuple[str, str]] = []
    for folder in comparisons(home):
        with contextlib.suppress(RecordError):
            record = ComparisonRecord.read(folder / "report.json")
            found.append((f"{record.run} · {plural(record.questions, 'question')} · {folder.name}", folder.name))
    return found


def answers(folder: Path) -> list[AnswerRow]:
    """The answers that the figures of a comparison rest on."""
    file = folder / "answers.jsonl"
    return [AnswerRow.from_json(values, where=str(file)) for values in read_json_lines(file)]


def body(folder: Path) -> Markup:
    """What a page shows of a comparison: picture, table, and each figure's rows. Raises RecordError."""
    spec = folder / "comparison.yaml"
    record = ComparisonRecord.read(folder / "report.json")
    return pages.body(record, answers(folder), spec.read_text("utf-8") if spec.exists() else "")


def questions_of(spec: Comparison, home: Path, index: Index | None) -> Questions:
    """The questions of a comparison, none of which its run was trained on. Raises StudioError."""
    run = _run_folder(spec.run, home)
    if spec.questions.startswith("dataset:"):
        from studio.data.curation import store

        files = store.named(home, spec.questions, "questions").files
        rows, where = question_files.rows([Path(file) for file in files]), spec.questions
    elif spec.questions:
        rows, where = question_files.rows([Path(spec.questions).expanduser()]), spec.questions
    elif run is not None:
        held_out = run / "held-out.jsonl"
        rows, where = read_json_lines(held_out) if held_out.exists() else list[Any](), spec.run
    else:
        raise DataError(
            "there are no questions to compare on", hint="Name a JSONL file of held-out questions.", where="questions"
        )
    found = asking.read(rows, where, spec.most_questions, index)
    if run is not None and (run / "train.jsonl").exists():
        asking.refuse_trained(found.usable, read_json_lines(run / "train.jsonl"), where)
    return found


def _run_folder(name: str, home: Path) -> Path | None:
    """The data of the run that a name stands for, or whose export it is; None for a model."""
    from studio.runs import served_models

    run = served_models.run_of(name, home) if name else None
    return run.data if run is not None else None


def _local(spec: Comparison, home: Path, opened: contextlib.ExitStack) -> tuple[Sequence[Answerer], int]:
    """Base, and tuned where there is an adapter: one set of weights, until `opened` ends; and the tokens it takes."""
    from studio.app.chat import open_talker

    talker = opened.enter_context(contextlib.closing(open_talker(spec.run, home)))

    def answerer(name: str, tuned: bool) -> Answerer:
        def ask(messages: Messages) -> Reply:
            begun = time.perf_counter()
            text = "".join(talker.say(messages, tuned, max_tokens=spec.max_tokens))
            seconds = time.perf_counter() - begun
            return Reply(text.strip(), talker.prompt_tokens(messages), len(talker.tokenizer(text)["input_ids"]), seconds)

        return Answerer(name, ask, talker.system)

    return [answerer(BASE, False), *([answerer("tuned", True)] if talker.tuned else [])], talker.context


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
