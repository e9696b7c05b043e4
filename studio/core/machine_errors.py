"""What the machine could not do, read from the errors of Python, torch, CUDA and bitsandbytes: the one table of them.

Whoever knows what was going on (training a step, loading a model, writing an export) asks `machine_fault` for the cause and
says it in a sentence of its own; for everybody else `translate` has one.
"""

from __future__ import annotations

import errno
from enum import Enum

from studio.core.errors import HardwareError, StudioError


class Fault(Enum):
    """A cause that is the machine's and not the user's input."""

    GPU_MEMORY = "GPU memory"
    MEMORY = "memory"
    DISK_FULL = "disk full"
    NO_PERMISSION = "no permission"
    DISK_ERROR = "disk error"
    GPU_LOST = "GPU lost"
    GPU_NOT_SUPPORTED = "GPU not supported"

    @property
    def is_memory(self) -> bool:
        """Whether memory ran out, the GPU's or the machine's."""
        return self in (Fault.GPU_MEMORY, Fault.MEMORY)


_BY_ERRNO = {
    errno.ENOSPC: Fault.DISK_FULL,
    errno.EDQUOT: Fault.DISK_FULL,
    errno.EACCES: Fault.NO_PERMISSION,
    errno.EPERM: Fault.NO_PERMISSION,
    errno.EROFS: Fault.NO_PERMISSION,
    errno.EIO: Fault.DISK_ERROR,
}
_BY_TEXT = {
    "can't allocate memory": Fault.MEMORY,  # torch's allocator of the CPU
    "not enough memory": Fault.MEMORY,  # the same on some systems
    "cublas_status_alloc_failed": Fault.GPU_MEMORY,
    "cublas_status_not_initialized": Fault.GPU_MEMORY,  # its first call finds no memory for the workspace
    "cuda out of memory": Fault.GPU_MEMORY,
    "cuda error: out of memory": Fault.GPU_MEMORY,
    "out of memory": Fault.MEMORY,
    "no kernel image": Fault.GPU_NOT_SUPPORTED,
    "driver version is insufficient": Fault.GPU_NOT_SUPPORTED,
    "device not ready": Fault.GPU_LOST,
    "unspecified launch failure": Fault.GPU_LOST,
    "device-side assert": Fault.GPU_LOST,
    "illegal memory access": Fault.GPU_LOST,
    "has fallen off the bus": Fault.GPU_LOST,
    "gpu is lost": Fault.GPU_LOST,
}
"""Parts of a RuntimeError's text in lower case, the first that fits."""
_OF_RUST = {f"(os error {number})": fault for number, fault in _BY_ERRNO.items()}
"""How libraries written in Rust, such as safetensors and tokenizers, end the text of an error that the system gave."""
_OF_SQLITE = {
    "database or disk is full": Fault.DISK_FULL,
    "disk I/O error": Fault.DISK_ERROR,
    "attempt to write a readonly database": Fault.NO_PERMISSION,
}
"""What sqlite3 says of the disk."""


def machine_fault(error: BaseException) -> Fault | None:
    """Which fault of the machine an error is; None for anything else. torch is not imported."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is raised for accelerators alone
        return Fault.GPU_MEMORY
    if isinstance(error, MemoryError):
        return Fault.MEMORY
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0)
    if type(error).__name__ == "SafetensorError" or type(error) is Exception:  # the second is what tokenizers raises
        return next((fault for part, fault in _OF_RUST.items() if part in str(error)), None)
    if type(error).__name__ == "OperationalError":
        return _OF_SQLITE.get(str(error))
    if isinstance(error, RuntimeError):
        text = str(error).lower()
        return next((fault for part, fault in _BY_TEXT.items() if part in text), None)
    return None


def translate(error: Exception) -> StudioError | None:
    """A cause that is the machine's, as an error with what to do about it; None for anything else."""
    where = str(getattr(error, "filename", None) or "")
    match machine_fault(error):
        case Fault.DISK_FULL:
            return HardwareError(
                "the disk is full", hint="Free disk space (studio clean shows what takes room) and try again.", where=where
            )
        case Fault.NO_PERMISSION:
            reason = (getattr(error, "strerror", None) or "no permission").lower()
            return HardwareError(f"cannot be written or read ({reason})", hint="Check its owner and permissions.", where=where)
        case Fault.DISK_ERROR:
            return HardwareError(
                "the disk failed to read or write (input/output error)",
                hint="Check the disk and its connection, then go on: a run resumes from its last checkpoint.",
                where=where,
            )
        case Fault.MEMORY:
            return HardwareError("the machine's memory is used up", hint="Close other programs, or lower data.max_length.")
        case Fault.GPU_MEMORY:
            return HardwareError(
                "the GPU's memory is used up", hint="Close other programs on the GPU (`nvidia-smi` lists them)."
            )
        case Fault.GPU_LOST:
            return HardwareError(
                f"the GPU stopped working ({_first_line(error)})",
                hint="Resume the run; it goes on from its last checkpoint. If it happens again, restart the machine and "
                "check the GPU's power and temperature.",
            )
        case Fault.GPU_NOT_SUPPORTED:
            return HardwareError(
                f"this build of PyTorch cannot use the GPU ({_first_line(error)})",
                hint="`studio doctor` says which driver and which GPU it needs.",
            )
        case None:
            return None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
