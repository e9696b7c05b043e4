"""What this machine is: read from the driver (NVML), the kernel and the file system, without torch and without CUDA.

NVML does not make a CUDA context, so a web server may ask as often as it likes and takes no GPU memory by it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.core.files import studio_home
from studio.hardware import cards, processor

OLDEST = (7, 5)
"""The oldest compute capability that the pinned torch's CUDA build runs on (Turing, 2018)."""
OLDEST_DRIVER = 580
"""The oldest driver branch that runs CUDA 13, which the pinned torch brings."""
DESKTOP = 0.04
"""Share of a card's memory taken by driver and desktop, assumed for a card that is not in this machine."""


@dataclass(frozen=True)
class Gpu:
    """One graphics card. Memory in bytes; bandwidth in bytes/s and flops in dense 16-bit FLOP/s, 0 where not known."""

    name: str
    total: int
    free: int
    capability: tuple[int, int]
    driver: str = ""
    uuid: str = ""
    index: int = 0
    bandwidth: float = 0.0
    flops: float = 0.0
    held: int = 0
    """Bytes that other compute processes hold."""
    returned: int = 0
    """Bytes of these that runs of the studio hold, which give them back when their turn is over."""
    unified: bool = False
    """It has no memory of its own: `total` and `free` are the machine's RAM, which is counted once."""
    mig: bool = False
    """It is partitioned (MIG): CUDA sees only one instance, whose memory is not `total`."""

    @property
    def driver_is_current(self) -> bool:
        """True if the driver's branch runs the CUDA of the pinned torch; also if the driver does not say its number."""
        branch = self.driver.split(".")[0]
        return not branch.isdigit() or int(branch) >= OLDEST_DRIVER

    @property
    def bf16(self) -> bool:
        """True if it computes bfloat16 in hardware (compute capability 8.0 and later)."""
        return self.capability >= (8, 0)


@dataclass(frozen=True)
class Machine:
    """What a plan is made for. Memory and disk in bytes."""

    device: Literal["cuda", "cpu"]
    """Where training will run: `cuda` only if a usable card *and* a torch built for CUDA are there."""
    gpus: tuple[Gpu, ...]
    """The cards this process may use, in the driver's order, after CUDA_VISIBLE_DEVICES."""
    cpu: str
    cores: int
    """Cores this process may use: affinity and container limit."""
    ram: int
    ram_free: int
    disk_free: int
    """Free where runs are kept."""
    cpu_flags: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of `avx2 avx512f avx512_bf16 amx_bf16` the CPU has."""
    assumed: bool = False
    """True if the card was named and is not in this machine."""

    @property
    def gpu(self) -> Gpu | None:
        """The card a run would use."""
        return self.gpus[0] if self.device == "cuda" and self.gpus else None

    @property
    def uuid(self) -> str:
        """What a run waits for its turn at: the card's uuid, or `cpu`."""
        return self.gpu.uuid or self.gpu.name if self.gpu else "cpu"

    @property
    def memory_budget(self) -> int:
        """Bytes a run may plan with: 95 % of what the card has free of the desktop, or 90 % of the free RAM."""
        if self.gpu is None:
            return round(0.9 * self.ram_free)
        if self.gpu.unified:
            return round(0.9 * self.gpu.free)
        return round(0.95 * min(self.gpu.free + self.gpu.returned, (1 - DESKTOP) * self.gpu.total))

    @property
    def cpu_bf16(self) -> bool:
        """True if this CPU multiplies bfloat16 in hardware, 3 times as fast as fp32 (AVX512-BF16, AMX); else it takes 10 to 20
        times as long as fp32."""
        return bool(self.cpu_flags & processor.BF16_FLAGS)

    def emulates(self, dtype: str) -> bool:
        """True if a run here would compute a number format (bf16, fp16, fp32) on a CPU that has no products of it."""
        return self.gpu is None and (dtype == "fp16" or (dtype == "bf16" and not self.cpu_bf16))

    @property
    def name(self) -> str:
        """The card, or the CPU, as a person would call it."""
        return self.gpu.name if self.gpu else self.cpu

    def as_dict(self) -> dict[str, object]:
        """As plain values for `--json` and lock files."""
        return {**asdict(self), "room": self.memory_budget, "cpu_flags": sorted(self.cpu_flags), "cpu_bf16": self.cpu_bf16}


def probe(gpu: str | None = None, folder: str | Path | None = None) -> Machine:
    """This machine; or this machine as if it had the card named `gpu` instead of its own.

    folder is where runs are kept (its disk is measured); empty: `$STUDIO_HOME` or `~/.studio`.
    Raises SpecError if `gpu` is not a GPU we know.
    """
    found = (_named(gpu),) if gpu else tuple(_visible())
    usable = [item for item in found if item.capability >= OLDEST]
    cuda = bool(usable) and (gpu is not None or torch_has_cuda())
    total, free = memory()
    name, flags = processor.name_and_instructions()
    return Machine(
        device="cuda" if cuda else "cpu",
        gpus=tuple(usable) if cuda else found,
        cpu=name,
        cores=cores(),
        ram=total,
        ram_free=free,
        disk_free=disk(studio_home(folder)),
        cpu_flags=flags,
        assumed=gpu is not None,
    )


def is_wsl() -> bool:
    """True on the Linux that Windows runs (WSL2)."""
    return "microsoft" in _read("/proc/sys/kernel/osrelease").lower()


