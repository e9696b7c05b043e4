"""What this machine can do, checked without loading torch; each problem with its fix."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.files import studio_home
from studio.core.text import plural, size
from studio.hardware import allocator, gpu_check
from studio.hardware import machine as machines
from studio.hardware.machine import Machine

GIB = 1 << 30
DISK = 20 * GIB
"""Disk below which a 3 B model's download, checkpoints and exports no longer fit."""
RAM = 4 * GIB
"""RAM below which loading and merging even a small model is at risk."""
CARD = 5 * GIB
"""Free GPU memory below which no preset of 1.5 B and more can be trained."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ok: True good, False a problem, None worth knowing. fix: what to do, empty if nothing."""

    name: str
    ok: bool | None
    found: str
    fix: str = ""


def check(folder: str | Path | None = None, ask_torch: bool = False) -> list[Finding]:
    """Look at everything a run depends on. folder is where runs are kept; empty: `$STUDIO_HOME` or `~/.studio`.

    ask_torch: let torch itself try the GPU, in a process of its own, which takes some ten seconds.
    """
    root = studio_home(folder)
    machine = machines.probe(folder=root)
    return [
        _python(),
        *_cards(machine),
        _torch(machine),
        *([Finding("GPU allocator", None, allocator.described())] if machine.device == "cuda" else ()),
        *(_trials() if ask_torch and machine.device == "cuda" else ()),
        _memory(machine),
        _cpu(machine),
        _threads(machine),
        _writable(root),
        _disk(root, machine),
        *_parts(),
    ]


def _python() -> Finding:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("Python", good, version, "" if good else "Use Python 3.11, 3.12 or 3.13: `make PYTHON=python3.12 install`.")


def _cards(machine: Machine) -> Iterator[Finding]:
    with machines.nvml() as driver:
        there = driver is not None and driver.nvmlDeviceGetCount() > 0
    if not machine.gpus:
        allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
        if there and allowed is not None:
            yield Finding(
                "GPU", None, f"hidden by CUDA_VISIBLE_DEVICES={allowed!r}", "Unset CUDA_VISIBLE_DEVICES to use the GPU."
            )
        elif there:
            yield Finding(
                "GPU",
                False,
                f"the driver lists {plural(machines.unreadable(), 'GPU')} that could not be read",
                "Run nvidia-smi: it names the fault. Restarting the machine, or updating the driver, often helps.",
            )
        else:
            yield Finding(
                "GPU",
                None,
                "none found: runs use the CPU, which is enough for the starter model",
                "For real models: an NVIDIA GPU from RTX 20 on, and its driver (nvidia-smi must work).",
            )
        return
    for gpu in machine.gpus:
        yield from _card(gpu)


def _card(gpu: machines.Gpu) -> Iterator[Finding]:
    number = ".".join(map(str, gpu.capability))
    new = gpu.capability >= machines.OLDEST
    yield Finding(
        "GPU",
        new,
        f"{gpu.name}, {size(gpu.total)}, compute capability {number}",
        "" if new else "Too old for this torch (7.5, RTX 20, is the oldest): runs use the CPU.",
    )
    yield Finding(
        "GPU driver",
        gpu.driver_is_current,
        gpu.driver or "version not known",
        "" if gpu.driver_is_current else driver_advice(),
    )
    if gpu.mig:
        yield Finding("MIG", None, "on: a run sees one instance", "Set CUDA_VISIBLE_DEVICES to the uuid of an instance.")
    yield Finding(
        "bfloat16",
        True if gpu.bf16 else None,
        "yes" if gpu.bf16 else "no: runs use fp16",
        "" if gpu.bf16 else "Nothing to do; Gemma models will be planned in fp32, for they overflow fp16.",
    )
    free = gpu.free >= CARD
    yield Finding(
        "GPU memory",
        free,
        f"{size(gpu.free)} of {size(gpu.total)} free" + (f", {size(gpu.held)} in use by other processes" if gpu.held else ""),
        "" if free else "Close what uses the GPU (nvidia-smi lists it).",
    )


