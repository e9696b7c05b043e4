"""Configurations of other tools become a spec, and every key that does not is named with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.app import foreign_config
from studio.core.errors import SpecError
from studio.spec import load

AXOLOTL = """
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
load_in_4bit: true
adapter: qlora
datasets:
  - path: ./support.jsonl
    type: chat_template
    field_messages: turns
    roles_to_train: [assistant]
val_set_size: 0.05
output_dir: ./outputs/lora
sequence_len: 2048
sample_packing: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 2
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 2e-4
train_on_inputs: false
bf16: auto
gradient_checkpointing: true
warmup_ratio: 0.1
weight_decay: 0.01
wandb_project: helpdesk
special_tokens:
  pad_token: <|end_of_text|>
"""
FACTORY = """
### model
model_name_or_path: Qwen/Qwen2.5-0.5B-Instruct
trust_remote_code: true
### method
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
pref_beta: 0.2
pref_loss: sigmoid
### dataset
dataset: pairs,elsewhere
template: qwen
cutoff_len: 1024
max_samples: 1000
preprocessing_num_workers: 16
### output
output_dir: saves/qwen
logging_steps: 10
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5.0e-6
num_train_epochs: 3.0
lr_scheduler_type: cosine
bf16: true
val_size: 0.1
"""
UNSLOTH = {
    "model_name": "unsloth/Qwen2.5-1.5B-Instruct",
    "max_seq_length": 2048,
    "dtype": None,
    "load_in_4bit": True,
    "lora": {
        "r": 16,
        "target_modules": ["q_proj", "v_proj"],
        "lora_alpha": 16,
        "lora_dropout": 0,
        "bias": "none",
        "use_rslora": False,
    },
    "use_gradient_checkpointing": "unsloth",
    "random_state": 3407,
    "training": {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "warmup_steps": 5,
        "max_steps": 60,
        "learning_rate": 2e-4,
        "optim": "adamw_8bit",
        "weight_decay": 0.01,
        "lr_scheduler_type": "linear",
        "report_to": "none",
    },
}
TRL = """
model_name_or_path: HuggingFaceTB/SmolLM2-360M
dataset_name: trl-lib/Capybara
learning_rate: 2.0e-4
num_train_epochs: 1
packing: true
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
use_peft: true
lora_r: 32
lora_alpha: 16
lora_target_modules: all-linear
max_length: 1024
push_to_hub: true
report_to: wandb
assistant_only_loss: true
beta: 0.1
"""


def imported(folder: Path, text: str | dict[str, Any]) -> foreign_config.ImportedConfig:
    file = folder / "other.yaml"
    file.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return foreign_config.read_config(file)


def asked(found: foreign_config.ImportedConfig) -> dict[str, Any]:
    return found.spec.model_dump(mode="json", exclude_unset=True)


def unmapped(found: foreign_config.ImportedConfig) -> dict[str, str]:
    return {item.key: item.reason for item in found.unmapped}


def test_an_axolotl_configuration_becomes_a_spec(tmp_path: Path) -> None:
    found = imported(tmp_path, AXOLOTL)
    assert found.tool == "Axolotl"
    assert asked(found) == {
        "model": {"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "quantization": "nf4"},
        "data": {
            "train": "./support.jsonl",
            "format": "messages",
            "columns": {"messages": "turns"},
            "holdout": 0.05,
            "max_length": 2048,
        },
        "adapter": {"rank": 32, "alpha": 16, "dropout": 0.05, "targets": "all-linear"},
        "training": {
            "packing": True,
            "epochs": 2,
            "optimizer": "adamw_8bit",
            "schedule": "cosine",
            "learning_rate": 2e-4,
            "gradient_checkpointing": True,
            "warmup": 0.1,
            "weight_decay": 0.01,
            "micro_batch": 2,
            "batch_size": 8,
        },
        "tracking": {"project": "helpdesk"},
    }
    assert set(unmapped(found)) == {"datasets.0.roles_to_train", "output_dir", "special_tokens"}


def test_a_llama_factory_configuration_finds_its_files_and_names_what_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    info = {"pairs": {"file_name": "pairs.json", "columns": {"prompt": "question"}}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(info))
    found = imported(tmp_path, FACTORY)
    assert found.tool == "LLaMA-Factory"
    values = asked(found)
    assert values["training"]["method"] == {"kind": "dpo", "beta": 0.2}
    assert values["data"] == {
        "train": str(tmp_path / "data" / "pairs.json"), "max_length": 1024, "limit": 1000, "holdout": 0.1,
    }  # fmt: skip
    assert (values["training"]["batch_size"], values["training"]["micro_batch"]) == (8, 1)
    left = unmapped(found)
    assert "`elsewhere`" in left["dataset"]
    assert left["trust_remote_code"] == "code from the hub is never run"
    assert {"template", "pairs.columns", "output_dir", "logging_steps", "do_train"} <= set(left)


def test_arguments_of_a_notebook_become_a_spec_that_asks_for_its_data(tmp_path: Path) -> None:
    found = imported(tmp_path, UNSLOTH)
    assert found.tool == "Unsloth"
    values = asked(found)
    assert values["model"] == {"name": "unsloth/Qwen2.5-1.5B-Instruct", "quantization": "nf4"}
    assert values["adapter"] == {"rank": 16, "targets": ["q_proj", "v_proj"], "alpha": 16, "dropout": 0}
    assert (values["training"]["max_steps"], values["training"]["seed"], values["training"]["batch_size"]) == (60, 3407, 8)
    assert values["tracking"] == {"wandb": "off"}
    left = unmapped(found)
    assert values["data"]["train"] == foreign_config.FILL_IN
    assert "put your own here" in left["data.train"]
    assert values["training"]["warmup"] == 0.0833, "five of sixty steps"


def test_a_trl_configuration_becomes_a_spec(tmp_path: Path) -> None:
    found = imported(tmp_path, TRL)
    assert found.tool == "TRL"
    values = asked(found)
    assert values["data"] == {"train": "hub:trl-lib/Capybara", "max_length": 1024}
    assert values["adapter"] == {"rank": 32, "alpha": 16, "targets": "all-linear"}
    assert "method" not in values["training"]
    assert set(unmapped(found)) == {"push_to_hub", "beta"}


def test_a_configuration_of_grpo_stays_one(tmp_path: Path) -> None:
    text = "model_name_or_path: a/b\ndataset_name: a/d\nreward_funcs: [x]\nbeta: 0.04\nnum_generations: 4\n"
    found = imported(tmp_path, f"{text}max_completion_length: 256\nloss_type: dr_grpo\nuse_vllm: true\n")
    method = asked(found)["training"]["method"]
    said = {"kind": "grpo", "beta": 0.04, "group": 4, "max_new_tokens": 256, "loss_type": "dr_grpo", "engine": "vllm"}
    assert method == said
    assert unmapped(found) == {"reward_funcs": "answers are scored by data.verifier"}


def test_names_that_other_tools_have_for_settings_here_are_taken_over(tmp_path: Path) -> None:
    axolotl = "base_model: a/b\nrl: dpo\ndpo_beta: 0.2\noptimizer: adamw_torch_8bit\ndatasets:\n"
    found = imported(tmp_path, f"{axolotl}  - {{path: a/d, type: chat_template, field_thinking: thinking, split: [x]}}\n")
    assert asked(found)["training"]["method"]["beta"] == 0.2
    assert asked(found)["training"]["optimizer"] == "adamw_8bit"
    assert set(unmapped(found)) == {"datasets.0.split", "training.method.sft"}
    factory = imported(tmp_path, "model_name_or_path: a/b\nstage: sft\ndefault_system: Be brief.\n")
    assert asked(factory)["data"]["system"] == "Be brief."


def test_full_fine_tuning_is_a_kind_of_adapter_and_secrets_are_named_and_not_taken(tmp_path: Path) -> None:
    found = imported(tmp_path, "model_name_or_path: a/b\nfinetuning_type: full\nhub_token: hf_secret\nstage: grpo\n")
    left = unmapped(found)
    assert "finetuning_type" not in left
    assert asked(found)["adapter"]["kind"] == "full"
    assert "keyring" in left["hub_token"]
    assert "the methods here are" in left["stage"]


@pytest.mark.parametrize(("name", "text"), [("a.yaml", "epochs: 3\n"), ("a.py", "x = 1\n"), ("a.yaml", "- 1\n")])
def test_what_is_no_configuration_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError):
        foreign_config.read_config(tmp_path / name)


@pytest.mark.slow
def test_the_command_writes_a_spec_that_loads_and_names_the_rest_without_secrets(tmp_path: Path) -> None:
    file, out = tmp_path / "axolotl.yaml", tmp_path / "spec.yaml"
    file.write_text(AXOLOTL + "hf_token: hf_" + "a1" * 17 + "\n")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "studio", "config", "import", *arguments], capture_output=True, text=True)

    done = command(str(file), "--out", str(out))
    assert done.returncode == 0
    assert load(out).adapter.rank == 32
    assert "! special_tokens" in done.stderr
    assert "hf_a1" not in done.stdout + done.stderr
    again = command(str(file), "--out", str(out))
    assert again.returncode == 2
    report = json.loads(command(str(file), "--json").stdout)
    assert report["tool"] == "Axolotl"
    assert {"key", "value", "reason"} == set(report["unmapped"][0])


def convert(folder: Path, text: str) -> foreign_config.ImportedConfig:
    (folder / "c.yaml").write_text(text)
    return foreign_config.read_config(folder / "c.yaml")


def test_columns_and_speakers_of_dataset_info_are_taken_over_and_what_is_not_is_named(tmp_path: Path) -> None:
    entry = {
        "file_name": "talks.json", "formatting": "sharegpt", "columns": {"messages": "talk", "images": "pictures"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "caller", "assistant_tag": "desk"}, "num_samples": 9,
    }  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dataset_info.json").write_text(json.dumps({"talks": entry, "other": {"file_name": "o.json"}}))
    found = convert(tmp_path, "model_name_or_path: m\nstage: pt\ndataset: talks\neval_dataset: other\n")
    assert found.spec.data.format == "sharegpt"
    assert found.spec.data.columns == {"conversations": "talk"}
    assert found.spec.data.roles == {"caller": "user", "desk": "assistant"}
    assert found.spec.data.holdout == str(tmp_path / "data/o.json")
    assert found.spec.training.method.kind == "text", "pre-training is no fine-tuning on answers"
    assert {item.key for item in found.unmapped} == {"talks.num_samples", "talks.columns.images"}


def test_rows_of_an_axolotl_dataset_may_be_described_by_their_fields(tmp_path: Path) -> None:
    described = "{system_prompt: Be short., field_instruction: q, field_output: a, format: '[INST] {instruction}'}"
    found = convert(
        tmp_path, f"base_model: m\nwarmup_steps: 5\nmax_steps: 50\ndatasets: [{{path: a.json, type: {described}}}]\n"
    )
    assert (found.spec.data.format, found.spec.data.columns) == ("alpaca", {"instruction": "q", "output": "a"})
    assert (found.spec.data.system, found.spec.training.warmup) == ("Be short.", 0.1)
    assert [item.key for item in found.unmapped] == ["datasets.0.type.format"]


def test_pairs_of_answers_are_read_by_the_fields_that_hold_them(tmp_path: Path) -> None:
    fields = "type: chat_template.default, field_messages: talk, field_chosen: good, field_rejected: bad"
    found = convert(tmp_path, f"base_model: m\nrl: ipo\ndatasets: [{{path: a.json, {fields}}}]\n")
    assert found.spec.data.columns == {"prompt": "talk", "chosen": "good", "rejected": "bad"}
    assert found.spec.training.method.model_dump()["loss_type"] == "ipo"
    assert [item.key for item in found.unmapped] == ["training.method.sft"], "a term that the other tool does not add is named"


def test_datasets_that_are_laid_out_differently_are_each_named_and_none_is_forced_on_the_others(tmp_path: Path) -> None:
    both = "[{path: a.json, type: alpaca}, {path: b.json, type: chat_template}]"
    found = convert(tmp_path, f"base_model: m\ndatasets: {both}\n")
    assert found.spec.data.format is None
    assert [item.key for item in found.unmapped] == ["datasets.0: data.format", "datasets.1: data.format"]


def test_a_setting_that_cannot_be_so_here_is_named_and_the_rest_is_taken_over(tmp_path: Path) -> None:
    found = convert(tmp_path, "base_model: m\nval_set_size: 0.0\nearly_stopping_patience: 3\nlora_r: 9999999\nnum_epochs: 2\n")
    assert found.spec.training.epochs == 2
    assert {"training.early_stopping", "adapter.rank"} <= {item.key for item in found.unmapped}
    assert all("→" not in item.reason for item in found.unmapped)