def torch_has_cuda() -> bool:
    """True if the installed torch is a CUDA build: its `version.py` names a CUDA version. It is read, not imported."""
    try:
        file = importlib.metadata.distribution("torch").locate_file("torch/version.py")
        text = Path(str(file)).read_text(encoding="utf-8")
    except (importlib.metadata.PackageNotFoundError, OSError):
        return False
    return bool(re.search(r"^cuda\b[^=\n]*=\s*['\"]\d", text, re.MULTILINE))


def _named(name: str) -> Gpu:
    card = cards.find(name)
    free = round(card.bytes * (1 - DESKTOP))
    return Gpu(card.name, card.bytes, free, card.capability, bandwidth=card.bandwidth * 1e9, flops=card.tflops * 1e12)


@contextlib.contextmanager
def nvml() -> Iterator[Any]:
    """The driver's library, started and shut down; None where there is no driver or no `nvidia-ml-py`."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        yield None
        return
    try:
        yield pynvml
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def holds_memory(pid: int) -> bool:
    """Whether the driver still counts memory of any card as that of this process. False without a card."""
    with nvml() as driver:
        if driver is None:
            return False
        with contextlib.suppress(driver.NVMLError):
            cards = [driver.nvmlDeviceGetHandleByIndex(index) for index in range(driver.nvmlDeviceGetCount())]
            return any(item.pid == pid for card in cards for item in driver.nvmlDeviceGetComputeRunningProcesses(card))
    return False


def _visible() -> list[Gpu]:
    with nvml() as driver:
        if driver is None:
            return []
        everything = [_gpu(driver, index) for index in range(driver.nvmlDeviceGetCount())]
    return visible([item for item in everything if item], os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible(gpus: list[Gpu], allowed: str | None) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; as CUDA does, it stops at the first it does not know.

    `all` is what container runtimes write for no mask; the uuid of a MIG instance stands for the first partitioned GPU.
    """
    if allowed is None or allowed.strip().lower() == "all":
        return gpus
    chosen: list[Gpu] = []
    for word in (part.strip().lower() for part in allowed.split(",")):
        if word.startswith("mig-"):
            matches = [item for item in gpus if item.mig and item not in chosen][:1]
        else:
            uuid = word.startswith("gpu-")
            matches = [item for item in gpus if str(item.index) == word or (uuid and item.uuid.lower().startswith(word))]
        if len(matches) != 1 or matches[0] in chosen:
            break
        chosen.append(matches[0])
    return chosen


def unreadable() -> int:
    """How many GPUs the driver lists that could not be read."""
    with nvml() as driver:
        if driver is None:
            return 0
        with contextlib.suppress(driver.NVMLError):
            return sum(_gpu(driver, index) is None for index in range(driver.nvmlDeviceGetCount()))
    return 0


def _gpu(driver: Any, index: int) -> Gpu | None:
    """One GPU as the driver describes it. What it refuses to say (WSL2, unified memory, vGPU) is left open, not the GPU out."""
    refused = driver.NVMLError
    try:
        handle = driver.nvmlDeviceGetHandleByIndex(index)
        major, minor = driver.nvmlDeviceGetCudaComputeCapability(handle)
    except refused:
        return None  # a GPU that has fallen off the bus must not hide the others
    name, number, uuid, others, returned, unified, mig = "NVIDIA GPU", "", "", 0, 0, False, False
    with contextlib.suppress(refused):
        name = _text(driver.nvmlDeviceGetName(handle))
    with contextlib.suppress(refused):
        number = _text(driver.nvmlSystemGetDriverVersion())
    with contextlib.suppress(refused):
        uuid = _text(driver.nvmlDeviceGetUUID(handle))
    with contextlib.suppress(refused):
        running = driver.nvmlDeviceGetComputeRunningProcesses(handle)
        others = sum(int(item.usedGpuMemory or 0) for item in running)
        returned = sum(int(item.usedGpuMemory or 0) for item in running if is_run(item.pid))
    with contextlib.suppress(refused, AttributeError):
        mig = driver.nvmlDeviceGetMigMode(handle)[0] == 1
    try:
        own = driver.nvmlDeviceGetMemoryInfo(handle)
        total, free = int(own.total), int(own.free)
    except refused:  # it shares the machine's RAM (GB10, Jetson)
        (total, free), others, returned, unified = memory(), 0, 0, True
    card = cards.match(name, None if unified else total)
    return Gpu(
        name=name,
        total=total,
        free=free,
        capability=(int(major), int(minor)),
        driver=number,
        uuid=uuid,
        index=index,
        bandwidth=card.bandwidth * 1e9 if card else 0.0,
        flops=card.tflops * 1e12 if card else 0.0,
        held=others,
        returned=returned,
        unified=unified,
        mig=mig,
    )


def is_run(pid: int) -> bool:
    """Whether a process of this machine works on a run: only such a one waits its turn, and gives its memory back.

    A server, a chat or another program keeps what it holds. In a container the driver's process ids are those of the host and
    mean nothing here; what they hold is then not counted on.
    """
    return "studio.worker" in _read(f"/proc/{pid}/cmdline").split("\0")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def cores() -> int:
    """Cores this process may use: the smaller of its affinity and its container's quota, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        count = min(count, max(1, int(quota) // int(period)))
    return max(1, count)


def memory() -> tuple[int, int]:
    """RAM in bytes (total, available), within the container's limit if there is one."""
    import psutil

    room = psutil.virtual_memory()
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if limit.isdigit() and used.isdigit() and int(limit) < room.total:
        return int(limit), max(0, min(room.available, int(limit) - int(used)))
    return room.total, room.available


def disk(folder: Path) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
