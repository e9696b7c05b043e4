"""Abilities whose packages are extras of the studio's own environment: are they there?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from studio.core.errors import StudioError


def missing(extra: str, packages: Sequence[str]) -> str | None:
    """What is not installed, with the command that installs it; None if all is there. Imports nothing."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"{' and '.join(absent)} not installed: {command(extra)}" if absent else None


def missing_packages(packages: Sequence[str]) -> str | None:
    """Likewise for packages that are called as their modules are."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"{' and '.join(absent)} is not installed: pip install {' '.join(absent)}" if absent else None


def refuse_if_missing(what: str, extra: str, packages: Sequence[str], error: type[StudioError]) -> None:
    """Raise `error` with the command unless all of `packages` are there. what: what needs them."""
    lacking = missing(extra, packages)
    if lacking:
        raise error(f"{what}: {lacking.rpartition(': ')[0]}", hint=f"Run {command(extra)}.", where=extra)


def command(extra: str) -> str:
    """The command that installs an extra into this very environment: another `pip` on the path would take it elsewhere."""
    return f'{sys.executable} -m pip install "slm-studio[{extra}]"'


def version(package: str) -> str:
    """The installed version of a package."""
    import importlib.metadata

    return importlib.metadata.version(package)
