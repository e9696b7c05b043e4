"""The notebooks run from top to bottom, as a reader would run them."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda file: file.stem)
def test_a_notebook_runs_from_top_to_bottom(file: Path, home: Path) -> None:
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.read(file)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}, kernel_name="python3").execute()
    shown = str(notebook.cells)
    assert "Traceback" not in shown
    assert "True" in str(notebook.cells[-1].outputs)
