"""A whole small run from outside, command to finished adapter: the studio, `trl sft` and LLaMA-Factory, each by its command.

    python bench/peers.py --install             # LLaMA-Factory into bench/.peers/llamafactory (2.3 GB)
    nice -n 10 python bench/peers.py            # three rounds, writes bench/results/peers.json

All processes of a command are counted: CPU seconds to the first training step, to the finished adapter and to the end,
and their peak memory together. 48 rows of chat in a file, a 14 M Llama in a folder, one epoch of six steps, LoRA r16, fp32,
one thread, no tracking. The peers run in batches of 1 x 8, which is their fastest on a CPU; the studio as it decides. It
also reads, checks and plans; with no held-out rows, none of the three evaluates.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kit import testbed
from kit.command import Mark, Watched, watch
from kit.machine import ONE_THREAD, facts, keep, ratio, spread

ROWS = 48
FIRST_STEP_TARGET = 6.0
VENV = Path(__file__).parent / ".peers" / "llamafactory"
SAMPLE = Path(__file__).parents[1] / "datasets" / "support.jsonl"
STARTER = "studio, starter model"
BIN = Path(sys.executable).parent
PINS = ("llamafactory==0.9.5", "torch==2.13.0")
SPEC = """version: 1
name: bench
model: {{name: {model}}}
data: {{train: {rows}, holdout: 0}}
adapter: {{rank: 16, alpha: 32}}
training: {{epochs: 1, batch_size: 8, learning_rate: 2e-4, schedule: constant, warmup: 0}}
evaluation: {{general: "off"}}
tracking: {{wandb: "off"}}
"""
TRL = {
    "use_cpu": True,
    "bf16": False,
    "dtype": "float32",
    "activation_checkpointing": False,
    "assistant_only_loss": True,
    "max_length": testbed.MAX_LENGTH,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": testbed.RATE,
    "lr_scheduler_type": "constant",
    "use_peft": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "lora_target_modules": "all-linear",
    "logging_steps": 1,
    "report_to": "none",
}
LLAMAFACTORY = {
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "lora",
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "lora_target": "all",
    "template": "chatml",
    "dataset": "rows",
    "cutoff_len": testbed.MAX_LENGTH,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": testbed.RATE,
    "lr_scheduler_type": "constant",
    "num_train_epochs": 1,
    "disable_gradient_checkpointing": True,
    "use_cpu": True,
    "logging_steps": 1,
    "report_to": "none",
}


def install() -> None:
    """LLaMA-Factory in a venv of its own. torchvision and torchaudio, which it does not need for text, go: their wheels
    want CUDA libraries that a CPU build of torch lacks, and break its import.
    """
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [VENV / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *PINS], check=True)
    subprocess.run([*pip, "uninstall", "--yes", "torchvision", "torchaudio"], check=True)
    (file,) = VENV.glob("lib/python3*/site-packages/llamafactory/data/mm_plugin.py")
    file.write_text(re.sub(r"(?m)^import torchaudio$", "torchaudio = None", file.read_text("utf-8")), "utf-8")


def studio(model: Path | str, rows: Path, folder: Path) -> tuple[list[str], dict[str, Mark]]:
    """The studio's command and marks."""
    spec, home = folder / "spec.yaml", folder / "home"
    spec.write_text(SPEC.format(model=model, rows=rows))
    stepped = re.compile(r'"step": ?1[,}]')
    return [str(BIN / "studio"), "train", str(spec), "--home", str(home)], {
        "first step": lambda _: any(stepped.search(file.read_text()) for file in home.glob("runs/*/metrics.jsonl")),
        "adapter": lambda _: any(home.glob("runs/*/adapter/adapter_config.json")),
    }


def starter(model: Path, rows: Path, folder: Path) -> tuple[list[str], dict[str, Mark]]:
    """Two short steps of the shipped starter model on a shipped dataset: what a start costs, with next to no training in it."""
    command, marks = studio("starter", SAMPLE, folder)
    return [*command, "--set", "training.max_steps=2"], marks


def trl(model: Path, rows: Path, folder: Path) -> tuple[list[str], dict[str, Mark]]:
    """TRL's command and marks."""
    settings = {"model_name_or_path": model, "dataset_name": rows.parent, "output_dir": folder / "out", **TRL}
    command = [str(BIN / "trl"), "sft"]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    return command, _marks(folder)


