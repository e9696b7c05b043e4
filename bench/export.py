"""What exporting takes: memory of a merge, tensor by tensor and as a whole, and the time of every target on the starter.

The merge is of a model of random weights on disk, shaped like Llama 3.2 3B or, with `--shape 7b`, Mistral 7B, and an adapter
of rank 16 on all its linear layers; each in a process of its own, whose peak resident memory (files mapped into it
included) is what the kernel counted. Targets are those whose programs are installed here; each export is written,
loaded in its own runtime and compared, as `studio export` does.

    python bench/export.py [--shape 3b|7b] [--only merge|targets] [--whole] [--out bench/results/export-cpu.json]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its file names are not modules' names

SHAPES = {
    "tiny": {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "vocab_size": 8192,
    },
    "3b": {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "vocab_size": 128256,
    },
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    },
}
PROMISED = 1.5 * 2**30
"""Bytes a merge may take beyond the size of the model."""
PATIENCE = 900
"""Seconds one target may take."""


def make_base(folder: Path, shape: str) -> int:
    """A Llama of random bfloat16 weights in files of 2 GB, with a tokenizer. Returns its bytes."""
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.tiny import make_tokenizer

    folder.mkdir(parents=True)
    make_tokenizer(folder)
    config = AutoConfig.for_model("llama", num_key_value_heads=8, head_dim=128, tie_word_embeddings=False, **SHAPES[shape])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    config.save_pretrained(folder)
    weights = model.state_dict()
    some = torch.randn(1 << 22, dtype=torch.float32).mul(0.02).bfloat16()
    shards = split_torch_state_dict_into_shards(weights, filename_pattern="model{suffix}.safetensors", max_shard_size="2GB")
    for file, names in shards.filename_to_tensors.items():
        tensors = {}
        for name in names:
            count = weights[name].numel()
            tensors[name] = some.repeat(-(-count // len(some)))[:count].view(weights[name].shape).clone()
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if shards.is_sharded:
        index = {"metadata": shards.metadata, "weight_map": shards.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return sum(weight.numel() * 2 for weight in weights.values())


def make_adapter(base: Path, folder: Path, rank: int = 16) -> None:
    """A random adapter on all linear layers of `base` but its head."""
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    tensors = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head"):
            place = f"base_model.model.{name}"
            tensors[f"{place}.lora_A.weight"] = torch.randn(rank, module.in_features) * 0.02
            tensors[f"{place}.lora_B.weight"] = torch.randn(module.out_features, rank) * 0.02
    LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", base_model_name_or_path=str(base)).save_pretrained(
        str(folder)
    )
    save_file(tensors, folder / "adapter_model.safetensors")


def merge_here(work: Path, onto: str, whole: bool) -> dict[str, Any]:
    """Merge in this process; seconds, CPU seconds, and the most memory it held."""
    import torch

    from studio.export.merging import merge, merge_stream
    from studio.export.merging.source import Source
    from studio.models import loading
    from studio.models.settings import Model
    from studio.tracking.reporter import Silent

    torch.set_num_threads(1)
    held = Model(name=str(work / "base"), quantization="nf4", dtype="bf16")
    source = Source(loading.find(held), held, work / "adapter", "bench", work / "exports")
    if whole:
        merge_stream.stream = lambda *_: None
    elif merge_stream.stream(source, onto, torch.bfloat16) is None:  # type: ignore[arg-type]
        raise SystemExit("this merge is not done tensor by tensor")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=work) as out:
        merge.write_merged(source, onto, "bf16", Path(out), Silent())  # type: ignore[arg-type]
    used = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_bytes": used.ru_maxrss * scale,
    }


def export_here(work: Path, target: str) -> dict[str, Any]:
    """Make one export of the run in `work` in this process."""
    import torch
    from pydantic import TypeAdapter

    from studio.export.make import Probe, Source, export
    from studio.export.targets import AnyTarget
    from studio.models import loading
    from studio.models.settings import Model
    from studio.tracking.reporter import Silent
    from tests.export.conftest import talk

    torch.set_num_threads(1)
    held = Model(name="starter", quantization="nf4", dtype="fp32")
    source = Source(loading.find(held), held, work / "adapter", "bench", work / "exports")
    wanted: Any = TypeAdapter(AnyTarget).validate_json(target)
    if missing := wanted.missing():
        return {"missing": missing.split(":")[0]}
    probe = Probe(
        [talk(f"What is the price of the {thing}?", "It costs 24 euro.") for thing in ("lamp", "kettle", "clock", "rug")]
    )
    begun, spent = time.perf_counter(), cpu()
    made = export(wanted, source, probe, Silent())
    seconds, status = round(time.perf_counter() - begun, 1), made.verification.status
    return {"seconds": seconds, "cpu_seconds": round(cpu() - spent, 1), "bytes": made.bytes, "status": status}


def cpu() -> float:
    """CPU seconds of this process and of those it started and waited for."""
    both = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def child(*words: str, seconds: float = 3600) -> dict[str, Any]:
    """This file in a process of its own, with what it told; how it failed, where it did."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=dict(os.environ),
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {seconds:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        told = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"failed": re.sub(r"/[^ :]+/", "", told)[:240]}  # without this machine's paths
    return json.loads(lines[-1])


