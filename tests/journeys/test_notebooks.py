"""The notebooks run from top to bottom in any folder, and what is shipped is what their scripts say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.core.errors import ModelError
from studio.models import smollm2
from tests import notebooks


@pytest.mark.slow
@pytest.mark.parametrize("source", notebooks.SOURCES, ids=lambda file: file.stem)
def test_a_notebook_runs_from_top_to_bottom_in_a_folder_of_its_own(source: Path, tmp_path: Path) -> None:
    if "smollm2" in source.read_text():
        try:
            smollm2.fetch()
        except ModelError as error:
            pytest.skip(f"SmolLM2 cannot be had: {error}")
    executed = notebooks.execute(source, tmp_path, smaller=True)
    outputs = json.dumps([cell.get("outputs", []) for cell in executed.cells])
    assert "Traceback" not in outputs
    assert "NOT verified" not in outputs


@pytest.mark.parametrize("source", notebooks.SOURCES, ids=lambda file: file.stem)
def test_a_shipped_notebook_has_the_cells_of_its_script_and_their_outputs(source: Path) -> None:
    shipped = json.loads((notebooks.NOTEBOOKS / f"{source.stem}.ipynb").read_text())["cells"]
    now = [(cell["cell_type"], "".join(cell["source"])) for cell in shipped]
    assert now == notebooks.cells(source), "run: python -m tests.notebooks"
    printing = [cell for cell in shipped if "print(" in "".join(cell["source"])]
    assert printing
    assert [bool(cell["outputs"]) for cell in printing] == [not notebooks.needs_gpu(source)] * len(printing)


def test_no_notebook_names_a_path_of_the_machine_it_was_made_on() -> None:
    for file in notebooks.NOTEBOOKS.glob("*.ipynb"):
        text = file.read_text()
        assert not [path for path in ("/tmp/", "/home/", "/root/", str(notebooks.ROOT)) if path in text], file.name


def test_every_notebook_begins_by_installing_what_it_needs() -> None:
    for source in notebooks.SOURCES:
        first = next(text for kind, text in notebooks.cells(source) if kind == "code")
        assert '"pip", "install"' in first
