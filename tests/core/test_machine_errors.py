"""Whatever library an error of the machine comes from, one table names its cause."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from safetensors import SafetensorError

from studio.core.errors import HardwareError
from studio.core.machine_errors import Fault, machine_fault, translate
from studio.training.guards import disk_errors


class OutOfMemoryError(RuntimeError):
    """torch's error has this name; torch itself is not loaded here."""


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), Fault.GPU_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), Fault.GPU_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), Fault.GPU_MEMORY),
        (RuntimeError("CUDA error: out of memory"), Fault.GPU_MEMORY),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
            Fault.MEMORY,
        ),
        (MemoryError(), Fault.MEMORY),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), Fault.GPU_NOT_SUPPORTED),
        (AssertionError("Torch not compiled with CUDA enabled"), None),
        (RuntimeError("CUDA error: unspecified launch failure"), Fault.GPU_LOST),
        (RuntimeError("CUDA error: device not ready"), Fault.GPU_LOST),
        (OSError(errno.ENOSPC, "No space left on device", "adapter.safetensors"), Fault.DISK_FULL),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), Fault.DISK_FULL),
        (SafetensorError("Error while serializing: I/O error: Input/output error (os error 5)"), Fault.DISK_ERROR),
        (Exception("No space left on device (os error 28)"), Fault.DISK_FULL),  # as a tokenizer that is saved says it
        (sqlite3.OperationalError("database or disk is full"), Fault.DISK_FULL),
        (sqlite3.OperationalError("database is locked"), None),
        (Exception("data did not match any variant"), None),
        (SafetensorError("Error while deserializing header: header too large"), None),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Fault.DISK_FULL),
        (PermissionError(errno.EACCES, "Permission denied", "run"), Fault.NO_PERMISSION),
        (OSError(errno.EROFS, "Read-only file system"), Fault.NO_PERMISSION),
        (OSError(errno.EIO, "Input/output error", "events.jsonl"), Fault.DISK_ERROR),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_the_cause_is_read_from_the_error_and_a_fault_of_the_code_stays_one(error: Exception, fault: Fault | None):
    assert machine_fault(error) is fault
    assert (translate(error) is None) == (fault is None)


def test_every_cause_has_a_sentence_and_what_to_do():
    for fault in Fault:
        example = {
            Fault.GPU_MEMORY: RuntimeError("CUDA out of memory"),
            Fault.MEMORY: MemoryError(),
            Fault.DISK_FULL: OSError(errno.ENOSPC, "No space left on device", "file"),
            Fault.DISK_ERROR: OSError(errno.EIO, "Input/output error", "file"),
            Fault.NO_PERMISSION: PermissionError(errno.EACCES, "Permission denied", "file"),
            Fault.GPU_LOST: RuntimeError("CUDA error: device not ready\nCompile with ..."),
            Fault.GPU_NOT_SUPPORTED: RuntimeError("CUDA error: no kernel image is available"),
        }[fault]
        error = translate(example)
        assert isinstance(error, HardwareError)
        assert error.message
        assert error.hint
        assert "\n" not in error.message


def test_a_full_disk_names_the_file():
    error = translate(OSError(errno.ENOSPC, "No space left on device", "adapter.safetensors"))
    assert error is not None
    assert error.where == "adapter.safetensors"


@pytest.mark.parametrize(
    "said",
    [
        "[enforce fail at inline_container.cc:672] . unexpected pos 2112 vs 2004",
        "[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file data/3: file write failed",
        "basic_ios::clear: iostream error",
    ],
)
def test_a_checkpoint_that_torch_cannot_write_is_a_matter_of_the_disk(said: str, tmp_path: Path) -> None:
    wanted = "checkpoint of step 3 could not be written: the disk is full"
    with pytest.raises(HardwareError, match=wanted), disk_errors("The checkpoint of step 3", tmp_path):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="shapes"), disk_errors("The checkpoint of step 3", tmp_path):
        raise RuntimeError("the shapes differ")


@pytest.mark.parametrize(
    ("number", "todo"),
    [(errno.EROFS, "owner and permissions"), (errno.EIO, "Check the disk"), (errno.ENOSPC, "Free some disk")],
)
def test_what_to_do_about_a_checkpoint_that_cannot_be_written_follows_from_the_cause(
    number: int, todo: str, tmp_path: Path
) -> None:
    with pytest.raises(HardwareError) as found, disk_errors("The checkpoint of step 3", tmp_path):
        raise OSError(number, os.strerror(number))
    assert todo in found.value.hint
    assert "resume the run" in found.value.hint
