"""A base model that cannot be used is refused before anything heavy happens, with what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import loading, presets
from studio.models.architectures import UNLISTED, architecture, architecture_of
from studio.models.settings import Model
from studio.models.tokenizers import padding_token
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def find(name: Any, **settings: Any) -> loading.FoundModel:
    return loading.find(Model(name=str(name), **settings))


def test_a_local_folder_is_found_with_its_config(folder: Path):
    found = find(folder)
    assert (found.local, found.revision, found.folder) == (True, None, folder)
    assert loading.config(found)["model_type"] == "llama"
    assert loading.model_dims(found.config).layers == 2


def test_a_folder_is_what_the_user_says_it_is_and_has_the_licence_its_readme_names(folder: Path):
    assert (find(folder).license, find(folder).hub_id) == (None, None)
    (folder / "README.md").write_text("---\ntags:\n- x\nlicense: other\nlicense_name: lfm1.0\n---\nlicense: mit\n")
    assert find(folder).license == "lfm1.0"
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert find(folder).license == "mit"
    named = find(folder, hub_id="Qwen/Qwen3-4B")
    assert (named.license, named.hub_id, named.local) == ("apache-2.0", "Qwen/Qwen3-4B", True)
    assert find(folder, hub_id="a/b", license="my-own").license == "my-own"
    with pytest.raises(ModelError, match="only for a model in a local folder") as refused:
        find("Qwen/Qwen3-4B", license="mit")
    assert refused.value.where == "model.license"


def test_the_starter_is_found_by_its_name():
    found = find("starter")
    assert found.local
    assert found.license == "apache-2.0"
    assert architecture_of(found.config, found.name).rate(1_000_000) == 5e-3


def test_pickled_weights_are_refused(folder: Path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can run any code"):
        find(folder)


def test_a_folder_without_weights_or_tokenizer_or_config_is_refused(folder: Path):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        find(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no safetensors weights"):
        find(folder)
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="an adapter") as refused:
        find(folder)
    assert "base model" in refused.value.hint


def test_code_of_its_own_is_never_run(folder: Path):
    change(folder, model_type="mine", auto_map={"AutoModelForCausalLM": "mine.Model"})
    (folder / "mine.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(ModelError, match="code of its own"):
        find(folder)
    change(folder, model_type="llama")  # an architecture transformers has: its own code stays unused
    assert find(folder).local


@pytest.mark.parametrize("beside", [(), ("config.json", "tokenizer.json")])
def test_a_folder_of_gguf_files_is_refused_with_the_way_out(folder: Path, tmp_path: Path, beside: tuple[str, ...]):
    only = tmp_path / "gguf"
    only.mkdir()
    (only / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    for name in beside:
        shutil.copy(folder / name, only)
    with pytest.raises(ModelError, match="GGUF is for running a model") as caught:
        find(only)
    assert "the model it was made from" in caught.value.hint


def test_already_quantised_weights_are_refused(folder: Path):
    change(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ModelError, match="already quantised \\(gptq\\)"):
        find(folder)


def test_the_refusal_of_quantised_weights_names_the_known_model_of_these_sizes(folder: Path):
    config = presets.config("unsloth/gpt-oss-20b-BF16")
    assert config
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "mxfp4"}}))
    with pytest.raises(ModelError, match="already quantised \\(mxfp4\\)") as caught:
        find(folder)
    assert "Name unsloth/gpt-oss-20b-BF16, which has these sizes in 16 bit" in caught.value.hint
    (folder / "config.json").write_text(
        json.dumps({**config, "num_hidden_layers": 3, "quantization_config": {"quant_method": "a"}})
    )
    with pytest.raises(ModelError) as caught:
        find(folder)
    assert "Name the model it was made from" in caught.value.hint


def test_offline_a_hub_model_is_refused_for_training_and_planned_from_known_facts():
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        find("Qwen/Qwen3-0.6B")
    found = loading.find(Model(name="Qwen/Qwen3-0.6B"), planning=True)
    assert not found.has_tokenizer
    assert loading.model_dims(found.config).parameters == 596_049_920
    with pytest.raises(ModelError):
        loading.find(Model(name="nobody/nothing"), planning=True)


def test_a_model_in_the_hub_cache_is_used_offline_with_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from huggingface_hub import constants

    cache = tmp_path / "hub" / "models--some--model"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0123456789abcdef0123456789abcdef01234567")
    shutil.copytree(folder, cache / "snapshots" / "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    found = find("some/model")
    assert (found.local, found.revision) == (False, "0123456789abcdef0123456789abcdef01234567")


def test_a_model_of_modelscope_is_refused_with_the_way_by_a_folder():
    with pytest.raises(ModelError, match="trained from a folder") as refused:
        loading.find(Model(name="modelscope:Qwen/Qwen3-4B"))
    assert "ms-hub download Qwen/Qwen3-4B --local-dir FOLDER" in (refused.value.hint or "")


def test_a_near_name_is_offered():
    with pytest.raises(ModelError, match="no such model") as refused:
        find("startr")
    assert "starter" in refused.value.hint


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "gated"),
        ("RepositoryNotFoundError", "no such model"),
        ("RevisionNotFoundError", "no revision"),
        ("EntryNotFoundError", "no config.json"),
        ("HfHubHTTPError", "the hub cannot be reached"),
    ],
)
def test_the_hubs_errors_are_told_in_our_words(error: str, message: str):
    from huggingface_hub import errors

    from studio.models.finding import _hub_refused

    kind = getattr(errors, error)
    problem = kind.__new__(kind)
    with pytest.raises(ModelError, match=message) as refused:
        _hub_refused(Model(name="some/model", revision="v9"), problem)
    assert refused.value.hint


def test_padding_never_is_the_end_token_and_adds_nothing_to_the_vocabulary(tmp_path: Path):
    made = make_tokenizer(tmp_path, special=("<|reserved_special_token_0|>",))
    made.pad_token = made.eos_token
    assert padding_token(made) == "<|pad|>"
    made = make_tokenizer(tmp_path / "b")
    made.pad_token = None
    assert padding_token(made) == "<|pad|>"


def test_a_vocabulary_without_a_spare_token_pads_with_its_end_token(tmp_path: Path):
    """GPT-2 has no other special token; padding is masked in loss and attention, so any token will do."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(vocab={"a": 0, "</s>": 1}, merges=[]))
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")
    assert padding_token(made) == "</s>"


