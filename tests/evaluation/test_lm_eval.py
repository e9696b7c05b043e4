"""Held-out rows as a task that lm-evaluation-harness reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from studio.core.errors import EvaluationError
from studio.core.messages import chat_message
from studio.data.rows import Conversation
from studio.evaluation import lm_eval
from tests.evaluation.conftest import FACTS, conversation


def test_rows_become_a_task_with_its_data_and_its_command(tmp_path: Path):
    system = chat_message("system", "Be brief.")
    rows = [conversation(*fact) for fact in FACTS]
    rows[0] = Conversation(messages=(system, *rows[0].messages))
    several = Conversation(messages=(*rows[1].messages, *rows[2].messages))
    found = lm_eval.write(tmp_path, "Support bot!", [*rows, several], 48)
    assert (found.name, found.rows, found.left_out) == ("studio_support_bot", 6, 1)
    assert "1 row of several turns left out" in lm_eval.sentence(found)
    task = yaml.safe_load((tmp_path / "studio_support_bot.yaml").read_text())
    assert task["generation_kwargs"]["max_gen_toks"] == 48
    docs = [json.loads(line) for line in (tmp_path / task["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()]
    assert docs[0] == {"question": FACTS[0][0], "answer": FACTS[0][1]}
    readme = (tmp_path / "README.md").read_text()
    assert "--apply_chat_template" in readme
    assert '--system_instruction "Be brief."' in readme


def test_rows_of_several_turns_alone_are_no_task(tmp_path: Path):
    with pytest.raises(EvaluationError, match="one question with one answer"):
        lm_eval.write(tmp_path, "bot", [Conversation(text="plain text")], 8)
