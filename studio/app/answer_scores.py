"""Use case of a reward model: the scores of answers in a file. It loads the model: not for a web server's process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.app.runs import Run
from studio.core.errors import JobError
from studio.data import prepare
from studio.data.rows import Conversation


@dataclass(frozen=True)
class ScoredRow:
    """A row with the score of its answer, and of the rejected one where it is a preference pair."""

    file: str
    line: int
    question: str
    answer: str
    score: float
    rejected: float | None = None


def scores(run: Run, file: str) -> list[ScoredRow]:
    """Score the answers of a file by the reward model of a run: any rows with questions and answers, or preference pairs.

    Higher is better; only differences mean something. Raises JobError for a run of another method, DataError, ModelError.
    """
    from studio import pipeline
    from studio.app import gpu_use
    from studio.data.render import encode_many
    from studio.evaluation import scored
    from studio.models import libraries

    spec = run.folder.resolved_spec()
    if not spec.training.method.scores:
        raise JobError(
            f"this run is no reward model (training.method: {spec.training.method.kind})",
            hint="Train one on preference pairs with training.method: reward.",
            where=run.id,
        )
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError("this run has no trained adapter", hint="Wait until it is trained, or resume it.", where=run.id)
    rows = prepare.load_questions(str(Path(file).expanduser()), spec.data)
    libraries.import_heavy()
    prepared = pipeline.reopen(run.folder)
    sides = [side for row in rows for side in (row, row.not_preferred) if side is not None]
    encoded = encode_many(sides, prepared.tokenizer, "last_assistant")
    with gpu_use.or_refuse("scoring of answers", "Score when it has ended."):
        model = scored.load(pipeline.load(prepared), run.folder.adapter)
        found = iter(scored.scores(model, [made.ids for made in encoded]).tolist())
    return [
        ScoredRow(
            row.file, row.line, _question(row), row.answer, next(found), next(found) if row.rejected is not None else None
        )
        for row in rows
    ]


def _question(row: Conversation) -> str:
    asked = [turn for turn in row.prompt if turn["role"] == "user"]
    return str(asked[-1].get("content") or "") if asked else ""
