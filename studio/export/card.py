"""The README of an exported folder: what it is, what it was merged into, how near it answers, how to serve it."""

from __future__ import annotations

from studio.core.text import size
from studio.export import evidence
from studio.export.artifact import STRUCTURAL, Artifact, Verification
from studio.export.source import Source

_LIBRARY = {"adapter": "peft", "merged": "transformers", "gguf": "llama.cpp"}


def card(source: Source, artifact: Artifact) -> str:
    """The folder's README in Markdown, with the front matter that the hub reads."""
    front = {
        "library_name": _LIBRARY.get(artifact.kind, artifact.kind),
        "base_model": source.base_name if "/" in source.base_name else None,
        "license": source.base.license,
        "pipeline_tag": "text-generation",
    }
    lines = ["---", *(f"{key}: {value}" for key, value in front.items() if value), "---", f"# {source.name}", ""]
    lines += [str(artifact.details.get("statement", "")), ""]
    lines += [
        f"Base model: {source.base_name}, licence: {source.base.license or 'see the base model'}, which holds for this one.",
        "",
    ]
    lines += ["## How near it answers", "", verdict(artifact.verification), ""]
    if artifact.verification.checks:
        lines += ["| check | value | limit | |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {check.name} | {_shown(check.value)} | {_shown(check.threshold)} | {check.explanation} |"
            for check in artifact.verification.checks
        ]
        lines.append("")
    if artifact.verification.evidence:
        lines += ["## What it cost", "", *evidence.table(artifact.verification.evidence)]
    lines += ["## Serve it", ""]
    lines += (
        ["In this folder:", "", "```", *artifact.serve, "```", ""]
        if artifact.serve
        else ["Servers take the `merged` export.", ""]
    )
    if artifact.kind == "adapter":
        lines += [
            "```python",
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            f'base = AutoModelForCausalLM.from_pretrained("{source.base_name}")',
            'model, tokenizer = PeftModel.from_pretrained(base, "."), AutoTokenizer.from_pretrained(".")',
            "```",
            "",
        ]
    lines.append(f"Files, hashes, sources and tool versions: `artifact.json` ({size(artifact.bytes)}).")
    return "\n".join(lines) + "\n"


def verdict(found: Verification) -> str:
    """The verification in one or two sentences."""
    if found.verdict == STRUCTURAL:
        return f"**{found.note[0].upper()}{found.note[1:]}**"
    runs = f"Loaded in {found.runtime} and compared with base + adapter on held-out prompts"
    said = {True: f"{runs}: every check passed.", False: f"{runs}: **failed**.", None: f"**Not verified**: {found.note}"}
    extra = f" {found.note}" if found.passed is not None and found.note else ""
    return said[found.passed] + extra


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
    return str(value)
