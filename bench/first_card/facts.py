"""Part 1: what the driver, torch and the studio say of the machine, and whether 4-bit weights are the CPU's bit for bit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.first_card.bench import GIB, Bench
from studio.hardware import doctor, machine

PACKAGES = ("torch", "triton", "transformers", "peft", "bitsandbytes", "accelerate", "trl", "numpy", "nvidia-ml-py")


def measure(bench: Bench) -> None:
    """Record the machine; check that all agree on its GPU."""
    import torch

    here = machine.probe()
    gpu = here.gpu
    about = {
        "gpu": gpu.name if gpu else "",
        "total": gpu.total if gpu else 0,
        "free": gpu.free if gpu else 0,
        "driver": gpu.driver if gpu else "",
        "capability": gpu.capability if gpu else (),
        "cpu": here.cpu,
        "cores": here.cores,
        "ram": here.ram,
        "python": platform.python_version(),
        "wsl": machine.is_wsl(),
        "packages": {name: _version(name) for name in PACKAGES},
        "allocator": {name: os.environ.get(name) for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")},
        "compiler": shutil.which("gcc") or shutil.which("cc"),
        "commit": _commit(),
    }
    bench.note("machine", None, **about)
    with bench.check("torch and the driver mean the same GPU") as values:
        assert gpu is not None, "the studio finds no GPU"
        values |= {"torch": torch.cuda.get_device_name(0), "count": torch.cuda.device_count()}
        values |= {"architectures": torch.cuda.get_arch_list() if not bench.pretend else [], "cuda": torch.version.cuda}
        assert tuple(torch.cuda.get_device_capability(0)) == gpu.capability
        if not bench.pretend:
            assert torch.cuda.get_device_name(0) == gpu.name, f"torch uses {torch.cuda.get_device_name(0)}"
            assert abs(torch.cuda.mem_get_info(0)[1] / gpu.total - 1) < 0.1, "torch counts another size of memory"
    with bench.check("no other program holds the GPU's memory") as values:
        values["held"] = gpu.held if gpu else 0
        assert not gpu or gpu.held < 0.05 * gpu.total, f"{gpu.held / GIB:.1f} GiB are held: close those programs"
    with bench.check("doctor finds no problem of the GPU") as values:
        found = [item for item in doctor.check() if item.ok is False]
        values["problems"] = [f"{item.name}: {item.found}" for item in found]
        assert not [item for item in found if "GPU" in item.name or item.name == "torch"], "; ".join(values["problems"])
    for name in ("bfloat16", "float16", "float32"):
        with bench.check(f"nf4 of {name} is bit for bit the CPU's") as values:
            values |= _round_trip(getattr(torch, name))
            assert values["equal"], f"{values['different']} of the numbers differ"


def _round_trip(dtype: Any) -> dict[str, Any]:
    """A nested nf4 round trip on the GPU against the CPU: what a merge on another machine relies on."""
    import torch
    from bitsandbytes import functional

    weight = torch.randn(256, 512, generator=torch.Generator().manual_seed(0)).to(dtype)
    back = []
    for device in ("cuda", "cpu"):
        packed, state = functional.quantize_4bit(weight.to(device), compress_statistics=True, quant_type="nf4")
        back.append(functional.dequantize_4bit(packed, state).cpu())
    different = int((back[0] != back[1]).sum())
    return {"equal": different == 0, "different": f"{different / weight.numel():.2%}"}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    try:
        said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip()