def driver_advice() -> str:
    """What to do about a driver that is too old for the installed torch."""
    return f"Update the driver to {machines.OLDEST_DRIVER} or later, or install a torch built for cu126 or cu128."


def _torch(machine: Machine) -> Finding:
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Finding("torch", False, "not installed", "Run `make install`.")
    build = version.partition("+")[2]
    if machine.gpus and not machines.torch_has_cuda():
        return Finding(
            "torch",
            False,
            f"{version}: a CPU build, though there is a GPU",
            f"Run `pip install --force-reinstall torch=={version.partition('+')[0]}` from the ordinary index.",
        )
    kind = f"{build} build" if build else "the ordinary build"
    return Finding("torch", True, f"{version.partition('+')[0]}, {kind}; training on {machine.device}")


def _trials() -> Iterator[Finding]:
    """What torch can really do on the GPU."""
    for trial in gpu_check.check():
        needed = None if trial.name == gpu_check.TRITON else False
        yield Finding(
            trial.name,
            needed if trial.error else True,
            trial.error or "works",
            gpu_check.FIXES[trial.name] if trial.error else "",
        )


def _memory(machine: Machine) -> Finding:
    good = machine.ram_free >= RAM
    return Finding(
        "RAM",
        good,
        f"{size(machine.ram_free)} of {size(machine.ram)} free",
        "" if good else "Close other programs: loading and merging a model needs RAM too.",
    )


def _cpu(machine: Machine) -> Finding:
    speed = "bfloat16 in hardware" if machine.cpu_bf16 else "no bfloat16 in hardware: a CPU run computes in fp32"
    return Finding("CPU", None, f"{machine.cpu}, {plural(machine.cores, 'core')}, {speed}")


def _threads(machine: Machine) -> Finding:
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > machine.cores:
        return Finding(
            "CPU threads",
            False,
            f"OMP_NUM_THREADS={given} on {plural(machine.cores, 'core')}",
            f"Unset OMP_NUM_THREADS, or set it to at most {machine.cores}: threads that wait for a core slow a run many times.",
        )
    return Finding("CPU threads", True, f"OMP_NUM_THREADS={given}" if given else "decided by each run's plan")


def _writable(root: Path) -> Finding:
    there = root
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            return Finding("Studio folder", True, str(root) if root.exists() else f"{root} (made when first needed)")
    except OSError as problem:
        return Finding(
            "Studio folder", False, f"{root} cannot be written ({problem.strerror})", "Set STUDIO_HOME to a folder of yours."
        )


def _disk(root: Path, machine: Machine) -> Finding:
    good = machine.disk_free >= DISK
    return Finding(
        "Disk",
        good,
        f"{size(machine.disk_free)} free at {root}",
        "" if good else "Free some disk, or set STUDIO_HOME to a larger one: a 3 B model with exports takes about 20 GiB.",
    )


def _keyring() -> Finding:
    """Where tokens are kept: a keyring that is installed may have no backend, as on a server without a desktop."""
    try:
        import keyring

        works = keyring.get_keyring().priority > 0  # the backend that only fails has none
    except Exception:  # not installed, or its backend is broken
        works = False
    if works:
        return Finding("keyring", True, "tokens are kept by the system keyring")
    return Finding("keyring", None, "no system keyring: tokens are kept in a file that only you can read")


def _parts() -> Iterator[Finding]:
    for name, module, gives in (
        ("bitsandbytes", "bitsandbytes", "4- and 8-bit bases"),
        ("llama.cpp", "cyllama", "GGUF files are loaded and checked"),
        ("gguf", "gguf", "GGUF export"),
        ("Weights & Biases", "wandb", "runs are mirrored, online with a key"),
    ):
        there = importlib.util.find_spec(module) is not None
        missing = f"Run `pip install {module}` in the studio's environment."
        yield Finding(name, True if there else None, gives if there else f"not installed: no {gives}", "" if there else missing)
    yield _keyring()
    browser = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    yield Finding(
        "Chromium",
        True if browser else None,
        browser or "not found: only the browser tests need it",
        "" if browser else "Install the package `chromium` to run the browser tests.",
    )
