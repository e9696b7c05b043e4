"""The state of a model and of other libraries while something is computed, and as it was before afterwards."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No gradients and no dropout inside; the mode there was before after it."""
    import torch

    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Third parties keep to errors: no progress bars, no line per layer, nothing on standard output."""
    with contextlib.redirect_stdout(sys.stderr):  # transformers prints a line about W&B when it is imported
        import transformers

    names = ("bitsandbytes", "transformers", "accelerate", "peft", "torch")
    before = {name: logging.getLogger(name).level for name in names}
    verbosity = transformers.logging.get_verbosity()
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
