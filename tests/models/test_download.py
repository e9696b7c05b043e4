"""A model is downloaded from the hub as people meet it: in parts, cut off, resumed, damaged, refused, gated, without disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.core import events
from studio.core.errors import HardwareError, ModelError, Stopped
from studio.models import download, finding
from studio.models.finding import FoundModel
from studio.models.settings import Model
from tests.models.hub import COMMIT, MODEL, LoopbackHub, serving
from tests.training.kit import Memory

MIB = 1 << 20
FILES = {
    "config.json": json.dumps({"model_type": "llama", "hidden_size": 64}).encode(),
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model-00001-of-00002.safetensors": b"a" * (3 * MIB),
    "model-00002-of-00002.safetensors": b"b" * (2 * MIB),
    "model.safetensors.index.json": b"{}",
    "consolidated.safetensors": b"c" * MIB,
    "pytorch_model.bin": b"pickle",
    "model.py": b"raise SystemExit",
    "onnx/model.safetensors": b"d" * MIB,
    "README.md": b"hello",
}
NEEDED = {
    "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors.index.json",
    "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", MIB // 2)
    with serving(LoopbackHub(dict(FILES)), tmp_path / "cache", monkeypatch) as hub:
        yield hub


class Told(Memory):
    """Remembers progress too, and may ask to stop at some bytes."""

    def __init__(self, stop_at: float = float("inf")) -> None:
        super().__init__()
        self.told: list[tuple[float, float, str]] = []
        self.stop_at = stop_at

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.told.append((done, total, what))

    def should_stop(self) -> bool:
        return bool(self.told) and self.told[-1][0] >= self.stop_at


def found() -> FoundModel:
    return finding.find(Model(name=MODEL))


def cached(tmp_path: Path) -> set[str]:
    folder = tmp_path / "cache" / f"models--{MODEL.replace('/', '--')}" / "snapshots" / COMMIT
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_weights_in_parts_tokenizer_and_settings_are_downloaded_by_commit_and_nothing_else(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    reporter = Told()
    download.fetch(found(), reporter)
    assert cached(tmp_path) == NEEDED
    assert found().revision == COMMIT
    total = sum(len(FILES[name]) for name in NEEDED - {"config.json"})
    assert reporter.told[0][1:] == reporter.told[-1][1:] == (total, "Downloading")
    assert reporter.told[-1][0] == total
    assert [done for done, *_ in reporter.told] == sorted(done for done, *_ in reporter.told)
    (note,) = (event for event in reporter.events if isinstance(event, events.Note))
    assert "5.0 MiB into" in note.message


def test_what_is_there_is_not_downloaded_again(hub: LoopbackHub, tmp_path: Path) -> None:
    download.fetch(found(), Told())
    hub.fetched.clear()
    reporter = Told()
    download.fetch(found(), reporter)
    assert (hub.fetched, reporter.told, reporter.events) == ([], [], [])


def test_a_connection_that_ends_is_taken_up_where_it_ended(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.cut_after = MIB + 5
    download.fetch(found(), Told())
    assert cached(tmp_path) == NEEDED
    assert hub.ranges[:2] == [f"bytes={MIB}-", f"bytes={2 * MIB}-"]


def test_a_download_that_was_stopped_goes_on_with_the_rest(hub: LoopbackHub, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        download.fetch(found(), Told(stop_at=MIB))
    assert "model-00001-of-00002.safetensors" not in cached(tmp_path)
    download.fetch(found(), Told())
    assert cached(tmp_path) == NEEDED
    assert hub.ranges == [f"bytes={MIB // 2}-"], "it began anew"


def test_weights_with_another_checksum_than_the_hub_names_are_removed_and_fetched_anew(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.corrupt = True
    with pytest.raises(ModelError, match="its checksum is not the one") as refused:
        download.fetch(found(), Told())
    assert "downloaded anew" in refused.value.hint
    assert "model-00001-of-00002.safetensors" not in cached(tmp_path)
    hub.corrupt = False
    download.fetch(found(), Told())
    assert cached(tmp_path) == NEEDED


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (401, "GatedRepo", "its owner wants its terms accepted", f"/{MODEL}, then run `hf auth login`"),
        (403, "GatedRepo", "its owner wants its terms accepted", f"/{MODEL}, then run `hf auth login`"),
        (403, "", "refuses access to it \\(403\\)", "hf auth whoami"),
        (404, "RepoNotFound", "no such model", "hub id"),
        (401, "RepoNotFound", "no such model", "hub id"),
        (404, "RevisionNotFound", "no revision `v9`", "model.revision"),
        (429, "", "no more requests for now", "in 7 seconds"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(
    hub: LoopbackHub, status: int, code: str, message: str, hint: str
) -> None:
    hub.refuses = (status, code)
    with pytest.raises(ModelError, match=message) as refused:
        finding.find(Model(name=MODEL, revision="v9"))
    assert hint in refused.value.hint


def test_access_that_is_lost_before_the_weights_come_is_said(hub: LoopbackHub) -> None:
    model = found()
    hub.refuses = (403, "GatedRepo")
    with pytest.raises(ModelError, match="terms accepted"):
        download.fetch(model, Told())


def test_a_hub_that_goes_down_on_the_way_is_said_and_nothing_is_lost(hub: LoopbackHub, tmp_path: Path) -> None:
    model = found()
    hub.refuses = (503, "")
    with pytest.raises(ModelError, match="what was downloaded is kept") as refused:
        download.fetch(model, Told())
    assert "HF_ENDPOINT" in refused.value.hint


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    model = found()
    hub.fetched.clear()
    monkeypatch.setattr("studio.hardware.machine.disk", lambda folder: 4 * MIB)
    with pytest.raises(HardwareError, match=r"5.0 MiB, and 1.0 GiB to spare.*only 4.0 MiB is free") as refused:
        download.fetch(model, Told())
    assert "HF_HOME" in refused.value.hint
    assert refused.value.exit_code == 3, "it does not fit, as a run that needs more memory than there is"
    assert hub.fetched == []


def test_a_disk_that_fills_up_on_the_way_is_said(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    model = found()
    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(HardwareError, match=r"the disk is full at .*; what was downloaded is kept"):
        download.fetch(model, Told())


def test_the_rate_of_a_download_is_remembered_for_later_plans(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert download.measured_rate() is None
    monkeypatch.setattr(download, "SHORT", MIB)
    download.fetch(found(), Told())
    rate = download.measured_rate()
    assert rate is not None
    assert rate > 0
    download.rate_file().write_text("{")
    assert download.measured_rate() is None


def test_without_the_hub_nothing_is_asked(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    model = found()
    hub.fetched.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    download.fetch(model, Told())
    assert hub.fetched == []


def test_a_plan_counts_what_is_not_here_yet(hub: LoopbackHub) -> None:
    assert not found().cached
    download.fetch(found(), Told())
    assert found().cached
