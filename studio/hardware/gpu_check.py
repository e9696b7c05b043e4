"""Whether torch really computes on the GPU: `python -m studio.hardware.gpu_check` prints one line of JSON for each trial.

A process of its own, because the one that asks never imports torch, and because a driver that does not suit may end it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SECONDS = 120
"""Seconds that all trials may take; the first use of a GPU loads its kernels."""
TRITON = "Triton compiler"
FIXES = {
    "torch finds the GPU": "Update the driver, or install a torch built for its CUDA version.",
    "matrix product": "This torch has no kernels for the GPU: install a build that lists its compute capability.",
    "4-bit weights": "Run `pip install --force-reinstall bitsandbytes`: its library does not suit the GPU or its driver.",
    TRITON: "Install gcc and the headers of Python (package python3-dev); runs do without it.",
}
"""The trials in order, and what to do where one fails."""


@dataclass(frozen=True)
class Trial:
    """One trial. error: empty if it passed."""

    name: str
    error: str = ""


def check() -> list[Trial]:
    """All trials, in a child process. One that ends it is the one that failed; those after it are left out."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "studio.hardware.gpu_check"], capture_output=True, text=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return [Trial(next(iter(FIXES)), f"not answered: {type(problem).__name__}")]
    passed = [Trial(**json.loads(line)) for line in child.stdout.splitlines() if line.startswith("{")]
    left = [name for name in FIXES if name not in {trial.name for trial in passed}]
    if child.returncode and left:
        last = [line for line in child.stderr.splitlines() if line.strip()]
        passed.append(Trial(left[0], (last[-1].strip() if last else f"exit code {child.returncode}")[:200]))
    return passed


def trials() -> list[Trial]:
    """All trials in this process, each printed as soon as it is known."""
    found = []
    for name, attempt in zip(FIXES, (_require_gpu, _product, _four_bit, _triton), strict=True):
        trial = Trial(name, _error(attempt))
        print(json.dumps({"name": trial.name, "error": trial.error}), flush=True)  # noqa: T201 - its parent reads it
        found.append(trial)
        if trial.error and attempt is _require_gpu:
            break
    return found


def _error(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except Exception as error:  # whatever a library raises is the answer
        said = str(error).strip().splitlines()
        return f"{type(error).__name__}: {said[0]}"[:200] if said else type(error).__name__
    return ""


def _require_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        torch.zeros(1, device="cuda")  # says why
        raise RuntimeError("torch.cuda.is_available() is False")


def _product() -> None:
    import torch

    for dtype in (torch.float32, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16):
        ones = torch.ones(64, 64, device="cuda", dtype=dtype)
        if (ones @ ones).sum().item() != 64**3:
            raise RuntimeError(f"a product in {dtype} is wrong")


def _four_bit() -> None:
    import torch
    from bitsandbytes import functional

    weight = torch.randn(64, 64, device="cuda", dtype=torch.float16)
    packed, state = functional.quantize_4bit(weight, compress_statistics=True, quant_type="nf4")
    back = functional.dequantize_4bit(packed, state)
    if not (back - weight).abs().max().item() < 1:
        raise RuntimeError("weights in 4 bit come back wrong")


def _triton() -> None:
    import torch

    function = torch.compile(lambda values: torch.nn.functional.silu(values) * 2)
    function(torch.ones(64, device="cuda"))


if __name__ == "__main__":
    trials()
