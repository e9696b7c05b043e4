"""Exporters in environments of their own: made whole or not at all, driven from the studio, and gone when it is.

The packages installed here are made on the spot, so that no network is needed; everything else is real.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from studio.core.errors import DataError, ExportError, HardwareError, JobError, SpecError, Stopped
from studio.core.events import Event
from studio.export import toolchains as environments
from studio.export.toolchains import Environment, known, remote
from studio.export.verification.answers import Runtime
from studio.tracking.reporter import Silent

pytestmark = pytest.mark.slow

CHATTER = """
import importlib.metadata, importlib.util, os, sys, time
import numpy as np
from studio.core import events
from studio.core.errors import DataError

class Parrot:
    def __init__(self, size): self.size = size
    def logits(self, ids, positions):
        rows = np.zeros((len(positions), self.size), np.float32)
        rows[np.arange(len(positions)), [ids[place] for place in positions]] = 1
        return rows
    def greedy(self, prompts, longest): return [(prompt[:longest], True) for prompt in prompts]
    def fail(self): raise ValueError("no such word")

def parrot(settings): return Parrot(settings["size"])

def look(request, reporter):
    print("a library that prints")
    import mdurl
    reporter.progress(1, 2, "looking")
    return {
        "mine": mdurl.__version__, "metadata": importlib.metadata.version("mdurl"), "prefix": sys.prefix,
        "torch": importlib.util.find_spec("torch").origin, "studio": importlib.util.find_spec("studio").origin,
        "sum": np.float32(request["a"]) + 1,
    }

def leak(request, reporter): raise KeyError(f"attempt {request['place']}: hf_" + "a" * 30)
def keys(request, reporter): return sorted(os.environ)
def alone(request, reporter): return {"torch": importlib.util.find_spec("torch") is None}
def refuse(request, reporter): raise DataError("row 3 is empty", hint="Fill it.", where="rows.jsonl")
def fail(request, reporter): print("the converter said why", file=sys.stderr); raise KeyError("rope_type")
def full(request, reporter): raise OSError(28, "No space left on device")
def crash(request, reporter): os.kill(os.getpid(), 9)
def wait(request, reporter):
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    reporter.event(events.Waiting(message=f"{os.getpid()} {child.pid}"))
    time.sleep(60)
"""


def wheel(folder: Path, name: str, version: str, code: str) -> str:
    """A wheel with one module; the line a lock file names it by."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/__init__.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name}-say = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name} @ {file.as_uri()}"


