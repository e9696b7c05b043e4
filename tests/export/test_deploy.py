"""Deploy files: valid for Compose and the shell, with flags the servers know, sums that hold, and no key in them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.core.files import read_json, sha256
from studio.export.artifacts import deploy
from studio.export.artifacts import manifest as artifacts
from studio.export.artifacts.deploy.runtime import Facts
from studio.export.artifacts.manifest import Artifact
from studio.export.merging.source import Source
from studio.models.finding import FoundModel
from studio.models.settings import Model
from tests.export import made

FLAGS = {
    # vllm/engine/arg_utils.py and vllm/entrypoints/launchers/cli_args.py of release 0.32.0
    "vllm": "--served-model-name --max-model-len --gpu-memory-utilization --host --port --revision --enable-lora "
    "--max-lora-rank --max-loras --lora-modules --chat-template --enable-auto-tool-choice --tool-call-parser "
    "--override-generation-config",
    # tensorrt_llm/commands/serve.py of release 1.2
    "tensorrt-llm": "--max_seq_len --kv_cache_free_gpu_memory_fraction --max_batch_size --host --port --extra_llm_api_options",
    # tools/server/README.md of llama.cpp
    "llama.cpp": "--model --alias --ctx-size --jinja --host --port --lora --chat-template-file --temp",
    "ollama": "",
}


SERVED = ["merged", "adapter", "gguf", "gguf_adapter"]


def source(tmp_path: Path, **changes: Any) -> Source:
    base = FoundModel("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "a" * 40, False, "apache-2.0", True, {"max_position_embeddings": 40960})
    given = {"base": base, "model": Model(name="Qwen/Qwen3-8B", quantization="nf4", dtype="bf16"), "longest": 3000}
    given |= {"adapter": made.make(tmp_path / "run", "adapter").path, "name": "Support Bot", "exports": tmp_path / "exports"}
    return Source(**{**given, **changes})


def local(tmp_path: Path) -> Source:
    base = FoundModel("/models/mine", "/models/mine", None, True, None, True, {"max_position_embeddings": 2048})
    return source(tmp_path, base=base, model=Model(name="/models/mine", quantization="none", dtype="bf16"))


def written(tmp_path: Path, kind: str, given: Source | None = None, **changes: Any) -> Artifact:
    return deploy.write(given or source(tmp_path), made.make(tmp_path / "exports", kind, **changes))


def folders(made_there: Artifact) -> dict[str, Path]:
    return {file.parent.name: file.parent for file in sorted(made_there.path.glob("deploy/*/docker-compose.yml"))}


def composed(folder: Path, name: str = "docker-compose.yml") -> dict[str, Any]:
    return yaml.safe_load((folder / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def schema() -> Any:
    """The Compose specification's own schema, as check-jsonschema ships it."""
    import importlib.resources

    import jsonschema

    found = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    values = json.loads(found.read_text("utf-8"))
    return jsonschema.validators.validator_for(values)(values)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("kind", "servers"),
    [
        ("merged", ["tensorrt-llm", "vllm"]),
        ("adapter", ["vllm"]),
        ("gguf", ["llama.cpp", "ollama"]),
        ("gguf_adapter", ["llama.cpp"]),
        ("onnx", []),
    ],
)
def test_each_kind_gets_the_servers_that_load_it(tmp_path: Path, kind: str, servers: list[str]) -> None:
    there = written(tmp_path, kind)
    assert list(folders(there)) == servers
    text = (there.path / "deploy" / "README.md").read_text("utf-8")
    assert "sha256sum -c SHA256SUMS" in text
    assert "every check passed" in text
    if not servers:
        assert "`run it`" in text


