"""Does training with passages teach a model to read them? The starter, tuned twice, asked about pages it never saw.

`python -m bench.reading` (some minutes of CPU) writes `bench/results/reading.json`. The handbook's pages are an index,
searched by words. One run is trained on the bare questions of 38 pages, the other on the same questions with passages: the
right one among others, or missing, with a refusal. Both are compared with retrieval on questions of the ten pages that
neither was trained on, and on questions that no page answers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.kit.machine import facts, keep
from studio.app import answer_comparison, documents, indexes, notebook
from studio.comparison.record import ComparisonRecord
from studio.comparison.settings import Comparison
from studio.making import canned
from studio.retrieval.grounding import REFUSAL
from studio.spec import RunSpec

ROOT = Path(__file__).parents[1]
PASSAGES, HELD_OUT, EPOCHS, RATE = 2, 10, 4, 5e-3
"""Passages in a prompt (the starter reads 512 tokens), pages that no row is made from, and the training of both runs."""


def questions(page: Path) -> Iterator[dict[str, Any]]:
    """The questions of a page in all their wordings, and some that it does not answer."""
    marked = f"<passage>\n{page.read_text(encoding='utf-8')}\n</passage>"
    for row in json.loads(canned.answer(f"Write 6 questions that this passage answers\n{marked}"))["rows"]:
        again = json.loads(canned.answer(f"Put this question otherwise.\nQuestion: {row['question']}"))["rows"]
        for wording in (row["question"], *(other["question"] for other in again)):
            yield {"question": wording, "answer": row["answer"], "document": page.name, "quote": row["quote"]}
    for row in json.loads(canned.answer(f"Write 3 questions on this and that it does not answer\n{marked}"))["rows"]:
        yield {"question": row["question"], "answer": REFUSAL, "answerable": False}


def main() -> None:
    """Train both, compare both, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, help="A Studio home to keep: its runs are resumed, or not repeated.")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(asked.home or Path(folder), asked.epochs)
    keep("reading", result)
    print(json.dumps(result, indent=2))


def measure(home: Path, epochs: int) -> dict[str, Any]:
    """The figures of both runs."""
    pages = sorted((ROOT / "datasets" / "handbook").glob("*.md"))
    documents.add_documents("handbook", *pages, home=home)
    indexes.build_index("handbook", "handbook", home=home)
    held_out = pages[:: len(pages) // HELD_OUT][:HELD_OUT]
    rows = {
        "train": [row for page in pages if page not in held_out for row in questions(page)][::3],
        "test": [row for page in held_out for row in questions(page)][::3],
    }
    trained = {row["question"] for row in rows["train"]}  # things that no page has are asked about on several pages
    rows["test"] = [row for row in rows["test"] if row["question"] not in trained]
    files = {name: home / f"{name}.jsonl" for name in rows}
    for name, file in files.items():
        file.write_text("".join(json.dumps(row) + "\n" for row in rows[name]), "utf-8")
    read = home / "train-with-passages.jsonl"
    indexes.write_rows("handbook", files["train"], read, 0.2, 0, home, PASSAGES)
    results = {}
    for name, train in (("trained on questions", files["train"]), ("trained with passages", read)):
        spec = RunSpec(
            name=name, model={"name": "starter"}, data={"train": str(train), "holdout": 0.05},
            training={"epochs": epochs, "learning_rate": RATE, "batch_size": 16}, tracking={"wandb": "off"},
        )  # fmt: skip
        known = [run for run in notebook.list_runs(home) if run.spec.name == name]
        run = known[0] if known else notebook.start(spec, home)
        if not (run.folder.adapter / "adapter_config.json").exists():  # its evidence is not needed here
            run = run.watch() if run.status.active else run.resume()
        wanted = Comparison(
            run=run.id, index="handbook", questions=str(files["test"]), passages=PASSAGES, most_questions=500, max_tokens=40
        )
        done = [ComparisonRecord.read(folder / "report.json") for folder in answer_comparison.comparisons(home)]
        record = next((one for one in done if one.run == run.id), None)
        record = record or answer_comparison.compare_answers(wanted, home)[0]
        results[name] = {way.name: figures(way) for way in record.ways}
        found = record.found_by_retrieval
    return {
        "what": f"The starter with {PASSAGES} passages on questions about {HELD_OUT} pages that it was not trained on",
        **facts("torch", "transformers"),
        "rows": {name: sum(1 for _ in open(file, encoding="utf-8")) for name, file in {**files, "with passages": read}.items()},
        "epochs": epochs,
        "found by retrieval": found.value if found else None,
        "results": results,
    }


def figures(way: Any) -> dict[str, Any]:
    """Value and interval of each figure of a configuration."""
    shown = ("quality", "answered", "refused_rightly", "refused_wrongly", "grounded")
    values = {name: getattr(way, name) for name in shown}
    return {name: [round(item.value, 3), item.low, item.high, item.rows] if item else None for name, item in values.items()}


if __name__ == "__main__":
    main()
