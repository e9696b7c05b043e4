"""The numeric tests with each instruction set and number of threads that processors have: `python -m tests.isa [--quick]`.

Sums are taken in another order with other vector widths and other numbers of threads, so the last bits of every result
differ. What the tests promise has to hold all the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETS = {
    "default": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
}
"""For each instruction set, from the oldest: the ceilings of torch, oneDNN and MKL.

AVX-512 is taken with VNNI, as all AMD and, since 2019, all Intel processors have it: before, oneDNN adds 8-bit products in 16
bits, which saturate, and an int8 base answers less exactly (the merge test: off by 7 % of the logits' spread, not below 5 %).
"""
THREADS = (1, 2)


def strongest() -> str:
    """The newest instruction set this processor has, as torch finds it."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"
    free = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
    found = subprocess.run([sys.executable, "-c", code], env=free, check=True, capture_output=True, text=True).stdout.strip()
    return found if found in SETS else "default"


def main() -> int:
    """Run the tests once a combination; 0 if all passed."""
    parser = argparse.ArgumentParser(description="Run the numeric tests with each instruction set.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one thread of the instruction set before the newest, nothing slow or on the pretend GPU",
    )
    parser.add_argument("--only", metavar="SET:THREADS", help="one combination, such as avx2:1")
    chosen = parser.parse_args()
    names = list(SETS)
    here = names[: names.index(strongest()) + 1]
    for name in names[len(here) :]:
        print(f"skipped: this processor has no {name}", flush=True)
    combinations = [(name, threads) for name in here for threads in THREADS]
    if chosen.quick:
        combinations = [(here[-2:][0], 1)]  # with the newest set they are run among all other tests
    if chosen.only:
        combinations = [item for item in combinations if "{}:{}".format(*item) == chosen.only]
    failed = [label for name, threads in combinations for label in run(name, threads, slow=not chosen.quick)]
    print("failed: " + "; ".join(failed) if failed else "all passed: " + ", ".join(f"{n} x {t}" for n, t in combinations))
    return bool(failed or not combinations)


def run(name: str, threads: int, slow: bool) -> list[str]:
    """Run the numeric tests with an instruction set and so many threads; the name of the combination if one failed."""
    label = f"{name}, {threads} thread{'s' * (threads > 1)}"
    print(f"== {label}", flush=True)
    settings = {**os.environ, **SETS[name], "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    # what the pretend GPU computes is compared with what it computes: quick leaves it to the other sets
    chosen = ["-m", "numeric"] if slow else ["-m", "numeric and not slow", "--ignore=tests/gpu"]
    ended = subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT, env=settings, check=False)
    return [label] if ended.returncode else []


if __name__ == "__main__":
    sys.exit(main())
