"""The files shipped with Studio: presets, sample data, notebooks.

In the repository they are top-level folders and `studio/resources/` holds links to them; a wheel holds the files themselves.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from studio.core.errors import SpecError


def folder(name: str) -> Path:
    """The shipped folder `name`: `configs`, `datasets` or `notebooks`."""
    return (Path(str(files("studio"))) / "resources" / name).resolve()


def sample(name: str) -> str:
    """The path of a shipped sample file, such as `support.jsonl`. Raises SpecError."""
    file = folder("datasets") / name
    if not file.is_file():
        names = ", ".join(sorted(item.name for item in folder("datasets").iterdir() if item.name != "README.md"))
        raise SpecError(f"there is no sample file `{name}`", hint=f"Choose one of: {names}", where="studio.sample")
    return str(file)


def copy_notebooks(target: Path, overwrite: bool = False) -> list[Path]:
    """Copy the shipped notebooks into the folder `target`; the files written.

    Raises SpecError, before anything is written, if a file is already there and `overwrite` is off.
    """
    sources = sorted(folder("notebooks").glob("*.ipynb"))
    existing = [file.name for file in sources if (target / file.name).exists()]
    if existing and not overwrite:
        raise SpecError(
            f"{', '.join(existing)} already {'exists' if len(existing) == 1 else 'exist'}",
            hint="Choose another folder, or pass --overwrite to replace them.",
            where=str(target),
        )
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(file, target / file.name)) for file in sources]
