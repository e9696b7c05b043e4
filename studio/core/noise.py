"""Other libraries' loggers, kept to what a person can act on. Their errors are still told."""

from __future__ import annotations

import logging

NOISY = ("bitsandbytes", "accelerate", "torchao", "torch.utils._pytree")
"""Loggers that write a line per layer or per import, or advice that is not for the person who reads ours."""


def quiet_loggers() -> None:
    """Errors alone from the loggers in `NOISY` and those below them, whether they exist yet or not."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(NOISY):
            logging.getLogger(name).setLevel(logging.NOTSET)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
