"""What other libraries log and warn of, kept to what a person can act on. Their errors are still shown."""

from __future__ import annotations

import logging
import warnings

NOISY = ("bitsandbytes", "accelerate", "torchao", "torch.utils._pytree")
"""Loggers that write a line per layer or per import, or advice that is not for the person who reads ours."""


def quiet_loggers() -> None:
    """Errors alone from the loggers in `NOISY` and those below them, whether they exist yet or not; no warning that a kernel
    lacks the widgets of progress bars, which are not shown."""
    warnings.filterwarnings("ignore", message="IProgress not found")
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(NOISY):
            logging.getLogger(name).setLevel(logging.NOTSET)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
