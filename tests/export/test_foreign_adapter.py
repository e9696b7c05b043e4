"""An adapter folder that no run made is exported as it is chatted with and served, also onto a base of another name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from studio.cli.main import run as command
from studio.core.files import read_json, write_json
from studio.export.artifacts import manifest
from studio.export.merging.source import Source


@pytest.fixture
def foreign(source: Source, tmp_path: Path) -> Path:
    """The adapter of a run, copied, and naming its base by a folder of another machine."""
    folder = tmp_path / "foreign"
    shutil.copytree(source.adapter, folder)
    named = {**read_json(folder / "adapter_config.json"), "base_model_name_or_path": "/home/someone/base-bnb-4bit"}
    write_json(folder / "adapter_config.json", named)
    return folder


@pytest.mark.slow
@pytest.mark.torch
def test_an_adapter_folder_is_exported_onto_the_base_that_is_given_and_verified(
    source: Source, foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, home = tmp_path / "out", ["--home", str(tmp_path / "home")]
    words = ["export", str(foreign), "--to", "merged", *home]
    assert command(words) == 2
    assert "--out" in capsys.readouterr().err
    assert command([*words, "--out", str(out)]) != 0
    assert "--base FOLDER_OR_HUB_ID" in capsys.readouterr().err
    assert not out.exists()
    assert command([*words, "--out", str(out), "--base", str(source.base.path_or_id)]) == 0
    artifact = manifest.read(out)
    assert artifact.verification.passed
    assert artifact.is_whole()
    assert [item.name for item in tmp_path.glob(".out*")] == []


@pytest.mark.torch
def test_an_adapter_that_a_chat_would_refuse_is_refused_before_anything_is_written(
    source: Source, foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    file = foreign / "adapter_model.safetensors"
    whole = load_file(file)
    out = tmp_path / "out"
    words = ["export", str(foreign), "--to", "merged", "--out", str(out), "--base", str(source.base.path_or_id)]
    for name, tensors in {
        "of this adapter holds NaN or infinity": {key: value * float("nan") for key, value in whole.items()},
        "layers of this adapter are in this base model": whole
        | {key.replace("layers.0", "layers.9"): value.clone() for key, value in whole.items() if "layers.0" in key},
        "of this adapter is for": {key: value.repeat(1, 2) if ".lora_A." in key else value for key, value in whole.items()},
    }.items():
        save_file(tensors, file, {"format": "pt"})
        assert command([*words, "--home", str(tmp_path / "home")]) == 2
        assert name in capsys.readouterr().err
        assert not out.exists()
