"""Rows of chat made ready to train per CPU second: the studio's whole preparation against TRL's tokenisation.

    nice -n 10 python bench/prepare.py          # three rounds, writes bench/results/prepare.json

Each side is a process of its own that reads the same JSON lines; the rate is the slope between a small and a large set,
so that what a start costs falls out. The studio reads, checks, finds doubles, splits, encodes and writes; TRL reads and
tokenises, masks and truncates, as its trainer does before the first step. Then, on 1,000 rows, whether token ids and
trained tokens are the same, and what it costs to prepare the same data again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kit import testbed
from kit.machine import ONE_THREAD, facts, keep, ratio, spread

FEW, MANY, SAME = 2_000, 8_000, 1_000
TARGET, AGAIN_TARGET = 1_500, 1.0


def used() -> float:
    """CPU seconds of this process and its ended children."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in each)


def studio(file: Path, model: Path, folder: Path) -> dict[str, Any]:
    """Prepare and encode as a run does, twice."""
    from studio.data import encode, prepare
    from studio.data.settings import Data
    from studio.models import finding, tokenizers
    from studio.models.settings import Model

    settings = Data(train=str(file))
    tokenizer = tokenizers.tokenizer(finding.find(Model(name=str(model))))
    out = folder / "data"

    def ready() -> list[Any]:
        if not (out / "report.json").exists():
            prepare.prepare(settings, 42, out)
        parts = ("train", "held-out")
        return [encode.encode_file(out / f"{name}.jsonl", tokenizer, "assistant", out / f"{name}.tokens") for name in parts]

    began = used()
    train, held_out = ready()
    first, wall = used() - began, time.monotonic()
    began = used()
    ready()
    rows = [(train[row][0].tolist(), train[row][1].astype(bool).tolist()) for row in range(min(SAME, len(train)))]
    again = {"cpu": used() - began, "wall": time.monotonic() - wall}
    return {"cpu": first, "rows": len(train) + len(held_out), "again": again, "examples": rows}


def trl(file: Path, model: Path, folder: Path) -> dict[str, Any]:
    """What SFTTrainer does with the data before it trains."""
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    loaded, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    args = SFTConfig(
        str(folder), use_cpu=True, bf16=False, max_length=testbed.MAX_LENGTH, assistant_only_loss=True, report_to="none"
    )
    began = used()
    data = load_dataset("json", data_files=str(file), split="train", cache_dir=str(folder / "cache"))
    trainer = SFTTrainer(loaded, args, train_dataset=data, processing_class=tokenizer)
    spent = used() - began
    made: Any = trainer.train_dataset
    batch = [trainer.data_collator([made[row]]) for row in range(min(FEW, len(made)))]
    rows = [(one["input_ids"][0].tolist(), (one["labels"][0] != -100).tolist()) for one in batch]
    return {"cpu": spent, "rows": len(made), "examples": rows}


def run(side: str, file: Path, model: Path) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--child", side, str(file), str(model)]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def slope(side: str, files: dict[int, Path], model: Path) -> tuple[float, dict[str, Any]]:
    """Rows per CPU second between the small and the large set, and the figures of the small one."""
    few, many = (run(side, files[count], model) for count in (FEW, MANY))
    return (many["rows"] - few["rows"]) / (many["cpu"] - few["cpu"]), few


def same(ours: list[Any], theirs: list[Any]) -> dict[str, Any]:
    """How many of our rows the other side has, token by token and with the same tokens trained."""
    known = {tuple(ids): mask for ids, mask in theirs}
    equal = sum(known.get(tuple(ids)) == mask for ids, mask in ours)
    return {"rows": len(ours), "equal": equal, "met": equal == len(ours)}


def main() -> None:
    """Measure, print, write; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.child:
            side, file, model = asked.child
            print(json.dumps({"studio": studio, "trl": trl}[side](Path(file), Path(model), folder)))
            return
        model = testbed.write_model(folder / "model")
        files = {count: testbed.write_chats(folder / f"{count}.jsonl", count) for count in (FEW, MANY)}
        rates: dict[str, list[float]] = {"studio": [], "trl": []}
        last: dict[str, dict[str, Any]] = {}
        again = []
        for turn in range(asked.rounds):
            for side in rates:
                rate, last[side] = slope(side, files, model)
                rates[side].append(rate)
                print(f"round {turn + 1}  {side:8} {rate:6.0f} rows per CPU second", flush=True)
            again.append(last["studio"]["again"])
    rate, repeated = spread(rates["studio"], 0), spread([each["wall"] for each in again])
    result = {
        "what": f"rows of chat made ready per CPU second, slope from {FEW} to {MANY} rows of {mean_tokens()} tokens",
        **facts("tokenizers", "transformers", "trl", "datasets"),
        "rounds": asked.rounds,
        "rows_per_cpu_second": {
            "studio": {**rate, "target": TARGET, "met": rate["median"] >= TARGET},
            "trl": spread(rates["trl"], 0),
        },
        "ratio": ratio(rates["studio"], rates["trl"], 2.0),
        "prepared_again_seconds": {**repeated, "rows": FEW, "target": AGAIN_TARGET, "met": repeated["median"] < AGAIN_TARGET},
        "same_as_trl": same(last["studio"]["examples"], last["trl"]["examples"]),
    }
    keep("prepare", result)
    print(json.dumps({name: value for name, value in result.items() if isinstance(value, dict)}, indent=1))
    sys.exit(0 if all(result[n]["met"] for n in ("ratio", "prepared_again_seconds", "same_as_trl")) else 1)


def mean_tokens() -> int:
    """Tokens of a row, on average."""
    return round(sum(testbed.lengths(MANY)) / MANY)


if __name__ == "__main__":
    main()
