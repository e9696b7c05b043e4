"""Makes the notebooks of their scripts: executes each in a folder of its own and writes it with its outputs.

    python -m tests.notebooks [NAME ...]        all of notebooks/source/, or those whose name begins so

A test executes the scripts again, on fewer rows and steps, and checks that the notebooks have the same cells. Those for a GPU
are stored without outputs, and the test executes them with a small model in place of theirs.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = sorted((NOTEBOOKS / "source").glob("*.py"))
SMALLER = {
    "1-quick-start": {'"holdout": 0.1}': '"holdout": 0.1, "limit": 60}', '"epochs": 4': '"epochs": 1',
                      '"max_rows": 24': '"max_rows": 2'},
    "3-evidence-and-comparison": {
        '"support-heldout.jsonl")}': '"support-heldout.jsonl"), "limit": 60}', '"max_rows": 12': '"max_rows": 2',
        '"training.epochs": [1, 3]': '"training.max_steps": [1, 2]',
    },
    "4-export-and-serve": {'"limit": 120': '"limit": 40', '"epochs": 2': '"epochs": 1', '"max_rows": 8': '"max_rows": 2'},
    "6-a-real-model": {
        '"max_steps": 8, "batch_size": 8': '"max_steps": 1, "batch_size": 2',
        '"max_rows": 4, "general": "off", "max_new_tokens": 24': '"max_rows": 1, "general": "off", "max_new_tokens": 4',
        "max_tokens=24": "max_tokens=4",
    },
    "8-search-and-citations": {'"limit": 240': '"limit": 60', '"epochs": 2': '"epochs": 1', '"max_rows": 8': '"max_rows": 2'},
    "9-preferences-and-distillation": {
        '"limit": 160': '"limit": 24', '"limit": 80': '"limit": 24',
        '"max_rows": 8': '"max_rows": 2', '"batch_size": 16': '"batch_size": 4',
    },
    "gpu-qwen3-4b": {
        '"Qwen/Qwen3-4B"': '"starter"', '"holdout": 0.1}': '"holdout": 0.1, "limit": 40}',
        'tracking={"wandb": "auto"}': """tracking={"wandb": "off"}, training={"max_steps": 2},
        evaluation={"max_rows": 2, "general": "off"}""",
    },
}  # fmt: skip
"""What a notebook has in place of its words where it is tested: fewer rows and steps; without a GPU, a small model."""


def needs_gpu(source: Path) -> bool:
    """Whether it is for a GPU, and shipped without outputs."""
    return source.name.startswith("gpu-")


def cells(source: Path) -> list[tuple[str, str]]:
    """The cells of a script in percent format: (`markdown` or `code`, text)."""
    parts = re.split(r"^# %%( \[markdown\])?\n", source.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [("markdown", _prose(text)) if mark else ("code", text.strip()) for mark, text in pairs]


def _prose(text: str) -> str:
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.strip().splitlines())


def notebook(source: Path) -> Any:
    """The notebook of a script, not executed."""
    from nbformat import v4

    make = {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    made = [make[kind](text, id=f"cell-{index}") for index, (kind, text) in enumerate(cells(source))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def execute(source: Path, folder: Path, smaller: bool = False) -> Any:
    """Run a script as a notebook in `folder`, with a Studio home below it. smaller: as a test does. Raises
    CellExecutionError."""
    from nbclient import NotebookClient

    made = notebook(source)
    if smaller:
        _shrink(made, SMALLER.get(source.stem, {}))
    before = dict(os.environ)
    os.environ.update(STUDIO_HOME=str(folder / ".studio"))
    try:
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(made, timeout=1100, resources=resources, kernel_name="python3", record_timing=False).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return made


def _shrink(made: Any, replaced: dict[str, str]) -> None:
    for words, others in replaced.items():
        cells = [cell for cell in made.cells if cell.cell_type == "code" and words in cell.source]
        assert cells, f"no cell has {words}"
        for cell in cells:
            cell.source = cell.source.replace(words, others)


def portable(made: Any, folder: Path) -> Any:
    """The notebook without what is only so on this machine: paths, and the warnings of other libraries."""
    import json

    text = json.dumps(made)
    for path, shown in ((folder, "~/work"), (ROOT, "~/studio"), (Path(sys.prefix), "~/studio/.venv")):
        text = text.replace(json.dumps(str(path))[1:-1], shown)
    cleaned = json.loads(text)
    for cell in cleaned["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    return cleaned


def main(names: list[str]) -> None:
    """Execute and write the notebooks asked for."""
    import nbformat

    for source in SOURCES:
        if names and not source.name.startswith(tuple(names)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            made = notebook(source) if needs_gpu(source) else portable(execute(source, Path(folder)), Path(folder))
        nbformat.write(nbformat.from_dict(made), NOTEBOOKS / f"{source.stem}.ipynb")
        print(f"notebooks/{source.stem}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])
