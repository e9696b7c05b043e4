"""The adapters and the GGUF file that the tests of serving make are what is measured here."""

from __future__ import annotations

from tests.serving.conftest import adapters, gguf

__all__ = ["adapters", "gguf"]
