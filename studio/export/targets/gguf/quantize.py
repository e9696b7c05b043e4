"""Quantising a float GGUF file by llama.cpp itself (through `cyllama`'s prebuilt wheel), with an importance matrix."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import ExportError
from studio.export.llamacpp.runtime import INSTALL, missing, quiet
from studio.export.targets.gguf.importance import Importance

FTYPES = {"q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}
"""llama.h's LLAMA_FTYPE_MOSTLY_* of the formats that llama.cpp quantises; f16 and q8_0 are written directly."""


def refuse_if_missing(quant: str) -> None:
    """Raise ExportError if there is nothing to quantise with."""
    reason = missing()
    if reason:
        raise ExportError(
            f"{quant} needs llama.cpp's quantizer: {reason}",
            hint=f"{INSTALL}; or export quant f16 and run `llama-quantize IN.gguf OUT.gguf {quant.upper()}`.",
        )


def quantize(source: Path, out: Path, quant: str, threads: int = 1, importance: Importance | None = None) -> None:
    """Quantise a float GGUF file to `quant` of FTYPES. Raises ExportError if llama.cpp is missing or fails.

    importance: as measured on the model in `source`; check `takes_importance` first.
    """
    refuse_if_missing(quant)
    from cyllama.llama import llama_cpp

    with quiet():
        params = llama_cpp.LlamaModelQuantizeParams()
        params.ftype, params.nthread = FTYPES[quant], threads
        kept = _give(params, importance) if importance else None
        try:
            llama_cpp.model_quantize(str(source), str(out), params)
        except RuntimeError as problem:
            raise ExportError(f"llama.cpp could not quantise the file: {problem}", hint="Export quant q8_0 instead.") from None
        del kept


def takes_importance() -> bool:
    """True if this build of cyllama can be given an importance matrix."""
    if missing():
        return False
    from cyllama.llama import llama_cpp

    return _fields(llama_cpp.LlamaModelQuantizeParams()) is not None


class _Row(ctypes.Structure):
    """llama.h's llama_model_imatrix_data."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t))


class _Params(ctypes.Structure):
    """llama.h's llama_model_quantize_params as of llama.cpp b8700 and later."""

    _fields_ = (
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int32),
        ("output_tensor_type", ctypes.c_int32),
        ("token_embedding_type", ctypes.c_int32),
        ("flags", ctypes.c_bool * 6),
        ("imatrix", ctypes.c_void_p),
        ("kv_overrides", ctypes.c_void_p),
        ("tt_overrides", ctypes.c_void_p),
        ("prune_layers", ctypes.c_void_p),
    )


_FLAGS = ("allow_requantize", "quantize_output_tensor", "only_copy", "pure", "keep_split", "dry_run")


def _fields(params: Any) -> _Params | None:
    """The C struct inside cyllama's params, which gives `imatrix` no setter; None unless every field is where it should be.

    The object ends with the struct. Its place is proved by two rare values written through the properties, all other
    values read back, and the four pointers being null, before anything is written.
    """
    place = type(params).__basicsize__ - ctypes.sizeof(_Params)
    if place < object.__basicsize__:
        return None
    found = _Params.from_address(id(params) + place)
    before = params.nthread, params.ftype
    params.nthread, params.ftype = 0x1D872B41, 0x2C96A3F5
    marked = struct.pack("<ii", 0x1D872B41, 0x2C96A3F5) == bytes(found)[:8]
    params.nthread, params.ftype = before
    alike = all(getattr(found, name) == getattr(params, name) for name in ("output_tensor_type", "token_embedding_type"))
    flags = list(found.flags) == [bool(getattr(params, name)) for name in _FLAGS]
    null = not any((found.imatrix, found.kv_overrides, found.tt_overrides, found.prune_layers))
    return found if marked and alike and flags and null else None


def _give(params: Any, importance: Importance) -> Any:
    """Point the params at the matrix; what is returned must live as long as they are used."""
    found = _fields(params)
    if found is None:
        raise ExportError("this build of cyllama takes no importance matrix", hint=f"{INSTALL}==0.2.18")
    columns = {name.encode(): np.ascontiguousarray(values, np.float32) for name, values in importance.columns.items()}
    pointer = ctypes.POINTER(ctypes.c_float)
    rows = (_Row * (len(columns) + 1))(
        *(_Row(name, values.ctypes.data_as(pointer), values.size) for name, values in columns.items())
    )
    found.imatrix = ctypes.addressof(rows)
    return rows, columns
