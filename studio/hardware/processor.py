"""What the CPU is called and which instructions for matrices it has, as the kernel says."""

from __future__ import annotations

import os
import platform
from pathlib import Path

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Instructions by which a CPU multiplies bfloat16 in hardware."""
NARROW = frozenset({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"})
"""Ceilings of `ONEDNN_MAX_CPU_ISA` below which torch's products emulate bfloat16, whatever the CPU has."""


def name_and_instructions() -> tuple[str, frozenset[str]]:
    """The CPU's name, and those of `avx2 avx512f avx512_bf16 amx_bf16` that torch's products use."""
    name, flags = platform.processor() or platform.machine(), frozenset[str]()
    for line in _cpu_info().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = " ".join(value.split())
        elif key.strip() == "flags":
            flags = frozenset(value.split()) & {"avx2", "avx512f", *BF16_FLAGS}
            break
    narrowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in NARROW
    return name, flags - BF16_FLAGS if narrowed else flags


def _cpu_info() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
