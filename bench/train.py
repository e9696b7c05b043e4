"""Training speed and memory on a CPU: the studio against TRL's SFTTrainer and, where its venv is there, LLaMA-Factory.

    nice -n 10 python bench/train.py            # three rounds of everything, writes bench/results/train-cpu.json
    python bench/train.py --groups fp32 bf16    # only these; the other figures in the file stay

Each variant runs in a process of its own with one thread, in turn, so that a busy machine troubles all of them alike, and
ratios are made within a round. The figure is real tokens (padding not counted) per CPU second over all steps but the
first. All get the same tokenised rows in the same order, the same LoRA weights to begin with and AdamW at a constant
rate; losses must be the same at every step, but where packing by the peer puts other rows in a step. Rows are as long as
in an ordinary chat set: median 120 tokens, nine in ten below 470, at most 1,000. `bench/peers.py` makes the venv.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kit import testbed
from kit.machine import RESULTS, facts, keep, ratio, spread
from kit.rounds import measured

ROWS = 24
PEER = Path(__file__).parent / ".peers" / "llamafactory" / "bin" / "python"
SMALL, LARGE = testbed.SMALL, testbed.LARGE
VARIANTS: dict[str, dict[str, Any]] = {
    "trl bs 1 x 8": {"side": "trl", "micro": 1},
    "studio bs 1 x 8": {"side": "studio", "micro": 1, "packing": False},
    "trl bs 8": {"side": "trl", "micro": 8},
    "studio bs 8": {"side": "studio", "micro": 8, "packing": False},
    "trl packed": {"side": "trl", "micro": 1, "packing": True},
    "studio packed": {"side": "studio", "micro": 2, "packing": True},
    "trl packed bf16": {"side": "trl", "micro": 1, "packing": True, "dtype": "bf16"},
    "studio packed bf16": {"side": "studio", "micro": 2, "packing": True, "dtype": "bf16"},
    "trl packed 49k": {"side": "trl", "micro": 1, "packing": True, "vocabulary": LARGE},
    "studio packed 49k": {"side": "studio", "micro": 2, "packing": True, "vocabulary": LARGE},
    "trl as it comes": {"side": "trl", "defaults": True},
    "studio as it comes": {"side": "studio"},
    "llamafactory bs 1 x 8": {"side": "llamafactory", "micro": 1},
    "llamafactory bs 1 x 8 bf16": {"side": "llamafactory", "micro": 1, "dtype": "bf16"},
    "llamafactory packed": {"side": "llamafactory", "micro": 1, "packing": True},
}
GROUPS = {
    "fp32": ["trl packed", "studio packed"],
    "bf16": ["trl packed bf16", "studio packed bf16"],
    "49k": ["trl packed 49k", "studio packed 49k"],
    "defaults": ["trl as it comes", "studio as it comes", "trl bs 8"],
    "llamafactory": [
        "llamafactory bs 1 x 8",
        "llamafactory bs 1 x 8 bf16",
        "llamafactory packed",
        "studio bs 1 x 8",
        "studio packed",
    ],
    "unpacked": ["trl bs 1 x 8", "studio bs 1 x 8", "trl bs 8", "studio bs 8"],
}
PEER_BEST = "llamafactory at its best"
RATIOS = {
    "both packed, fp32": ("studio packed", "trl packed", 1.5),
    "both packed, bf16": ("studio packed bf16", "trl packed bf16", 1.5),
    "both packed, vocabulary of 49,152": ("studio packed 49k", "trl packed 49k", 2.0),
    "each as it comes": ("studio as it comes", "trl as it comes", 4.0),
    "studio packed / TRL bs 8, both fp32": ("studio packed", "trl bs 8", 2.0),
    "both bs 1 x 8, no padding": ("studio bs 1 x 8", "trl bs 1 x 8", 1.0),
    "both bs 8, padded": ("studio bs 8", "trl bs 8", 1.0),
    "LLaMA-Factory, both bs 1 x 8 fp32": ("studio bs 1 x 8", "llamafactory bs 1 x 8", 1.0),
    "LLaMA-Factory at its best / studio packed fp32": ("studio packed", PEER_BEST, 1.1),
}
SAME_LOSSES = {
    ("studio bs 1 x 8", "trl bs 1 x 8"): 1e-3,
    ("studio bs 8", "trl bs 8"): 1e-3,
    ("studio packed", "trl bs 8"): 1e-3,
    ("studio as it comes", "trl bs 8"): 1e-3,
    ("studio bs 1 x 8", "llamafactory bs 1 x 8"): 1e-3,
    ("studio packed bf16", "trl bs 8"): 2e-2,
}
MEMORY_TARGET_GIB = 1.5
WHAT = "LoRA r16 on a random Llama of 14 M (30 M with 49 k): real tokens per CPU second, one thread, steps after the first"


def child(name: str, count: int) -> None:
    """Run one variant in this process and print its figures as the last line."""
    from kit import training

    variant = {"vocabulary": SMALL, **VARIANTS[name], "count": count}
    run = {"studio": training.studio_run, "trl": training.trl_run}[variant.pop("side")]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(Path(folder), **variant)))


def prepare_peer(folder: Path, count: int) -> None:
    """Model, first LoRA weights and rows in order, for a peer that reads them from files."""
    from studio.training import adapters
    from studio.training.settings import ResolvedAdapter

    model, tokenizer = testbed.base(SMALL)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    (folder / "rows.json").write_text(json.dumps(testbed.in_order(count, SMALL)))
    adapters.save(
        adapters.attach(model, ResolvedAdapter(rank=16, alpha=32), testbed.SEED, str(folder / "model")), folder / "adapter"
    )


def command(name: str, count: int, folder: Path) -> list[str]:
    """What runs one variant."""
    variant = VARIANTS[name]
    if variant["side"] != "llamafactory":
        return [sys.executable, __file__, "--rows", str(count), "--child", name]
    script = Path(__file__).parent / "kit" / "peer_llamafactory.py"
    packed = "packed" if variant.get("packing") else "-"
    return [str(PEER), str(script), str(folder), str(variant["micro"]), variant.get("dtype", "fp32"), packed]


def measure(rounds: int, names: list[str], count: int) -> dict[str, list[dict[str, Any]]]:
    """Every variant once a round, each in a new process."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        if any(VARIANTS[name]["side"] == "llamafactory" for name in names):
            subprocess.run([sys.executable, __file__, "--rows", str(count), "--peer", folder], check=True)
        for turn in range(rounds):
            for name in names:
                found[name].append(measured(name, command(name, count, Path(folder)), turn))
    return found


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians and spreads, the ratios round by round against their targets, and how far the losses differ."""
    speeds = {name: [run["tokens_per_cpu_second"] for run in runs] for name, runs in found.items()}
    theirs = [speeds[name] for name in speeds if name.startswith("llamafactory")]
    if theirs:
        speeds[PEER_BEST] = [max(each) for each in zip(*theirs, strict=True)]
    about = {
        name: ratio(speeds[one], speeds[two], target)
        for name, (one, two, target) in RATIOS.items()
        if one in speeds and two in speeds
    }
    losses = {}
    for (one, two), most in SAME_LOSSES.items():
        if one in found and two in found:
            pairs = list(zip(found[one][0]["losses"], found[two][0]["losses"], strict=True))
            apart = max(abs(a - b) / abs(b) for a, b in pairs)
            losses[f"{one} / {two}"] = {"steps": pairs, "relative": apart, "equal": apart < most}
    return {
        "tokens_per_cpu_second": {name: spread(values) for name, values in speeds.items()},
        "peak_mib": {name: spread([run["peak_mib"] for run in runs], 0) for name, runs in found.items()},
        "ratios": about,
        "losses": losses,
        "last_losses": {name: runs[0]["losses"][-1] for name, runs in found.items()},
        "settings": {name: runs[0]["settings"] for name, runs in found.items() if "settings" in runs[0]},
    }


def peer_versions() -> dict[str, str]:
    """Versions in the peer's venv."""
    names = ("llamafactory", "torch", "transformers", "trl", "peft", "accelerate")
    code = f"import json; from importlib.metadata import version; print(json.dumps({{n: version(n) for n in {names}}}))"
    return json.loads(subprocess.run([PEER, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure, print, write; exit 1 if losses differ or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--name", default="train-cpu", help="of the result file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return child(asked.child, asked.rows)
    if asked.peer:
        return prepare_peer(asked.peer, asked.rows)
    groups = [name for name in asked.groups if name != "llamafactory" or PEER.exists()]
    if len(groups) < len(asked.groups):
        print("LLaMA-Factory is not installed: python bench/peers.py --install")
    names = list(dict.fromkeys(name for group in groups for name in GROUPS[group]))
    new = summary(measure(asked.rounds, names, asked.rows))
    file = RESULTS / f"{asked.name}.json"
    old = json.loads(file.read_text()) if file.exists() and groups != list(GROUPS) else {}
    result: dict[str, Any] = {
        "what": WHAT,
        **facts("torch", "transformers", "trl", "peft", "accelerate"),
        "peer": peer_versions() if PEER.exists() else {},
        "rounds": asked.rounds,
        "rows": {"count": asked.rows, "tokens": sum(testbed.lengths(asked.rows)), "effective_batch": testbed.BATCH},
        **{part: {**old.get(part, {}), **found} for part, found in new.items()},
    }
    result["memory"] = memory(result["peak_mib"])
    keep(asked.name, result)
    tell(result)
    good = [each["met"] for each in result["ratios"].values()] + [each["equal"] for each in result["losses"].values()]
    sys.exit(0 if all(good) else 1)


def memory(peaks: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The studio as it comes against TRL at batch 8, in GiB."""
    if "studio as it comes" not in peaks:
        return {}
    ours, theirs = (round(peaks[name]["median"] / 1024, 2) for name in ("studio as it comes", "trl bs 8"))
    return {"studio_gib": ours, "trl_bs_8_gib": theirs, "target_gib": MEMORY_TARGET_GIB, "met": ours <= MEMORY_TARGET_GIB}


def tell(result: dict[str, Any]) -> None:
    """Ratios and losses, line by line."""
    for name, each in result["ratios"].items():
        met = "" if each["met"] else "  MISSED"
        print(f"{name:48} {each['median']:.2f}x [{each['low']:.2f}-{each['high']:.2f}]  target {each['target']}x{met}")
    for name, loss in result["losses"].items():
        (one, _), (last, other) = loss["steps"][0], loss["steps"][-1]
        print(f"{name:48} loss {one:.4f} -> {last:.4f} / {other:.4f}, {loss['relative']:.1e} apart at most")
    print(result["memory"])


if __name__ == "__main__":
    main()