def test_more_token_ids_than_embeddings_are_refused_by_the_tokenizer_step(tiny_model: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    base_model = loading.find(Model(name=str(folder)))
    short = replace(base_model, config={**base_model.config, "vocab_size": 100})
    with pytest.raises(ModelError, match="and the model only 100 embeddings") as refused:
        loading.tokenizer(short)
    assert refused.value.hint.endswith(f"studio resize {folder}")


def test_a_chat_template_file_replaces_the_tokenizers_own(folder: Path, tmp_path: Path):
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}")
    assert loading.tokenizer(find(folder), str(file)).chat_template == file.read_text()
    file.write_text("a\n{% for %}")
    with pytest.raises(ModelError, match="not valid Jinja") as refused:
        loading.tokenizer(find(folder), str(file))
    assert refused.value.where.endswith("line 2")
    with pytest.raises(ModelError, match="cannot be read"):
        loading.tokenizer(find(folder), str(tmp_path / "none.jinja"))


def test_finding_a_model_and_encoding_with_its_tokenizer_loads_no_torch(tiny_model: Path):
    code = (
        "import sys; from studio.models import loading; from studio.models.settings import Model;"
        f"found = loading.find(Model(name={str(tiny_model)!r})); loading.model_dims(found.config);"
        "t = loading.tokenizer(found);"
        "from studio.data.render import encode_prompt; encode_prompt([{'role': 'user', 'content': 'hi'}], t);"
        "print(sorted({'torch', 'peft', 'bitsandbytes', 'trl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_known_family_is_found_by_its_model_type():
    assert architecture("gemma3").overflows_fp16
    assert architecture("qwen3").rate(8_000_000_000) < architecture("qwen3").rate(10**9)
    assert architecture("llama").rate(135_000_000) == 6e-4, "what bench/results/calibration.json found"
    assert architecture("something") is UNLISTED
