"""The corruption matrix: each file of a whole home, damaged in each way, against every view, page and command."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main

from studio.app import damage, runs
from studio.core.errors import JobError
from studio.processes import command, spawn
from studio.processes.identity import ProcessId
from studio.runs.folder import RunFolder
from tests.campaign import faults, views, whole_home
from tests.campaign.views import View

SKIPPED = (".safetensors", ".pt", ".npy", ".bin", ".lock")
"""Endings of files that no view reads; loading them is what the tests of training and serving do."""


_COMMANDS = functools.cache(typer.main.get_command)


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Views begin no process, and `home` is the home."""

    def refuse(*arguments: Any, **more: Any) -> Any:
        raise JobError("no process is begun here", hint="This is a campaign.", where="campaign")

    with (
        patch.dict(os.environ, STUDIO_HOME=str(home)),
        patch.object(spawn, "detached", lambda *given, **more: ProcessId(1, -1, "none")),
        patch.object(command, "document", refuse),
        patch.object(typer.main, "get_command", _COMMANDS),
    ):
        yield


class Matrix:
    """A whole home below `root` that is damaged one file at a time, and made whole again."""

    def __init__(self, root: Path, with_pages: bool = True, reference: RunFolder | None = None) -> None:
        self.home, self._whole = root / "home", root / "whole"
        with alone(self.home):
            if self._whole.exists():  # made by an earlier call
                shutil.rmtree(self.home, ignore_errors=True)
                shutil.copytree(self._whole, self.home)
            else:
                self._fill(reference)
            self._pages: Any = None
            if with_pages:
                from tests.campaign.pages import Pages

                self._pages = Pages(self.home)
            self.views = self._views()

    def _fill(self, reference: RunFolder | None) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        whole_home.fill(self.home)
        if reference is not None:
            for name in whole_home.TWO:
                shutil.copytree(reference.path, self.home / "runs" / f"{name}-trained", symlinks=True)
        aside = self._whole.with_name("copying")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(self.home, aside)
        aside.rename(self._whole)

    def files(self) -> list[Path]:
        """The files that are damaged, relative to the home: those of one of two things of each kind, and what all share."""
        every = sorted(item.relative_to(self._whole) for item in self._whole.rglob("*") if item.is_file())
        other = whole_home.TWO[1]
        found = {}
        for file in every:
            if not file.name.endswith(SKIPPED) and other not in file.as_posix():
                found.setdefault((file.parts[0], len(file.parts), file.name), file)  # one of several documents is enough
        return list(found.values())

    def whole(self) -> list[str]:
        """What is wrong with the views of the home as it is; nothing must be."""
        with alone(self.home):
            return views.failures(self.home, (), self.views)

    def damaged(self, damages: Mapping[Path, str], chance: random.Random) -> list[str]:
        """Damage files, each in one way, look at everything, repair, look again, and make the home whole; what did not hold."""
        items = [whole_home.item_of(file).as_posix() for file in damages]
        kinds = {item.split("/")[0] for item in items}
        near = [view for view in self.views if not view.item or view.item.split("/")[0] in kinds]
        for file, kind in damages.items():  # a note of a server that has ended may be tidied away by now
            (self.home / file).write_bytes(faults.DAMAGES[kind]((self._whole / file).read_bytes(), chance))
        try:
            with alone(self.home):
                found = views.failures(self.home, items, near)
                found += [f"after the repair: {problem}" for problem in self._repaired(items, near)]
        finally:
            for kind in {file.parts[0] for file in damages}:
                self._restore(kind)
        said = ", ".join(f"{file}: {kind}" for file, kind in damages.items())
        return [f"{said}: {problem}" for problem in found]

    def _restore(self, name: str) -> None:
        for folder in {name, "runs", damage.SET_ASIDE}:
            if (self.home / folder).is_dir():
                shutil.rmtree(self.home / folder)
            if (self._whole / folder).is_dir():
                shutil.copytree(self._whole / folder, self.home / folder)
        for file in (self._whole / name, self._whole / "queue.db"):
            if file.is_file():
                for left in self.home.glob(f"{file.name}*"):
                    left.unlink()
                shutil.copyfile(file, self.home / file.name)

    def _repaired(self, items: list[str], near: list[View]) -> Iterator[str]:
        damage.repair(self.home)
        yield from (f"damaged: {left.path}: {left.what}" for left in damage.damages(self.home))
        yield from views.failures(self.home, items, [view for view in near if not view.item])
        for run in runs.list_runs(self.home):
            if f"runs/{run.id}" in items:
                runs.delete(run)

    def _views(self) -> list[View]:
        found = views.commands(self.home)
        return found if self._pages is None else [*found, *views.of_pages(self.home, self._pages)]
