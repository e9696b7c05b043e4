"""Import the heavy libraries, once a process and as cheaply as they let themselves be imported.

Most of the time to a first step is their import: a million objects are made, and Python's garbage collector goes through
all of them again and again, there and ever after; bitsandbytes brings in a compiler for functions nobody calls. Without
either it is four CPU seconds instead of eight.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studio.core import noise

MODELS = ("transformers", "transformers.modeling_utils", "transformers.models.auto.modeling_auto", "peft")


def list_models() -> None:
    """Import `transformers.models`, the package that knows which models there are.

    transformers reads the source of all its models when it is imported, and again here, as its cache of 128 folders is
    too small for them; here the first result is used.
    """
    if "transformers.models" in sys.modules:
        return
    from transformers.utils import import_utils

    read = import_utils.create_import_structure_from_path
    import_utils.create_import_structure_from_path = lambda path: read(Path(path).parent)
    try:
        importlib.import_module("transformers.models")
    finally:
        import_utils.create_import_structure_from_path = read


def import_heavy() -> None:
    """Import what loading a model takes; what the libraries print goes to standard error.

    The first time, all that exists by then is put where the garbage collector does not look: no tensor is among it.
    """
    if all(name in sys.modules for name in MODELS):
        return
    first = "torch" not in sys.modules
    noise.quiet_loggers()
    with contextlib.redirect_stdout(sys.stderr), _not_collecting():
        with _compiling_when_called():
            if importlib.util.find_spec("bitsandbytes"):
                importlib.import_module("bitsandbytes")
        list_models()
        for name in MODELS:
            importlib.import_module(name)
        if first:
            gc.freeze()


@contextlib.contextmanager
def _not_collecting() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextlib.contextmanager
def _compiling_when_called() -> Iterator[None]:
    """Inside, a function given to torch.compile is compiled at its first call.

    bitsandbytes wraps functions at import that only its optimizers away from CUDA use; torch.compile imports its compiler
    when it wraps, not when it compiles (a second of CPU time).
    """
    import torch

    compile_now = torch.compile

    def later(model: Callable[..., Any] | None = None, **settings: Any) -> Callable[..., Any]:
        if model is None:  # used as `@torch.compile(...)`
            return functools.partial(later, **settings)
        made = functools.cache(lambda: compile_now(model, **settings))
        return functools.wraps(model)(lambda *args, **named: made()(*args, **named))

    torch.compile = later
    try:
        yield
    finally:
        torch.compile = compile_now