def test_a_quantised_folder_is_served_by_vllm_alone_and_dora_by_none(tmp_path: Path) -> None:
    config = {"config.json": {"quantization_config": {"quant_method": "compressed-tensors"}}}
    assert list(folders(written(tmp_path / "a", "merged", source(tmp_path), files=config))) == ["vllm"]
    dora = made.make(tmp_path / "dora", "adapter", files={"adapter_config.json": {"use_dora": True}}).path
    dora = written(tmp_path / "b", "adapter", source(tmp_path, adapter=dora))
    assert folders(dora) == {}


@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("base", [source, local])
def test_compose_files_are_valid_by_the_specification_s_schema(tmp_path: Path, schema: Any, kind: str, base: Any) -> None:
    for folder in folders(written(tmp_path, kind, base(tmp_path))).values():
        for file in folder.glob("docker-compose*.yml"):
            assert list(schema.iter_errors(composed(folder, file.name))) == [], file
        for service in composed(folder)["services"].values():
            assert re.search(r":\S*\d+\.\d+|:server-b\d+", service["image"]), "an image is pinned"
            assert not service["image"].endswith(":latest")


@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("base", [source, local])
def test_every_flag_is_one_its_server_knows(tmp_path: Path, kind: str, base: Any) -> None:
    for name, folder in folders(written(tmp_path, kind, base(tmp_path))).items():
        words = list(composed(folder)["services"]["model"].get("command", []))
        words += shlex.split((folder / "run.sh").read_text("utf-8").split("\nexec ")[1])
        assert {word for word in words if word.startswith("--")} <= set(FLAGS[name].split()), name


@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("base", [source, local])
def test_every_setting_used_is_in_the_example_and_none_is_a_secret(tmp_path: Path, kind: str, base: Any) -> None:
    for folder in folders(written(tmp_path, kind, base(tmp_path))).values():
        example = (folder / ".env.example").read_text("utf-8")
        given = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
        used = set()
        for name in ("docker-compose.yml", "run.sh"):
            used |= set(re.findall(r"\$\{([A-Z_]+):", (folder / name).read_text("utf-8")))
        assert used == set(given), folder
        assert given.get("API_KEY", "") == given.get("HF_TOKEN", "") == ""
        assert given["BIND"] == "127.0.0.1"


@pytest.mark.parametrize("kind", SERVED)
def test_the_plain_command_runs_with_the_settings_it_is_given(tmp_path: Path, kind: str) -> None:
    for name, folder in folders(written(tmp_path, kind)).items():
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        for program in ("vllm", "trtllm-serve", "llama-server", "ollama"):
            (programs / program).write_text('#!/bin/sh\necho "$(basename "$0")" "$@"\necho "key $VLLM_API_KEY$LLAMA_API_KEY"\n')
            (programs / program).chmod(0o755)
        (folder / ".env").write_text("API_KEY=abc\nCONTEXT=1234\nPORT=99\nBASE=/models/base.gguf\n")
        environment = {"PATH": f"{programs}:/usr/bin:/bin"}
        said = subprocess.run(
            ["sh", str(folder / "run.sh")], env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert "support-bot" in said
        if name != "ollama":
            assert " 1234 " in f" {said} "
            assert "--port 99" in said
        assert ("key abc" in said) is (name in ("vllm", "llama.cpp"))
        (folder / ".env").write_text("")
        silent = subprocess.run(["sh", str(folder / "run.sh")], env=environment, capture_output=True, text=True)
        assert (silent.returncode != 0 and "set API_KEY in .env" in silent.stderr) is (name in ("vllm", "llama.cpp"))


def test_sums_are_what_sha256sum_checks_and_the_manifest_names_every_file(tmp_path: Path) -> None:
    there = written(tmp_path, "merged")
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=there.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    files = {file.relative_to(there.path).as_posix() for file in there.path.rglob("*") if file.is_file()} - {"artifact.json"}
    assert {line.split("  ")[1] for line in (there.path / "SHA256SUMS").read_text().splitlines()} == files - {"SHA256SUMS"}
    manifest = read_json(there.path / "artifact.json")
    assert {file["path"]: file["sha256"] for file in manifest["files"]} == {name: sha256(there.path / name) for name in files}
    assert artifacts.read(there.path).is_whole()
    again = deploy.write(source(tmp_path), artifacts.read(there.path))
    assert again.files == there.files, "writing twice gives the same"
    (there.path / "model-00001-of-00002.safetensors").write_text("cut")
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=there.path, capture_output=True).returncode == 1