def merges(shape: str, folder: Path, with_whole: bool) -> dict[str, Any]:
    """Every way of merging the model of that shape."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-merge-") as place:
        work = Path(place)
        size = make_base(work / "base", shape)
        make_adapter(work / "base", work / "adapter")
        found: dict[str, Any] = {"model_bytes": size, "promised_beyond_model_bytes": int(PROMISED)}
        for onto in ("dequantized", "original"):
            for whole in (False, True) if with_whole else (False,):
                told = child("--merge", str(work), "--onto", onto, *(["--whole"] if whole else []))
                if "peak_bytes" in told:
                    told["beyond_model_bytes"] = told["peak_bytes"] - size
                    told["kept"] = told["beyond_model_bytes"] <= PROMISED
                found[f"{onto}, {'as a whole' if whole else 'tensor by tensor'}"] = told
                print(shape, onto, "whole" if whole else "stream", told, flush=True)
        return found


def targets() -> dict[str, Any]:
    """The time of every target, of every quantisation of gguf."""
    from typing import get_args

    from studio.export.targets import AnyTarget
    from studio.models.settings import Model
    from tests.export.conftest import make_source

    wanted: list[dict[str, Any]] = []
    for kind in get_args(get_args(AnyTarget)[0]):
        name = kind.model_fields["kind"].default
        quants = get_args(kind.model_fields["quant"].annotation) if name == "gguf" else ()
        wanted += [{"kind": name, "quant": quant} for quant in quants] or [{"kind": name}]
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-export-") as place:
        make_source(Model(name="starter", quantization="nf4", dtype="fp32"), Path(place))
        for target in wanted:
            told = child("--export", place, "--target", json.dumps(target), seconds=PATIENCE)
            found["-".join(target.values())] = told
            print(target, told, flush=True)
    return found


def main() -> None:
    """Measure; or be one of the processes of the measurement."""
    options = argparse.ArgumentParser()
    options.add_argument("--shape", choices=SHAPES, default="3b")
    options.add_argument("--only", choices=("merge", "targets"))
    options.add_argument("--whole", action="store_true", help="merge as a whole, too: as much memory as the model takes")
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the model is put")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "export-cpu.json")
    for name in ("--merge", "--onto", "--export", "--target"):
        options.add_argument(name, default="", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.merge:
        print(json.dumps(merge_here(Path(asked.merge), asked.onto, asked.whole)))
        return
    if asked.export:
        print(json.dumps(export_here(Path(asked.export), asked.target)))
        return
    kept = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{platform.machine()}, {os.cpu_count()} threads, 1 used",
        "load_before": [round(value, 1) for value in os.getloadavg()],
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("torch", "transformers", "peft", "bitsandbytes", "safetensors", "cyllama")
        },
    }
    if asked.only != "targets":
        kept.setdefault("merge", {})[asked.shape] = {**facts, **merges(asked.shape, asked.folder, asked.whole)}
    if asked.only != "merge":
        about = "the starter in nf4, a random adapter; seconds to write, load in its runtime and compare; merged once"
        kept["targets"] = {**facts, "what": about, **targets()}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
