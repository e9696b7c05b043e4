"""Fragments of exports: what is there, verified or not, how to serve it; what is being made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.core.text import size
from studio.ui.fragments.parts import badge, error, number, progress, section, sentence, text, when

WHAT = {
    "adapter": "The adapter alone, a few megabytes; it needs its base model. For peft and vLLM.",
    "merged": "One full model. For transformers, vLLM, SGLang and TensorRT-LLM.",
    "gguf-f16": "One file without loss. For llama.cpp, Ollama and LM Studio.",
    "gguf-q8_0": "One file, half the size, hardly any loss. For llama.cpp, Ollama and LM Studio.",
    "gguf-q4_k_m": "One file, a quarter of the size, for small machines. For llama.cpp, Ollama and LM Studio.",
}


def made(run: str, artifacts: Sequence[dict[str, Any]]) -> str:
    """The exports of a run, each with its verification, a download and the command that serves it."""
    if not artifacts:
        return section("Exports") + '<p class="note">None yet. Choose one above.</p>'
    return section("Exports") + "".join(_one(run, item) for item in artifacts)


def _one(run: str, item: dict[str, Any]) -> str:
    found = item["verification"]
    passed = found.get("passed")
    unrun = item["status"] if found.get("checks") else "not run here"
    state = {True: badge("verified", "good"), False: badge("not verified", "bad")}.get(passed, badge(unrun, "warn"))
    marks = {True: "✓", False: "✗", None: "·"}
    checks = "".join(
        f"<li>{marks[check['passed']]} {text(check['name'])}: {text(number(check['value']))} "
        f"<span class='soft'>{text(check['explanation'])}</span></li>"
        for check in found.get("checks", [])
    )
    serving = "".join(command(line) for line in item.get("serve", []))
    folder = text(item["folder"])
    return (
        f'<div class="sample"><div class="verdict">{state}<span>{folder}</span><small class="soft">{text(size(item["bytes"]))}</small></div>'
        f"<details><summary>How it was checked</summary><ul>{checks}</ul></details>"
        f'<div class="links" style="margin:12px 0"><a class="link-button" href="/download/{text(run)}/export/{folder}" download>Download</a></div>'
        f"{'<p class=note>Serve it with</p>' + serving if serving else ''}</div>"
    )


def command(line: str) -> str:
    """A command with a button that copies it."""
    return (
        f'<div class="command" style="margin-top:6px"><code>{text(line)}</code>'
        f'<button type="button" data-copy="{text(line)}" aria-label="Copy the command">Copy</button></div>'
    )


def working(works: Sequence[Any]) -> str:
    """What is being made, and what failed the last time."""
    html = ""
    for item in works:
        if item.state == "running":
            html += progress(0, 0, f"Making and checking {item.target}, since {when(item.begun)}")
        elif item.state == "failed" and item.error:
            html += f'<p class="note">{text(sentence(f"{item.target} was not made"))}</p>{error(item.error)}'
    return html


def sizes(found: dict[str, int]) -> dict[str, str]:
    """What each target is, with its size."""
    return {name: f"{what}{f' About {size(found[name])}.' if name in found else ''}" for name, what in WHAT.items()}
