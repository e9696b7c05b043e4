"""What `studio export` refuses before it begins, and what it tells of an export."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio.app import export_copies, exports, runs
from studio.cli.main import run
from studio.cli.progress import Progress
from studio.core.errors import SpecError
from studio.export import resources
from studio.export.artifacts import deploy
from studio.export.resources import Need
from studio.export.targets.onnx import write as files
from tests.export import made
from tests.export.test_deploy import source


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert run(["export", "last", *words]) == 2
    return capsys.readouterr().err.strip().splitlines()


def test_a_setting_that_is_given_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, "--to", "gguf", "--quant", "q8_0", "--set", "quant=f16")
    assert said == ["--quant: this and --set quant set the same field", "→ Use one of them."]
    assert told(capsys, "--to", "gguf", "--set", "kind=merged")[0].startswith("--to: ")


def test_an_unknown_export_is_refused_under_the_name_of_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--to", "guf") == ["--to: unknown kind 'guf'", "→ Did you mean `gguf`?"]


def test_a_set_without_a_value_is_shown_as_export_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, "--to", "gguf", "--set", "quant")
    assert said[1] == "→ Write --set field=value, for example --set quant=q8_0."


@pytest.mark.parametrize(
    ("kind", "settings", "where", "says", "hint"),
    [
        ("gguf", {"quant": ""}, "quant", "got ''", "q8_0"),
        ("adapter", {"quant": "q8_0"}, "quant", "unknown key", "`adapter` has no settings"),
        ("nope", {}, "kind", "unknown kind 'nope'", "gguf"),
    ],
)
def test_a_wrong_target_says_where_and_what_is_taken(kind: str, settings: Any, where: str, says: str, hint: str) -> None:
    with pytest.raises(SpecError) as refused:
        exports.target(kind, settings)
    assert refused.value.where == where
    assert says in refused.value.message
    assert hint in refused.value.hint


def test_a_place_that_takes_no_copy_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    finished: Any = SimpleNamespace(folder=SimpleNamespace(adapter=adapter), id="r")
    for out, says in (
        (tmp_path / "file", "this is a file, not a folder"),
        (tmp_path / "file" / "deep" / "bot", "no folder can be made there"),
        (Path("/proc/bot"), "no folder can be made there"),
        (tmp_path, "the folder is not empty"),
    ):
        with pytest.raises(SpecError, match=says):
            exports.export(finished, "adapter", {}, out)
    export_copies.refuse_unless_free(tmp_path / "new" / "bot")
    assert not (tmp_path / "new").exists()


def test_an_onnx_export_names_the_package_of_its_provider(tmp_path: Path) -> None:
    names = {provider: files.serve(tmp_path, provider)[0].split(" && ")[0] for provider in files.RUNS_ON}
    assert names["cpu"] == "pip install onnxruntime-genai"
    assert names["cuda"] == "pip install onnxruntime-genai-cuda"
    assert names["dml"] == "pip install onnxruntime-genai-directml"


def test_the_pasted_question_sends_the_key_that_was_written(tmp_path: Path) -> None:
    there = deploy.write(source(tmp_path), made.make(tmp_path / "exports", "merged"))
    text = (there.path / "deploy" / "README.md").read_text("utf-8")
    pasted = text.split("Ask it, in `deploy/vllm`:\n\n```sh\n")[1].split("```")[0]
    (there.path / "deploy" / "vllm" / ".env").write_text("API_KEY=abc\n")
    script = f'curl() {{ echo "$@"; }}\n{pasted}'
    said = subprocess.run(
        ["sh", "-c", script], cwd=there.path / "deploy" / "vllm", capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert "Authorization: Bearer abc" in said.stdout


@pytest.mark.parametrize("need", [Need(disk=1 << 60, memory=0), Need(disk=0, memory=1 << 60)], ids=["disk", "memory"])
def test_an_export_that_does_not_fit_ends_with_status_three(
    need: Need, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(*_: object) -> None:
        resources.require(need, tmp_path, "the merged export")

    monkeypatch.setattr(runs, "find", lambda *_: SimpleNamespace(folder=SimpleNamespace(exports=tmp_path)))
    monkeypatch.setattr(exports, "export", begun)
    assert run(["export", "last", "--to", "merged", "--json"]) == 3
    assert "the merged export needs 1" in capsys.readouterr().out


def test_progress_without_a_known_total_says_how_much_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as bar:
        bar.show(0, 0, "Checking rows")
        bar.show(12_000, 0, "Checking")
    assert capsys.readouterr().err.splitlines() == ["Checking rows", "Checking: 12,000"]


def test_a_stage_that_is_done_says_so_before_the_next_one(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as bar:
        for done in range(13):
            bar.show(done, 12, "asking the reference")
        bar.show(0, 5, "comparing")
    said = capsys.readouterr().err.splitlines()
    assert said == ["asking the reference", "asking the reference: 100%", "comparing"]
