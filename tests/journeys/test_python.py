"""A day in a notebook: each cell runs in a real kernel, in a folder of its own, on a finished run and messy data."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch]


QUICK = 'training={"max_steps": 2}, evaluation={"max_rows": 2, "general": "off", "resamples": 100}'
SMALLER = {'training={"epochs": 4}': QUICK, '"holdout": 0.2}': f'"holdout": 0.2}}, {QUICK}'}
"""What the samples of the Python page have in place of their words here: fewer steps and questions."""


class Notebook:
    """A kernel in a folder: `run(code)` gives what the cell showed."""

    def __init__(self, folder: Path, home: Path) -> None:
        from nbclient import NotebookClient
        from nbformat import v4

        self.nb = v4.new_notebook()
        self.client = NotebookClient(
            self.nb, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, allow_errors=True
        )
        self.client.create_kernel_manager()
        self.client.start_new_kernel(env={**os.environ, "STUDIO_HOME": str(home)})
        self.client.start_new_kernel_client()

    def run(self, code: str) -> Any:
        from nbformat import v4

        self.nb.cells.append(v4.new_code_cell(code))
        return self.client.execute_cell(self.nb.cells[-1], len(self.nb.cells) - 1)

    def text(self, code: str) -> str:
        """What a cell prints and returns."""
        outputs = self.run(code)["outputs"]
        assert not [item for item in outputs if item["output_type"] == "error"], outputs
        return "".join(item.get("text", "") or item.get("data", {}).get("text/plain", "") for item in outputs)

    def html(self, code: str) -> str:
        """The HTML a cell ends with, of few bytes and with nothing raw in it or beside it."""
        outputs = self.run(code)["outputs"]
        assert not [item for item in outputs if item["output_type"] == "error" or item.get("name") == "stderr"], outputs
        shown = [item["data"] for item in outputs if item["output_type"] in ("execute_result", "display_data")]
        assert len(shown[-1]["text/plain"]) < 1500
        return str(shown[-1]["text/html"])

    def error(self, code: str) -> str:
        """The traceback a cell ends with."""
        (found,) = [item for item in self.run(code)["outputs"] if item["output_type"] == "error"]
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(found["traceback"]))


@pytest.fixture(scope="module")
def notebook(finished: dict[str, Any], desk: Path, shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "faq.csv").write_bytes((desk / "support.csv").read_bytes())
    made = Notebook(folder, shared_home)
    try:
        made.run(f"import studio\nrun = studio.find({finished['id']!r})")
        yield made
    finally:
        made.client._cleanup_kernel()


def test_every_result_is_shown_as_html_and_in_a_few_words(notebook: Notebook) -> None:
    assert "Usable rows" in notebook.html("studio.inspect('faq.csv')")
    plan = notebook.html("plan = studio.plan({'name': 'bot', 'data': {'train': 'faq.csv'}}); plan")
    assert "starter" in plan
    assert "fits" in plan
    assert 'class="learned"' in notebook.html("studio.preview('faq.csv', rows=2)")
    assert "Exact match" in notebook.html("run.report")
    assert "journey" in notebook.html("studio.list_runs()")
    assert "Held-out loss" in notebook.html("studio.compare(run, run)")
    assert "verif" in notebook.html("run.artifacts[0]")
    assert "Training loss" in notebook.html("run")


def test_an_error_is_what_where_and_what_to_do_in_two_lines(notebook: Notebook) -> None:
    for code, lines in (
        (
            "studio.RunSpec(data={'train': 'faq.csv'}, training={'epoch': 3})",
            ["SpecError: RunSpec: training.epoch: unknown key `epoch`", "→ Did you mean `epochs`?"],
        ),
        (
            "spec = studio.RunSpec(data={'train': 'faq.csv'})\nspec.training.epochs = 9",
            [
                "SpecError: training.epochs: a spec is not changed in place: `training.epochs`",
                "→ Make a new one: spec = studio.edit(spec, {'training.epochs': 9}).",
            ],
        ),
        (
            "studio.train('faq.csv')",
            [
                "SpecError: faq.csv: expected a spec, got the name of another file",
                "→ A spec is a YAML file; to train on this file: RunSpec(data={'train': 'faq.csv'}).",
            ],
        ),
    ):
        assert notebook.error(code).splitlines() == lines
    assert "got pandas.Series" in notebook.error("import pandas\nstudio.inspect(pandas.Series(['a']))")
    assert "numpy.ndarray" in notebook.error("import numpy\nstudio.plan(numpy.zeros(3))")


def test_a_run_answers_a_text_messages_and_a_conversation(notebook: Notebook) -> None:
    notebook.run("question = [{'role': 'user', 'content': 'Who are you?'}]")
    assert notebook.text("print(run.chat('Who are you?', max_tokens=8) == run.chat(question, max_tokens=8))") == "True\n"
    assert notebook.text("run.conversation()") == "<Conversation: 0 questions>"
    assert "nothing to answer" in notebook.error("run.chat([*question, {'role': 'assistant', 'content': 'A bot.'}])")
    talk = notebook.html("talk = run.conversation(max_tokens=8); talk.say('Hello!'); talk.say('And then?'); talk")
    assert talk.count("<b>you:</b>") == 2
    assert notebook.text("print([message['role'] for message in talk.messages])") == (
        "['user', 'assistant', 'user', 'assistant']\n"
    )
    assert notebook.text("model, tokenizer = run.model(); print(type(model).__name__, len(tokenizer) > 0)").startswith("Peft")


def test_figures_come_as_frames_and_a_plain_function_is_a_metric(notebook: Notebook) -> None:
    assert notebook.text("frame = run.metrics_frame(); print(frame.index.is_unique, frame['loss'].notna().any())") == (
        "True True\n"
    )
    assert "held-out" in notebook.text("print(run.report.to_pandas().groupby('set').size())")
    answered = "sum(len(part.answers) for part in run.report.sets)"
    assert notebook.text(f"print(0 < len(run.report.answers_frame()) == {answered})") == "True\n"
    assert notebook.text("run.report.score(lambda answer, reference: True)").startswith("<Compared: base 1, tuned 1, change +0")
    notebook.run("def short(answer, reference): return len(answer) <= len(reference)")
    assert notebook.text("print(run.report.score(short))").startswith("base ")
    assert "question" in notebook.text(
        "print(run.report.score(lambda answer, reference, question: question in answer).change.rows, 'question')"
    )
    broken = notebook.run("run.report.score(lambda answer, reference: 1 / 0)")["outputs"][-1]
    assert "raised for the base model's answer" in "\n".join(broken["traceback"])


def test_a_frame_is_trained_on_seen_live_stopped_found_again_and_resumed(notebook: Notebook) -> None:
    notebook.run(
        "import pandas\n"
        "frame = pandas.read_csv('faq.csv', sep=';', encoding='utf-8-sig').head(40)\n"
        "spec = studio.RunSpec(name='frame', data={'train': frame},\n"
        "    training={'epochs': 30, 'batch_size': 4, 'save_every': 2},\n"
        "    evaluation={'max_rows': 2, 'general': 'off', 'resamples': 100}, tracking={'wandb': 'off'})\n"
        "seen = []\n"
        "def after_a_few_steps(run, update):\n"
        "    seen.extend(update.metrics)\n"
        "    if len(seen) >= 4 and update.status.state == 'training':\n"
        "        run.stop()\n"
    )
    live = notebook.html("made = studio.train(spec, on_update=after_a_few_steps)")
    assert "base model starter" in live
    assert notebook.text("print(made.status.state, len(seen) >= 4)") == "stopped True\n"
    assert "pandas.DataFrame, 40 rows" in notebook.text(
        "import json; print(json.loads((made.folder.data / 'report.json').read_text())['files'][0]['details'])"
    )
    notebook.run("again = studio.find('frame')\nagain.resume(wait=False)")
    live = notebook.html("again.watch()")
    assert "Training loss" in live
    assert notebook.text("print(again.status.state)") == "done\n"


def test_the_samples_of_the_python_page_run_from_top_to_bottom(notebook: Notebook) -> None:
    from tests.architecture.test_docs import ROOT, blocks

    samples = "\0".join(blocks(ROOT / "docs" / "python.md", "python"))
    for words, fewer in SMALLER.items():
        assert samples.count(words) == 1, words
        samples = samples.replace(words, fewer)
    for sample in samples.split("\0"):
        ended = notebook.run(sample)["outputs"]
        assert not [item for item in ended if item["output_type"] == "error"], sample