Declare = Callable[..., Environment]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments keep what is in hand, and the logs of what failed."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def declared(folder: Path, patch: pytest.MonkeyPatch) -> Declare:
    """Declares environments whose lock files and folders are below `folder`."""
    (folder / "locks").mkdir()
    patch.setattr(known, "LOCKS", folder / "locks")
    patch.setattr(known, "root", lambda: folder / "exporters")
    patch.setattr("studio.export.toolchains.making.root", lambda: folder / "exporters")

    def declare(name: str, *lines: str, imports: tuple[str, ...] = (), **changes: Any) -> Environment:
        (folder / "locks" / f"{name}.txt").write_text("# a test's\n" + "\n".join(lines) + "\n")
        item = replace(Environment(name, "tests", imports, 1 << 20), **changes)
        patch.setitem(known.ENVIRONMENTS, name, item)  # a dict
        return item

    return declare


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declare:
    return declared(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment with a module of its own and another version of one of the studio's packages."""
    folder = tmp_path_factory.mktemp("environments")
    with pytest.MonkeyPatch.context() as patch:
        wheels = folder / "wheels"
        lines = [wheel(wheels, "chatter", "1.0", CHATTER), wheel(wheels, "mdurl", "0.0.7", "__version__ = '0.0.7'")]
        item = declared(folder, patch)("parrot", *lines, imports=("chatter",))
        environments.install("parrot", Silent())
        yield item


def listing(folder: Path) -> set[str]:
    return {item.name for item in folder.iterdir() if not item.name.endswith(".lock")} if folder.exists() else set()


@pytest.mark.slow
def test_its_packages_come_first_and_the_studios_lie_behind(parrot: Environment) -> None:
    heard = Heard()
    seen = environments.call("parrot", "chatter:look", {"a": 1.5}, heard)
    assert seen["mine"] == seen["metadata"] == "0.0.7" != importlib.metadata.version("mdurl")
    assert Path(seen["prefix"]) == parrot.folder
    assert Path(seen["torch"]).is_relative_to(sys.prefix), "torch is not there twice"
    assert Path(seen["studio"]).parents[1] == Path(__file__).parents[2]
    assert seen["sum"] == 2.5
    assert heard.said == [(1, 2, "looking")], "what libraries print is no answer"


def test_the_studios_own_packages_stay_as_they_were(parrot: Environment) -> None:
    assert importlib.metadata.version("mdurl") != "0.0.7"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    asked = [sys.executable, "-c", "import importlib.util as u; print(u.find_spec('chatter'))"]
    assert subprocess.check_output(asked, env=environment, cwd=parrot.folder, text=True).strip() == "None"


def test_scripts_find_the_interpreter_though_the_folder_was_renamed(parrot: Environment) -> None:
    script = (parrot.folder / "bin" / "chatter-say").read_text()
    assert script.splitlines()[0].endswith(f"{parrot.folder}/bin/python")


def test_one_that_is_ready_is_left_alone(parrot: Environment) -> None:
    before = (parrot.folder / known.STAMP).stat().st_mtime_ns
    assert environments.install("parrot", Silent()).state == "ready"
    assert (parrot.folder / known.STAMP).stat().st_mtime_ns == before


def test_another_pin_makes_it_outdated_and_a_comment_does_not(parrot: Environment) -> None:
    before = parrot.lock.read_text()
    try:
        parrot.lock.write_text(before + "# newer\n")
        assert environments.status("parrot").state == "ready"
        parrot.lock.write_text(before + "newer==1.0\n")
        assert environments.status("parrot").state == "outdated"
        with pytest.raises(ExportError, match="another version of the studio") as refused:
            environments.call("parrot", "chatter:look", {}, Silent())
        assert "studio exporters install parrot" in refused.value.hint
    finally:
        parrot.lock.write_text(before)
    assert environments.ready("parrot")


def test_a_model_opened_there_answers_as_a_runtime(parrot: Environment) -> None:
    with environments.Remote("parrot", "chatter:parrot", {"size": 9}) as remote:
        runtime: Runtime = remote
        rows = runtime.logits([3, 4, 5], [0, 2])
        assert rows.dtype == np.float32
        assert rows.argmax(-1).tolist() == [3, 5]
        assert runtime.greedy([[7, 8], [1]], 1) == [([7], True), ([1], True)]
        with pytest.raises(ExportError, match="ValueError: no such word"):
            remote.ask("fail")
        assert remote.logits([2], [0]).argmax() == 2, "a question it could not answer does not end it"
        folder = remote._process.folder
        assert not list(folder.glob("*.npy"))
    assert not folder.exists()


def test_one_that_died_says_so_each_time_it_is_asked(parrot: Environment) -> None:
    with environments.Remote("parrot", "chatter:parrot", {"size": 9}) as remote:
        remote._process.channel.close()
        for _ in range(2):
            with pytest.raises(HardwareError, match="was killed"):
                remote.logits([3], [0])


@pytest.mark.slow
def test_errors_of_the_studio_arrive_as_themselves_and_others_with_their_last_words(parrot: Environment) -> None:
    with pytest.raises(DataError, match="row 3 is empty") as told:
        environments.call("parrot", "chatter:refuse", {}, Silent())
    assert (told.value.hint, told.value.where) == ("Fill it.", "rows.jsonl")
    with pytest.raises(ExportError, match="KeyError: 'rope_type'") as failed:
        environments.call("parrot", "chatter:fail", {}, Silent())
    log = Path(failed.value.hint.split("Its log: ")[1].split(". ")[0])
    assert "the converter said why" in log.read_text()
    assert "Traceback" in log.read_text()
    with pytest.raises(OSError, match="No space left"):
        environments.call("parrot", "chatter:full", {}, Silent())
    with pytest.raises(HardwareError, match="was killed"):
        environments.call("parrot", "chatter:crash", {}, Silent())


def test_keys_and_tokens_are_not_handed_to_exporters(parrot: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "OAUTH_SECRET"}
    for name in secrets:
        monkeypatch.setenv(name, "hidden-value")
    monkeypatch.setenv("STUDIO_TRIED", "1")
    seen = set(environments.call("parrot", "chatter:keys", {}, Silent()))
    assert not seen & secrets
    assert {"STUDIO_TRIED", "PATH"} <= seen


@pytest.mark.slow
def test_logs_of_failures_hide_keys_and_do_not_pile_up(parrot: Environment, scratch: Path) -> None:
    for place in range(remote.FAILURE_LOGS + 2):
        with pytest.raises(ExportError, match="failed") as failed:
            environments.call("parrot", "chatter:leak", {"place": place}, Silent())
        assert "a" * 16 not in f"{failed.value} {failed.value.hint}"
    kept = [file.read_text() for file in scratch.iterdir()]
    assert len(kept) == remote.FAILURE_LOGS
    assert any(f"attempt {place}" in text for text in kept)  # pyright: ignore[reportPossiblyUnboundVariable]
    assert not any("a" * 30 in text for text in kept)


def test_one_that_cannot_be_started_says_so_and_leaves_nothing(declare: Declare, tmp_path: Path, scratch: Path) -> None:
    declare("broken", wheel(tmp_path / "w", "whole", "1.0", ""))
    environments.install("broken", Silent())
    interpreter = environments.python("broken")
    interpreter.unlink()
    with pytest.raises(ExportError, match="cannot be started") as told:
        environments.call("broken", "chatter:look", {}, Silent())
    assert "studio exporters install broken" in told.value.hint
    assert not list(scratch.iterdir())


class Heard(Silent):
    """Keeps what it hears; asks to stop after an event."""

    def __init__(self) -> None:
        self.said: list[tuple[float, float, str]] = []
        self.pids: list[int] = []

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.said.append((done, total, what))

    def event(self, event: Event) -> None:
        self.pids = [int(pid) for pid in str(event).split()]

    def should_stop(self) -> bool:
        return bool(self.pids)


def gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            return True
        time.sleep(0.1)
    return False


def test_work_ends_when_it_is_asked_to_stop_with_all_it_started(parrot: Environment) -> None:
    heard = Heard()
    with pytest.raises(Stopped):
        environments.call("parrot", "chatter:wait", {}, heard)
    assert len(heard.pids) == 2
    assert gone(heard.pids)


def test_work_ends_when_the_studio_is_killed(parrot: Environment, scratch: Path) -> None:
    script = f"""
        from studio.export import toolchains as environments
        from studio.export.toolchains import known
        from pathlib import Path
        known.LOCKS, known.root = Path({str(known.LOCKS)!r}), lambda: Path({str(parrot.folder.parent)!r})
        known.ENVIRONMENTS["parrot"] = known.Environment("parrot", "tests", (), 1)
        class Heard:
            progress = lambda *_: None
            should_stop = lambda _: False
            event = lambda _, event: print(event, flush=True)
        environments.call("parrot", "chatter:wait", {{}}, Heard())
    """
    studio = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert studio.stdout
    pids = [int(word) for word in studio.stdout.readline().split()]
    assert len(pids) == 2
    studio.send_signal(signal.SIGKILL)
    studio.wait()
    assert gone(pids)
    assert not list(scratch.iterdir()), "nothing of it is left"


def test_an_isolated_one_sees_the_studio_and_nothing_behind_it(declare: Declare, tmp_path: Path) -> None:
    code = "import importlib.util\nfound = [importlib.util.find_spec(n) is not None for n in ('studio', 'torch')]"
    item = declare("own", wheel(tmp_path / "w", "apart", "1.0", code), imports=("apart",), isolated=True)
    environments.install("own", Silent())
    python = str(environments.python("own"))
    asked = [python, "-P", "-c", "import apart, studio.core.text; print(apart.found)"]
    assert subprocess.check_output(asked, text=True).strip() == "[True, False]"
    assert environments.remove("own")
    assert not item.folder.exists()
    assert environments.status("own").state == "missing"
    assert environments.remove("own") is False


@pytest.mark.slow
def test_one_whose_module_does_not_import_is_not_made_and_the_one_before_stays(declare: Declare, tmp_path: Path) -> None:
    declare("fragile", wheel(tmp_path / "a", "fragile", "1.0", ""), imports=("fragile",))
    environments.install("fragile", Silent())
    before = (tmp_path / "exporters" / "fragile" / known.STAMP).read_text()
    declare("fragile", wheel(tmp_path / "b", "fragile", "2.0", "import not_there"), imports=("fragile",))
    with pytest.raises(ExportError, match="not_there"):
        environments.install("fragile", Silent())
    assert listing(tmp_path / "exporters") == {"fragile"}
    assert (tmp_path / "exporters" / "fragile" / known.STAMP).read_text() == before
    assert environments.status("fragile").state == "outdated"


def test_a_package_that_cannot_be_had_is_named(declare: Declare, tmp_path: Path) -> None:
    declare("nowhere", f"absent @ {(tmp_path / 'absent-1.0-py3-none-any.whl').as_uri()}")
    with pytest.raises(ExportError, match=r"absent-1\.0"):
        environments.install("nowhere", Silent())
    assert listing(tmp_path / "exporters") == set()


def test_without_disk_nothing_is_begun(declare: Declare, tmp_path: Path) -> None:
    declare("huge", bytes=1 << 60)
    with pytest.raises(HardwareError, match="the exporter huge needs"):
        environments.install("huge", Silent())
    assert listing(tmp_path / "exporters") == set()


@pytest.mark.slow
def test_a_killed_install_leaves_nothing_that_looks_ready_and_the_next_one_clears_it(declare: Declare, tmp_path: Path) -> None:
    slow = "import os, time\nprint('trying', flush=True)\nif os.environ.get('SLOW'): time.sleep(60)"
    declare("slow", wheel(tmp_path / "w", "slow", "1.0", slow), imports=("slow",))
    script = f"""
        from studio.export import toolchains as environments
        from studio.export.toolchains import known, making
        from studio.tracking.reporter import Silent
        from pathlib import Path
        known.LOCKS = Path({str(known.LOCKS)!r})
        known.root = making.root = lambda: Path({str(tmp_path / "exporters")!r})
        known.ENVIRONMENTS["slow"] = known.Environment("slow", "tests", ("slow",), 1)
        class Teller(Silent):
            def progress(self, done, total, what=""): print(what, flush=True)
        environments.install("slow", Teller())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "SLOW": "1"})
    assert studio.stdout
    assert any("trying it out" in line for line in studio.stdout)
    with pytest.raises(JobError, match="being installed"):
        environments.install("slow", Silent())
    while not (started := psutil.Process(studio.pid).children(recursive=True)):
        time.sleep(0.05)
    studio.kill()
    studio.wait()
    with pytest.raises(JobError, match="being installed"):
        environments.install("slow", Silent())  # its step still runs, and writes
    for process in started:
        process.kill()
    psutil.wait_procs(started, 10)
    assert environments.status("slow").state == "missing"
    assert listing(tmp_path / "exporters"), "something unfinished lies there"
    environments.install("slow", Silent())
    assert listing(tmp_path / "exporters") == {"slow"}


def test_a_name_that_is_not_known_gets_the_nearest(declare: Declare) -> None:
    with pytest.raises(SpecError, match="there is no exporter `comprss`") as told:
        environments.status("comprss")
    assert told.value.hint == "Did you mean `compress`?"


def test_lock_files_pin_every_package_and_never_torch() -> None:
    for file in Path(known.__file__).parent.glob("*.txt"):
        item = environments.ENVIRONMENTS[file.stem.removesuffix("-cpu")]
        pins = [line for line in file.read_text().splitlines() if line and not line.startswith(("#", "-"))]
        assert pins, file.name
        assert all("==" in line for line in pins), file.name
        assert item.isolated or not any(line.startswith("torch==") for line in pins), file.name


def test_vllm_comes_without_the_client_of_a_hosting_service_and_its_telemetry() -> None:
    for file in Path(known.__file__).parent.glob("vllm*.txt"):
        pins = {line.split("==")[0] for line in file.read_text().splitlines()}
        assert not pins & {"fastapi-cloud-cli", "agent-detector", "detect-installer", "sentry-sdk"}, file.name
        assert {"fastapi", "fastapi-cli"} <= pins, file.name


def test_the_stamp_says_what_it_was_made_from(parrot: Environment) -> None:
    stamp = json.loads((parrot.folder / known.STAMP).read_text())
    assert stamp["torch"] == importlib.metadata.version("torch")
    assert stamp["bytes"] == environments.status("parrot").bytes > 0
