"""A run's held-out rows as a task of lm-evaluation-harness, so that anybody can repeat the evidence with the standard tool."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import EvaluationError
from studio.core.files import write_text
from studio.core.text import plural
from studio.data.rows import Conversation
from studio.evaluation.overlap import spoken

ROWS = "rows.jsonl"


@dataclass(frozen=True)
class Task:
    """A written task: its name, how many rows it has, and how many could not be put as one question with one answer."""

    name: str
    folder: Path
    rows: int
    left_out: int


def write(folder: Path, name: str, rows: Sequence[Conversation], longest: int) -> Task:
    """Write `<name>.yaml`, the rows and how to run them. longest: tokens of an answer.

    A task puts one question at a time, so conversations of several turns are left out. Raises EvaluationError if none is left.
    """
    task = "studio_" + re.sub(r"\W+", "_", name).strip("_").lower()
    system, docs = "", list[dict[str, str]]()
    for row in rows:
        turns = [turn for turn in row.prompt if turn.get("role") != "system"]
        if len(turns) != 1 or not row.answer:
            continue
        system = next((str(turn["content"]) for turn in row.prompt if turn.get("role") == "system"), system)
        docs.append({"question": str(turns[0].get("content") or ""), "answer": spoken(row.answer)})
    if not docs:
        raise EvaluationError(
            "no held-out row is one question with one answer", hint="A task consists of single questions.", where=name
        )
    lines = "".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs)
    write_text(folder / ROWS, lines)
    write_text(folder / f"{task}.yaml", _yaml(task, longest))
    write_text(folder / "README.md", _readme(task, system))
    return Task(task, folder, len(docs), len(rows) - len(docs))


def _yaml(task: str, longest: int) -> str:
    import yaml

    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    values: dict[str, Any] = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": ROWS}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": longest},
        "metric_list": [metric],
        "metadata": {"version": 1.0},
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _readme(task: str, system: str) -> str:
    option = f" \\\n    --system_instruction {json.dumps(system, ensure_ascii=False)}" if system else ""
    return (
        f"# {task}\n\nThe held-out rows of a run, for lm-evaluation-harness (`pip install lm-eval`). Run it in this folder, "
        "with the chat template: without it a chat model's answers are empty.\n\n```bash\n"
        f"lm_eval --model hf --model_args pretrained=MODEL --tasks {task} --include_path . \\\n"
        f"    --apply_chat_template --log_samples --output_path results{option}\n```\n"
    )


def sentence(task: Task) -> str:
    """What was written, in words."""
    out = f"; {plural(task.left_out, 'row')} of several turns left out" if task.left_out else ""
    return f"{task.name}: {plural(task.rows, 'row')} in {task.folder}{out}"
