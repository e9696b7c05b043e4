"""Writing a lock file: `python -m studio.export.toolchains.lock NAME [--free PACKAGE]... REQUIREMENT...`.

Resolves the requirements against the versions the studio itself depends on here, which hold except for the packages set
free, and writes what differs from them or is absent. That is what an overlay must bring along.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def resolve(requirements: Sequence[str], free: Sequence[str], leave_out: Sequence[str] = ()) -> list[str]:
    """The pins `name==version` an overlay needs, sorted. Raises CalledProcessError if they contradict each other."""
    here = own("slm-studio")
    loose = {_plain(name) for name in free}
    with tempfile.TemporaryDirectory() as folder:
        bounds, report = Path(folder) / "constraints.txt", Path(folder) / "report.json"
        held = [f"{name}=={version.partition('+')[0]}" for name, version in here.items() if name not in {"slm-studio", *loose}]
        bounds.write_text("\n".join(held), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), "-c", str(bounds), *requirements], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text("utf-8"))["install"]]
    out = {_plain(name) for name in leave_out}
    return sorted(
        f"{_plain(item['name'])}=={item['version']}"
        for item in found
        if here.get(_plain(item["name"])) != item["version"] and _plain(item["name"]) not in out
    )


def own(package: str, extras: Sequence[str] = ()) -> dict[str, str]:
    """The versions here of everything the package depends on, however far; what else is installed here is not counted."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    wanted = [(package, tuple(extras))]
    seen = set(wanted)
    while wanted:
        name, asked = wanted.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[_plain(name)] = distribution.version
        for text in distribution.requires or []:
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *asked)):
                further = (need.name, tuple(sorted(need.extras)))
                wanted += [] if further in seen else [further]
                seen.add(further)
    return found


def main() -> None:
    """Write the lock file of the environment named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("requirements", nargs="+")
    parser.add_argument("--free", action="append", default=[], help="a package that may differ from the studio's")
    parser.add_argument("--leave-out", action="append", default=[], help="a package that is never needed")
    given = parser.parse_args()
    pins = resolve(given.requirements, given.free, given.leave_out)
    words = [given.name, *(f"--free {name}" for name in given.free), *(f"--leave-out {name}" for name in given.leave_out)]
    made = f"# Made by: python -m studio.export.toolchains.lock {' '.join([*words, *given.requirements])}\n"
    (Path(__file__).parent / f"{given.name}.txt").write_text(made + "\n".join(pins) + "\n", encoding="utf-8")


def _plain(name: str) -> str:
    """A package's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
