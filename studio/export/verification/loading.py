"""Loading a model folder from disk as its users would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.core.text import size
from studio.export.merging.merge import quiet
from studio.export.merging.source import Source
from studio.export.verification.result import Check
from studio.hardware import machine as machines
from studio.hardware.machine import Machine

_FAULTS = ("missing_keys", "unexpected_keys", "mismatched_keys")


def load_merged(folder: Path, dtype: str, on_gpu: bool) -> tuple[Any, str]:
    """The model in `folder` in evaluation mode, and what was wrong with its weights (nothing, if all is well).

    on_gpu: as many layers on the GPU as fit there, the others in main memory. On a CPU that emulates 16 bit it computes in
    fp32, as its reference does.
    """
    from transformers import AutoModelForCausalLM

    from studio.models.widening import widened

    with quiet():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, device_map="auto" if on_gpu else None, output_loading_info=True
        )
    model, report = loaded
    faults = [f"{kind.split('_')[0]}: {sorted(map(str, report[kind]))[:3]}" for kind in _FAULTS if report.get(kind)]
    return widened(model.eval(), "cuda" if on_gpu else "cpu"), "; ".join(faults)


def beyond_gpu(folder: Path, machine: Machine) -> str:
    """What to know where the weights in `folder` do not fit on the GPU beside what is there: less is then checked."""
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if machine.gpu is None or weights <= machine.gpu.free:
        return ""
    return (
        f"the merged model ({size(weights)}) is larger than the free memory of {machine.gpu.name} ({size(machine.gpu.free)}): "
        "part of it is read from RAM for every token. It is compared with base + adapter token by token; the questions of the "
        "evaluation are not answered again, which would take many times as long"
    )


def load_exact(source: Source, folder: Path) -> Any:
    """The model in `folder`, in float32 if memory allows: what a conversion of it is measured against."""
    machine = machines.probe()
    need = source.parameters * 5
    on_gpu = machine.gpu is not None and machine.gpu.free > need
    exact = on_gpu or machine.ram_free > need
    return load_merged(folder, "float32" if exact else "auto", on_gpu)[0]


def weights_complete(faults: str) -> Check:
    """The check that no weight was missing, left over or of another shape."""
    return Check("weights_complete", not faults, True, not faults, faults or "no weight is missing, left over or misshapen")


def version(package: str) -> str:
    """The installed version of a package."""
    import importlib.metadata

    return importlib.metadata.version(package)
