"""Exporters whose packages contradict the studio's own, each in an environment of its own.

`studio exporters install NAME` makes one from its lock file; `call` runs a function in it and `Remote` asks a model that is
loaded in it, both in a process of their own.
"""

from studio.export.toolchains.known import ENVIRONMENTS, Environment, Status, missing, python, ready, status, statuses
from studio.export.toolchains.making import install, remove
from studio.export.toolchains.remote import Remote, call

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "Remote",
    "Status",
    "call",
    "install",
    "missing",
    "python",
    "ready",
    "remove",
    "status",
    "statuses",
]