def test_an_adapter_is_served_by_name_on_its_base_with_the_trained_template(tmp_path: Path) -> None:
    folder = folders(written(tmp_path, "adapter", source(tmp_path)))["vllm"]
    command = composed(folder)["services"]["model"]["command"]
    assert command[:3] == ["Qwen/Qwen3-8B", "--served-model-name", "base"]
    assert command[command.index("--revision") + 1] == "a" * 40
    assert command[command.index("--max-lora-rank") + 1] == "16", "rank 12 is served by the kernel for 16"
    assert command[command.index("--lora-modules") + 1] == "support-bot=/adapter"
    assert command[command.index("--chat-template") + 1] == "/adapter/chat_template.jinja"
    readme = (folder.parent / "README.md").read_text("utf-8")
    assert "in nf4; here it lies on the 16-bit weights" in readme
    service = composed(folders(written(tmp_path / "b", "adapter", local(tmp_path)))["vllm"])["services"]["model"]
    assert "${BASE:?set BASE in .env}:/base:ro" in service["volumes"]
    assert "/models/mine" not in json.dumps(service)


def test_the_context_is_twice_the_longest_row_within_what_the_model_takes(tmp_path: Path) -> None:
    there = made.make(tmp_path / "exports")
    assert Facts(source(tmp_path), there).context == 6000
    assert Facts(source(tmp_path, longest=0), there).context == 4096
    assert Facts(local(tmp_path), there).context == 2048
    assert Facts(source(tmp_path, longest=100_000), there).context == 40960


def test_options_that_were_checked_are_those_tensorrt_llm_is_started_with(tmp_path: Path) -> None:
    from studio.export.targets.tensorrt_llm.write import OPTIONS

    there = written(tmp_path, "merged", files={OPTIONS: "max_seq_len: 512\n"})
    folder = folders(there)["tensorrt-llm"]
    command = composed(folder)["services"]["model"]["command"]
    assert command[2:4] == ["--extra_llm_api_options", f"/models/support-bot/{OPTIONS}"]
    assert "CONTEXT" not in (folder / ".env.example").read_text("utf-8"), "it would change nothing: the file goes before flags"
    assert f"--extra_llm_api_options ../../{OPTIONS}" in (folder / "run.sh").read_text("utf-8")


def test_a_template_that_calls_tools_turns_vllm_s_parser_on(tmp_path: Path) -> None:
    there = written(tmp_path, "merged", files={"chat_template.jinja": made.CHATML + "<tool_call>"})
    assert composed(folders(there)["vllm"])["services"]["model"]["command"][-6:-4] == ["--tool-call-parser", "hermes"]


def test_an_adapter_for_llama_cpp_comes_with_the_trained_template_on_a_base_file_that_is_asked_for(tmp_path: Path) -> None:
    service = composed(folders(written(tmp_path, "gguf_adapter"))["llama.cpp"])["services"]["model"]
    command = service["command"]
    assert command[command.index("--lora") + 1] == "/model/bot-adapter.gguf"
    assert command.index("--jinja") < command.index("--chat-template-file"), "only then any template is taken"
    assert "${BASE:?set BASE in .env}:/base.gguf:ro" in service["volumes"]


