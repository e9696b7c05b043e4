"""Making an environment: beside its place, and given its name only when what it is for can be imported."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import site
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

from studio.core.errors import ExportError, HardwareError, JobError, Stopped
from studio.core.files import bytes_in, folder_aside, need_room, write_json
from studio.export.toolchains import known
from studio.export.toolchains.known import STAMP, Environment, Status, interpreter, root, status
from studio.processes import lines, locks
from studio.tracking.reporter import Reporter


def install(name: str, reporter: Reporter) -> Status:
    """Make the environment from its lock file; one that is ready is left alone.

    Raises SpecError for a name that is not known, HardwareError without disk, JobError if it is being made or removed by
    another process, ExportError if a package cannot be had or used, Stopped if asked to stop. What was there before stays
    until the new one works; what a killed install left is removed.
    """
    item = known.environment(name)
    if known.ready(name):
        return status(name)
    with _alone(item) as lock:
        if known.ready(name):
            return status(name)
        _sweep(item)
        need_room(root(), item.bytes * 2, f"the exporter {name}")
        with folder_aside(item.folder) as aside:
            _make(item, aside, reporter, lock)
    return status(name)


def remove(name: str) -> bool:
    """Remove the environment and what unfinished installs left of it; False if there was none."""
    item = known.environment(name)
    there = item.folder.exists()
    if not root().exists():
        return False
    with _alone(item):
        _sweep(item)
        if there:
            gone = item.folder.with_name(f".{name}.gone")  # out of sight at once, however long the removal takes
            os.replace(item.folder, gone)
            shutil.rmtree(gone)
    return there


def _make(item: Environment, aside: Path, reporter: Reporter, lock: int) -> None:
    reporter.progress(0, len(item.pins) + 2, "making the environment")
    venv.EnvBuilder(symlinks=True).create(aside)
    _pip(item, aside, len(item.pins), reporter, lock)
    _connect(item, packages(aside))
    reporter.progress(len(item.pins) + 1, len(item.pins) + 2, "trying it out")
    for module in item.imports:
        _run([str(interpreter(aside)), "-P", "-c", f"import {module}"], item, lambda line: None, reporter, lock)
    _rename_scripts(aside, item.folder)
    write_json(aside / STAMP, {**item.stamp, "bytes": bytes_in(aside)})
    reporter.progress(len(item.pins) + 2, len(item.pins) + 2, "done")


def packages(folder: Path) -> Path:
    """The site-packages of the environment in `folder`."""
    lib = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" if sys.platform != "win32" else folder / "Lib"
    return lib / "site-packages"


def _pip(item: Environment, folder: Path, count: int, reporter: Reporter, lock: int) -> None:
    """Install exactly what the lock lists. The studio's packages are not in sight yet, so none of them is touched."""
    if importlib.util.find_spec("pip") is None:
        raise ExportError("there is no pip in the studio's environment", hint="Run `python -m ensurepip`.", where=item.name)
    begun = 0

    def on_line(line: str) -> None:
        nonlocal begun
        package = re.match(r"(?:Collecting|Processing|Requirement already satisfied:) (\S+)", line)
        if package:
            begun += 1
            reporter.progress(min(begun, count), count + 2, f"downloading {re.split('==|-[0-9]', Path(package[1]).name)[0]}")
        elif line.startswith("Installing collected packages"):
            reporter.progress(count, count + 2, "unpacking")

    command = [sys.executable, "-m", "pip", "--python", str(interpreter(folder)), "install", "--no-deps", "--no-compile"]
    options = ["--progress-bar", "off", "--disable-pip-version-check", "--no-input", "-r", str(item.lock)]
    _run([*command, *options], item, on_line, reporter, lock)


def _connect(item: Environment, where: Path) -> None:
    """Let the environment see the studio: behind its own packages all of the studio's, or only the studio itself."""
    if item.isolated:
        (where / "studio").symlink_to(Path(__file__).parents[2])
        return
    behind = [path for path in [*site.getsitepackages(), site.getusersitepackages()] if path in sys.path]
    lines = [f"import site; site.addsitedir({path!r})" for path in behind]
    (where / "zz_studio.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _rename_scripts(aside: Path, folder: Path) -> None:
    """Scripts begin with the path of their interpreter, which is about to get another."""
    for file in interpreter(aside).parent.iterdir():
        with contextlib.suppress(UnicodeDecodeError):
            if file.is_file() and not file.is_symlink():
                file.write_text(file.read_text("utf-8").replace(str(aside), str(folder)), encoding="utf-8")


def _run(command: list[str], item: Environment, on_line: Callable[[str], None], reporter: Reporter, lock: int) -> None:
    """Run a step to its end, passing on its lines. Raises ExportError with its last ones if it fails.

    The step holds the lock too: if the studio is killed, nobody sweeps a folder that is still written to.
    """

    def check() -> None:
        if reporter.should_stop():
            raise Stopped

    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    code, tail = lines.run(command, on_line, check=check, environment=environment, inherit=(lock,))
    if code:
        raise _failed(item, tail, code)


def _failed(item: Environment, tail: list[str], code: int) -> ExportError | HardwareError:
    text = "\n".join(tail)
    if "No space left" in text:
        return HardwareError(f"the disk ran full while {item.name} was installed", hint="Free some disk.", where=str(root()))
    errors = [line for line in tail if line.startswith("ERROR")] or [line for line in tail if line.strip()][-1:]
    offline = "Could not find a version" in text or "Connection" in text
    return ExportError(
        f"the exporter {item.name} could not be made: {errors[-1].removeprefix('ERROR: ') if errors else f'code {code}'}",
        hint="Is there a network, and does pip reach its index?" if offline else f"Try again; its packages: {item.lock}",
        where=item.name,
    )


def _sweep(item: Environment) -> None:
    """Remove what killed installs left; only to be called alone."""
    for left in root().glob(f".{item.name}.*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _alone(item: Environment) -> Iterator[int]:
    """Lock the environment's name against other processes: the lock's descriptor."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(locks.hold(root() / f".{item.name}.lock"))
        except locks.LockHeld:
            raise JobError(
                f"the exporter {item.name} is being installed or removed",
                hint="Wait for that to end; after a killed install its last step may still run.",
                where=item.name,
            ) from None
        except OSError as problem:
            raise HardwareError(
                f"exporters cannot be installed beside this interpreter ({problem.strerror})",
                hint="Install the studio in a virtual environment of your own.",
                where=str(root()),
            ) from None
        yield lock.handle
