"""Makes the notebooks of their scripts: executes each in a folder of its own and writes it with its outputs.

    python -m tests.notebooks [NAME ...]        all of notebooks/source/, or those whose name begins so

A test executes the scripts again and checks that the notebooks have the same cells. Those for a GPU are stored without outputs,
and the test executes them with a small model in place of theirs.
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
WITHOUT_GPU = {
    '"Qwen/Qwen3-4B"': '"starter"',
    '"holdout": 0.1}': '"holdout": 0.1, "limit": 40}',
    'tracking={"wandb": "auto"}': """tracking={"wandb": "off"}, training={"max_steps": 2},
        evaluation={"max_rows": 2, "general": "off"}""",
}
"""What a notebook for a GPU has in place of its words where it is tested without one."""


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


def execute(source: Path, folder: Path) -> Any:
    """Run a script as a notebook in `folder`, with a Studio home below it. Raises CellExecutionError."""
    from nbclient import NotebookClient

    made = notebook(source)
    if needs_gpu(source):
        _shrink(made)
    before = dict(os.environ)
    os.environ.update(STUDIO_HOME=str(folder / ".studio"))
    try:
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(made, timeout=1100, resources=resources, kernel_name="python3", record_timing=False).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return made


def _shrink(made: Any) -> None:
    for words, others in WITHOUT_GPU.items():
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