def llamafactory(model: Path, rows: Path, folder: Path) -> tuple[list[str], dict[str, Mark]]:
    """LLaMA-Factory's command and marks."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    about = {"file_name": str(rows), "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    (folder / "dataset_info.json").write_text(json.dumps({"rows": about}))
    settings = {"model_name_or_path": str(model), "dataset_dir": str(folder), "output_dir": str(folder / "out"), **LLAMAFACTORY}
    (folder / "run.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return [str(VENV / "bin" / "llamafactory-cli"), "train", str(folder / "run.yaml")], _marks(folder)


def _marks(folder: Path) -> dict[str, Mark]:
    return {
        "first step": lambda output: "'loss'" in output,
        "adapter": lambda _: (folder / "out" / "adapter_model.safetensors").exists(),
    }


SIDES = {"studio": studio, STARTER: starter, "trl sft": trl, "llamafactory": llamafactory}


def one(side: str, model: Path, rows: Path) -> tuple[Watched, list[float]]:
    """One run, and the loss of each of its steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command, marks = SIDES[side](model, rows, folder)
        caches = {"HF_DATASETS_CACHE": str(folder / "cache")}
        seen = watch(command, {**ONE_THREAD, **caches}, folder, marks)
        if side not in ("studio", STARTER):
            return seen, [float(loss) for loss in re.findall(r"'loss': '?([\d.]+)", seen.output)]
        lines = [json.loads(line) for file in folder.glob("home/runs/*/metrics.jsonl") for line in file.open()]
        return seen, [line["loss"] for line in lines if "loss" in line and line["step"]]


def main() -> None:
    """Measure, print, write; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--install", action="store_true", help="LLaMA-Factory, into a venv of its own")
    asked = parser.parse_args()
    if asked.install:
        return install()
    sides = [side for side in SIDES if side != "llamafactory" or VENV.exists()]
    found: dict[str, list[Watched]] = {side: [] for side in sides}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        model = testbed.write_model(Path(name) / "model")
        (Path(name) / "data").mkdir()
        rows = testbed.write_chats(Path(name) / "data" / "train.jsonl", ROWS)
        for turn in range(asked.rounds):
            for side in sides:
                seen, losses[side] = one(side, model, rows)
                found[side].append(seen)
                at = {mark: round(when["cpu"], 1) for mark, when in seen.marks.items()}
                print(f"round {turn + 1}  {side:21} CPU s {at}, end {seen.cpu:.1f}, {seen.peak_mib:.0f} MiB", flush=True)
    result = summary(found, losses, asked.rounds)
    keep("peers", result)
    print(json.dumps({name: result[name] for name in ("cpu_seconds", "ratios", "losses")}, indent=1))
    sys.exit(0 if result["cpu_seconds"]["studio"]["first step"]["met"] else 1)


def summary(found: dict[str, list[Watched]], losses: dict[str, list[float]], rounds: int) -> dict[str, Any]:
    """Medians and spreads of each side and the ratios round by round."""
    cpu = {
        side: {
            **{mark: [seen.marks[mark]["cpu"] for seen in runs] for mark in ("first step", "adapter")},
            "end": [seen.cpu for seen in runs],
        }
        for side, runs in found.items()
    }
    told: dict[str, Any] = {side: {mark: spread(each) for mark, each in marks.items()} for side, marks in cpu.items()}
    for side in ("studio", STARTER):
        first = told[side]["first step"]
        told[side]["first step"] = {**first, "target": FIRST_STEP_TARGET, "met": first["median"] <= FIRST_STEP_TARGET}
    return {
        "what": f"whole command, CPU seconds of all its processes: {ROWS} rows, 14 M Llama, LoRA r16, fp32, six steps",
        **facts("torch", "transformers", "trl", "peft", "datasets"),
        "peers": {"llamafactory": PINS[0], "patched": "text only: torchvision and torchaudio removed"},
        "rounds": rounds,
        "cpu_seconds": told,
        "wall_seconds": {side: spread([seen.wall for seen in runs]) for side, runs in found.items()},
        "peak_mib": {side: spread([seen.peak_mib for seen in runs], 0) for side, runs in found.items()},
        "ratios": {
            f"{mark}: {side} / studio": ratio(cpu[side][mark], cpu["studio"][mark])
            for side in found
            if side not in ("studio", STARTER)
            for mark in ("first step", "adapter")
        },
        "losses": {side: {"first": each[0], "last": each[-1], "steps": len(each)} for side, each in losses.items()},
    }


if __name__ == "__main__":
    main()