@pytest.mark.slow
def test_vllm_s_own_parser_takes_every_command(tmp_path: Path) -> None:
    from studio.export import toolchains as environments

    found = next(item for item in environments.statuses() if item.name == "vllm")
    if found.state != "ready":
        pytest.skip(f"vLLM is not installed: {found.command}")
    commands = []
    for kind in ("merged", "adapter"):
        words = composed(folders(written(tmp_path / kind, kind, source(tmp_path)))["vllm"])["services"]["model"]["command"]
        filled = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in words]
        commands.append([word.replace("/adapter/chat_template.jinja", str(template(tmp_path))) for word in filled])
    asked = tmp_path / "ask.py"
    asked.write_text(
        "import json, sys\n"
        "from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args\n"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    found = make_arg_parser(FlexibleArgumentParser()).parse_args(words)\n"
        "    validate_parsed_serve_args(found)\n"
        "    print('taken', found.max_model_len)\n"
    )
    python = found.folder / "bin" / "python"
    said = subprocess.run([python, asked, json.dumps(commands)], capture_output=True, text=True, timeout=400)
    assert said.stdout.count("taken 6000") == 2, said.stderr[-2000:]


def template(folder: Path) -> Path:
    there = folder / "template.jinja"
    there.write_text(made.CHATML)
    return there


@pytest.mark.parametrize("kind", SERVED)
def test_the_readme_s_question_is_json_with_the_served_name(tmp_path: Path, kind: str) -> None:
    there = written(tmp_path, kind)
    text = (there.path / "deploy" / "README.md").read_text("utf-8")
    asked = [json.loads(found) for found in re.findall(r"-d '(\{.*\})'", text)]
    assert len(asked) == len(folders(there))
    assert all(item["model"] == "support-bot" for item in asked)
    for name in folders(there):
        assert f"cd deploy/{name}\n" in text


def test_what_is_there_of_an_earlier_time_is_replaced_whole(tmp_path: Path) -> None:
    there = written(tmp_path, "merged")
    (there.path / "deploy" / "vllm" / "left.txt").write_text("old")
    again = deploy.write(dataclasses.replace(source(tmp_path), name="Other Bot"), there)
    assert not (again.path / "deploy" / "vllm" / "left.txt").exists()
    assert "other-bot" in (again.path / "deploy" / "vllm" / "docker-compose.yml").read_text("utf-8")
    assert not [item for item in again.path.iterdir() if item.name.startswith(".")]


def test_words_of_the_plain_command_and_settings_with_spaces_arrive_as_they_are(tmp_path: Path) -> None:
    there = written(tmp_path, "gguf_adapter")
    server = next(item for item in deploy.runtimes(source(tmp_path), there) if item.folder == "llama.cpp")
    words = ['{"a b": "it\'s"}', "*", "; echo no", "${BASE:?set BASE in .env}", "--plain"]
    dataclasses.replace(server, command=["printf", "%s\\n", *words]).write(tmp_path)
    folder = tmp_path / "llama.cpp"
    assert "A value with spaces needs quotes" in (folder / ".env.example").read_text("utf-8")
    (folder / ".env").write_text("API_KEY=abc\nBASE='/models/my base.gguf'\n")
    said = subprocess.run(["sh", str(folder / "run.sh")], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [*words[:3], "/models/my base.gguf", "--plain"]


@pytest.mark.parametrize("name", ["deploy", "SHA256SUMS", "artifact.json"])
def test_killed_at_any_moment_the_export_stays_whole_and_the_next_time_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    there = written(tmp_path, "merged")
    rename, calls = os.replace, []

    def killed(old: Any, new: Any) -> None:
        calls.append(Path(new).name)
        if Path(new).name == name and (name != "artifact.json" or calls.count(name) == 2):
            raise SystemExit
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(os, "unlink", lambda path: None)  # a killed process clears nothing up
        patch.setattr(shutil, "rmtree", lambda path, *rest, **more: None)
        with pytest.raises(SystemExit):
            deploy.write(source(tmp_path, name="Another"), there)
    assert any(file.name.startswith(f".{name}.") for file in there.path.iterdir())
    assert artifacts.read(there.path).is_whole()
    again = deploy.write(source(tmp_path), artifacts.read(there.path))
    assert again.files == there.files
    assert not [file.name for file in there.path.iterdir() if file.name.startswith(".")]
