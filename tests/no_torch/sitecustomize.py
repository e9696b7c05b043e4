"""No torch in this process: imported by the fast lane, and by Python itself at the start of each of its child processes."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class NoTorch:
    """An import finder that finds torch, as code that only asks whether it is installed expects, and refuses to load it."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of torch with this class as its loader; every other module is left to the next finder."""
        spec = PathFinder.find_spec(name) if name == "torch" else None
        if spec is not None:
            spec.loader = cls()  # pyright: ignore[reportAttributeAccessIssue]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Refuse."""
        raise ImportError("a test of the fast lane imports torch: mark the test with pytest.mark.torch, or do without")

    def exec_module(self, module: ModuleType) -> None:
        """Never reached."""


sys.meta_path.insert(0, NoTorch)
