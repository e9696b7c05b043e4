"""The starter model: a real, very small chat model that ships with the studio.

What it is: a 3.5 M parameter Llama-shaped model (4 layers, hidden 256, tied embeddings, 2048-token byte-level BPE,
ChatML template), pre-trained from nothing on text this package writes itself (`text.py`), by the committed recipe
(`python -m studio.models.starter.recipe`). It answers simple questions in plain English, reads short contexts, and
learns a few dozen new facts in about a minute on one CPU core. It lets the demo, the tests and a first look run
without a model hub, a GPU or a network.

What it is not: a useful assistant. It knows a few hundred facts, writes one or two sentences, and makes up the rest.
"""

from pathlib import Path


def folder() -> Path:
    """The folder of the shipped weights; plain `transformers` loads it with `from_pretrained`."""
    return Path(__file__).resolve().parent / "weights"


def general() -> Path:
    """The general questions of the starter's own world: what it knows before it is tuned on anything."""
    return Path(__file__).resolve().parent / "general.jsonl"
