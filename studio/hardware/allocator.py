"""How torch's allocator gets the GPU's memory: in segments that grow, where that works and the user said nothing else.

Segments that grow waste less memory. On WSL2, and with some drivers, the first allocation fails with them: there a run does
without. Read when torch is imported, so it stands in the environment before that.
"""

from __future__ import annotations

import os

from studio.hardware import machine

VARIABLE = "PYTORCH_CUDA_ALLOC_CONF"
NAMES = ("PYTORCH_ALLOC_CONF", VARIABLE)
"""What torch reads, the newer name first."""
EXPANDING = "expandable_segments:True"
FIXED = "expandable_segments:False"


class ExpandingRefused(Exception):
    """The first allocation failed with segments that grow: the process has to start again without them."""


def configure() -> None:
    """Write the settings into the environment, unless the user's are there."""
    if not any(name in os.environ for name in NAMES) and not machine.is_wsl():
        os.environ[VARIABLE] = EXPANDING


def described() -> str:
    """The settings that a run gets, in words."""
    own = next((f"{name}={os.environ[name]}" for name in NAMES if name in os.environ), "")
    if own:
        return own
    return "fixed segments: on WSL2 expandable ones can fail" if machine.is_wsl() else "expandable segments"


def try_first_allocation() -> None:
    """Allocate a few bytes on the GPU. Raises ExpandingRefused if that fails with segments that grow, set by `configure`.

    Whatever else is wrong with the GPU is left to those who load the model: they are asked again without such segments.
    """
    if os.environ.get(VARIABLE) != EXPANDING:
        return
    import torch

    try:
        torch.zeros(1, device="cuda")
    except torch.OutOfMemoryError:
        return
    except RuntimeError as error:
        raise ExpandingRefused(str(error).partition("\n")[0]) from error
