"""Making a LiteRT export: a .tflite and a .litertlm of the merged model, and how they are served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.files import write_text
from studio.core.text import slug
from studio.export import toolchains
from studio.export.merging.source import Source, source_tokenizer
from studio.export.prompts import stop_token_ids
from studio.export.targets.litert.template import portable
from studio.export.targets.merged_model import WORK
from studio.models import chat
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.litert.settings import LitertTarget

PRESET = "preset.py"
"""The file of the system prompt, where one was trained."""


def write(target: LitertTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.tflite` and `.litertlm` into `out`, and the trained system prompt, if any, as `preset.py`.
    Returns details for the manifest.

    Raises ExportError if the toolchain is not installed or cannot convert the model.
    """
    context = target.tokens(source)
    folder = target.merged(source, out, reporter)
    tokenizer, ends = source_tokenizer(source), stop_token_ids(folder)
    work = out / WORK / "litert"
    work.mkdir(parents=True)
    files = {kind: out / f"{slug(source.name)}-{target.quant}.{kind}" for kind in ("tflite", "litertlm")}
    template = portable(chat.chat_template(tokenizer), tokenizer.special_tokens_map) if tokenizer.chat_template else None
    request = {"merged": folder, "work": work, **files, "quant": target.quant, "context": context, "template": template}
    request |= {"begin": begin(tokenizer), "ends": ends}
    done = toolchains.call("litert", "studio.export.targets.litert.convert:convert", request, reporter)
    for file in files.values():
        file.chmod(0o644)
    write_preset(source, out)
    return {
        **target.statement(source),
        "quant": target.quant,
        **target.cache(source, bytes_per_number=4),
        "stops_at": [tokenizer.decode([token]) for token in ends],
        **done,
    }


def write_preset(source: Source, out: Path) -> None:
    """Write the trained system prompt, if there is one, as `litert-lm run --preset` reads it: a Python file."""
    if source.system:
        write_text(out / PRESET, f"system_instruction = {source.first_messages[0]['content']!r}\n")


def begin(tokenizer: Any) -> int | None:
    """The id LiteRT-LM puts before a text. None with a template: where training has one, the template writes it."""
    first = tokenizer("a").input_ids[:1]
    return tokenizer.bos_token_id if not tokenizer.chat_template and first == [tokenizer.bos_token_id] else None


def only(folder: Path, kind: str) -> Path:
    """The export's file of this kind, `tflite` or `litertlm`."""
    return next(folder.glob(f"*.{kind}"))


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the file in `folder`; LiteRT-LM's own command is in its wheel."""
    name, file = slug(source.name), only(folder, "litertlm")
    there = folder / PRESET
    return [
        f"pip install litert-lm && litert-lm run {file}" + (f" --preset {there}" if there.exists() else ""),
        f"litert-lm import {file} {name} && litert-lm serve",
    ]
