"""What is left when an export fails: nothing half-written, the report of a failed verification, the good export before."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from studio.core.errors import ExportError, HardwareError, Stopped
from studio.core.files import read_json, sha256
from studio.export import make
from studio.export.artifacts.manifest import Artifact
from studio.export.make import Probe, Source, export
from studio.export.resources import Need
from studio.export.targets.adapter.settings import AdapterTarget
from studio.export.targets.gguf.settings import GgufTarget
from studio.export.targets.merged.settings import MergedTarget
from studio.export.verification.result import Check, Verification, structural
from studio.models.settings import Model
from studio.processes import locks
from studio.tracking.reporter import Silent
from tests.export.conftest import make_adapter

pytestmark = pytest.mark.torch


class Untuned(MergedTarget):  # pyright: ignore[reportGeneralTypeIssues]
    """Writes the base without what was trained: the mistake a verification is for."""

    def write(self, source: Source, out: Path, reporter: Any) -> dict[str, Any]:
        adapter = make_adapter(source.model, out / ".work" / "nothing", strength=0)
        idle = Source(source.base, source.model, adapter, source.name, source.exports)
        return super().write(idle, out, reporter)


class Breaking(AdapterTarget):  # pyright: ignore[reportGeneralTypeIssues]
    """Fails in the middle of writing."""

    def write(self, source: Source, out: Path, reporter: Any) -> dict[str, Any]:
        super().write(source, out, reporter)
        raise self._problem()

    def _problem(self) -> BaseException:
        return KeyboardInterrupt()


class Full(Breaking):
    """The disk runs full in the middle of writing."""

    def _problem(self) -> BaseException:
        return OSError(errno.ENOSPC, "No space left on device")


class Huge(AdapterTarget):  # pyright: ignore[reportGeneralTypeIssues]
    """Needs more memory than any machine has."""

    def estimate(self, source: Source) -> Need:
        return Need(disk=0, memory=1 << 60)


def listing(folder: Path) -> set[str]:
    return {item.name for item in folder.iterdir()} if folder.exists() else set()


def elsewhere(source: Source, folder: Path) -> Source:
    return Source(source.base, source.model, source.adapter, source.name, folder / "exports")


def test_an_export_without_the_tuning_fails_and_only_its_report_is_kept(source: Source, probe: Probe, merged: Artifact) -> None:
    before = sha256(merged.path)
    with pytest.raises(ExportError, match="kl_over_tuning") as failed:
        export(Untuned(dtype="fp32"), source, probe, Silent())
    report = Path(failed.value.where)
    assert report == source.exports / "merged-fp32.failed" / "artifact.json"
    values = read_json(report)
    assert values["status"] == "failed"
    assert values["verification"]["samples"][0]["reference"]
    assert values["files"], "what failed is described though it is not kept"
    assert listing(report.parent) == {"artifact.json"}
    assert not (source.exports / "merged-fp32").exists()
    assert sha256(merged.path) == before
    shutil.rmtree(report.parent)


def test_a_failed_verification_leaves_the_good_export_of_that_name(
    source: Source, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = elsewhere(source, tmp_path)
    good = export(AdapterTarget(), here, probe, Silent())
    before = sha256(good.path)
    monkeypatch.setattr(make, "finished_export", lambda folder, key: None)
    with pytest.raises(KeyboardInterrupt):
        export(Breaking(), here, probe, Silent())
    assert sha256(good.path) == before


class ElsewhereOnly(AdapterTarget):  # pyright: ignore[reportGeneralTypeIssues]
    """Can only run on a device this machine has not."""

    whole: ClassVar[bool] = True

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Any) -> Verification:
        return structural("a phone", [Check("states", self.whole, True, self.whole, "has its states")], "it needs a phone")


class Misshapen(ElsewhereOnly):
    """Is not built as its device needs it."""

    whole = False


def test_what_only_its_own_device_can_run_says_so_and_is_kept_and_reused(source: Source, probe: Probe, tmp_path: Path) -> None:
    here = elsewhere(source, tmp_path)
    made = export(ElsewhereOnly(), here, probe, Silent())
    assert read_json(made.path / "artifact.json")["status"] == "structure checked, not run"
    assert "Structure checked, not run: it needs a phone" in (made.path / "README.md").read_text("utf-8")
    assert export(ElsewhereOnly(), here, probe, Silent()).made_at == made.made_at


def test_a_structure_that_is_wrong_fails_the_export(source: Source, probe: Probe, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not what it must be: states"):
        export(Misshapen(), elsewhere(source, tmp_path), probe, Silent())


def test_an_export_that_is_interrupted_leaves_nothing(source: Source, probe: Probe, tmp_path: Path) -> None:
    here = elsewhere(source, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        export(Breaking(), here, probe, Silent())
    assert listing(here.exports) == set()


def test_a_full_disk_is_told_and_leaves_nothing(source: Source, probe: Probe, tmp_path: Path) -> None:
    here = elsewhere(source, tmp_path)
    with pytest.raises(HardwareError, match="disk ran full") as told:
        export(Full(), here, probe, Silent())
    assert told.value.hint
    assert listing(here.exports) == set()


@pytest.mark.parametrize("target", [AdapterTarget(), MergedTarget(), GgufTarget(quant="q4_k_m")])
def test_too_little_disk_is_told_before_anything_is_written(
    source: Source, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any
) -> None:
    here = elsewhere(source, tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(HardwareError, match=r"of disk space \(.*, and .* to spare\); only 1\.0 MiB is free"):
        export(target, here, probe, Silent())
    assert listing(here.exports) == set()


def test_too_little_memory_is_told_before_anything_is_written(source: Source, probe: Probe, tmp_path: Path) -> None:
    here = elsewhere(source, tmp_path)
    with pytest.raises(HardwareError, match="of memory; only"):
        export(Huge(), here, probe, Silent())
    assert listing(here.exports) == set()


def test_a_run_that_is_asked_to_stop_leaves_no_export(source: Source, probe: Probe, tmp_path: Path) -> None:
    class Stopping(Silent):
        def should_stop(self) -> bool:
            return True

    here = elsewhere(source, tmp_path)
    with pytest.raises(Stopped):
        export(AdapterTarget(), here, probe, Stopping())
    assert listing(here.exports) == set()


def test_what_killed_exports_left_is_swept_by_the_next_of_any_kind_and_what_is_being_made_stays(
    source: Source, tmp_path: Path
) -> None:
    here = elsewhere(source, tmp_path)
    for name in (".adapter.0123abcd", ".merged.0123abcd", ".onnx.0123abcd"):  # killed at its last step: whole, without its name
        (here.exports / name).mkdir(parents=True)
        (here.exports / name / "model.safetensors").write_bytes(b"x" * 1000)
    with locks.hold(here.exports / ".onnx.lock", remove=True):
        export(AdapterTarget(), here, Probe([]), Silent())
        assert listing(here.exports) - {".onnx.lock"} == {"adapter", ".reference", ".onnx.0123abcd"}


def test_two_processes_do_not_make_one_export_at_once(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(Silent):
        def should_stop(self) -> bool:
            return True

    here = elsewhere(source, tmp_path)
    with monkeypatch.context() as patch, locks.hold(here.exports / ".adapter.lock", remove=True):
        patch.setattr(AdapterTarget, "write", lambda *_: pytest.fail("made beside another process"))
        with pytest.raises(Stopped):
            export(AdapterTarget(), here, Probe([]), Stopping())
    assert listing(here.exports) == set()
    export(AdapterTarget(), here, Probe([]), Silent())
    assert "adapter" in listing(here.exports)


@pytest.mark.parametrize("replaced", [True, False])
def test_an_export_killed_while_it_took_the_place_of_another_leaves_one_whole_export(
    replaced: bool, source: Source, tmp_path: Path
) -> None:
    """Killed after the earlier one was moved aside: it comes back, unless the new one is in its place."""
    here = elsewhere(source, tmp_path)
    made = export(AdapterTarget(), here, Probe([]), Silent())
    aside = here.exports / ".adapter.old.0123abcd"
    aside.mkdir()
    if replaced:
        shutil.copytree(made.path, aside / "was")
    else:
        os.replace(made.path, aside / "was")
    manifest = ((made.path if replaced else aside / "was") / "artifact.json").stat().st_mtime_ns
    assert export(AdapterTarget(), here, Probe([]), Silent()).path == made.path
    assert (made.path / "artifact.json").stat().st_mtime_ns == manifest, "it is not made again"
    assert not aside.exists()


def test_an_adapter_of_another_base_is_refused_with_its_place(source: Source, tmp_path: Path, tiny_model: Path) -> None:
    other = Model(name=str(tiny_model), quantization="none", dtype="fp32")
    from studio.models import loading

    mixed = Source(loading.find(other), other, source.adapter, "Mixed", tmp_path / "exports")
    with pytest.raises(ExportError, match="could not be merged"):
        MergedTarget().write(mixed, tmp_path, Silent())


def test_an_export_that_cannot_be_copied_out_stays_and_says_where_it_lies(tmp_path: Path) -> None:
    from studio.app.export_copies import copy

    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "artifact.json").write_text("{}")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=f"it is in {tmp_path / 'made'}"):
        copy(tmp_path / "made", tmp_path / "file" / "bot")
    assert (tmp_path / "made" / "artifact.json").exists()


def test_a_copy_that_is_interrupted_is_not_taken_for_an_export_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.app.export_copies import COPYING, copy
    from tests.export import made

    good = made.make(tmp_path / "exports")
    out = tmp_path / "bot"

    def killed(*names: Any) -> None:
        raise SystemExit

    (good.path / "unreadable").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="it is in"):
        copy(good.path, out)
    assert listing(out) == set()
    (good.path / "unreadable").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(SystemExit):
            copy(good.path, out)
    assert listing(out) == {COPYING}
    copy(good.path, out)
    assert listing(out) == listing(good.path)
