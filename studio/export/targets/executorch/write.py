"""Making an ExecuTorch export: the merged model lowered to a .pte, and beside it what an application needs to talk to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ExportError
from studio.core.extras import refuse_if_missing
from studio.core.files import write_text
from studio.core.text import slug
from studio.export import toolchains
from studio.export.merging.source import Source, source_tokenizer
from studio.export.prompts import portable_template, stop_token_ids
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from studio.export.targets.executorch.settings import ExecutorchTarget


def write(target: ExecutorchTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.pte`, the tokenizer, the chat template and `prompt.txt`. Returns details for the manifest.

    Raises ExportError if the extra is not installed.
    """
    refuse_if_missing("target executorch", "executorch", target.PACKAGES, ExportError)
    context = target.tokens(source)
    folder = target.merged(source, out, reporter)
    tokenizer, ends = source_tokenizer(source), stop_token_ids(folder)
    file = out / f"{slug(source.name)}-{target.quant}.pte"
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else ends[0]
    request = {"merged": folder, "file": file, "quant": target.quant, "context": context, "ends": ends, "bos": bos}
    done = toolchains.call("executorch", "studio.export.targets.executorch.convert:convert", request, reporter)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / name, out / name)
    template = portable_template(tokenizer)
    if template:
        write_text(out / "chat_template.jinja", template)
        write_text(out / "prompt.txt", example(tokenizer, source))
    return {
        **target.statement(source),
        "quant": target.quant,
        **target.cache(source, bytes_per_number=4),
        "stops_at": [tokenizer.decode([token]) for token in ends],
        **done,
    }


def example(tokenizer: PreTrainedTokenizerBase, source: Source) -> str:
    """A question as the trained template writes it under the trained system prompt: what the runner, which knows neither, must
    be given."""
    from studio.models.chat import render

    return render(tokenizer, source.first_messages, prompt=True).text


def program(folder: Path) -> Path:
    """The export's .pte."""
    return next(folder.glob("*.pte"))


def serve(folder: Path) -> list[str]:
    """A command that answers `prompt.txt` in ExecuTorch's runner, the one that its demo applications for phones use."""
    question = "open('prompt.txt').read()" if (folder / "prompt.txt").exists() else "'Once'"
    lines = (
        "import executorch.kernels.quantized, executorch.extension.llm.runner as r; "
        f"r.TextLLMRunner('{program(folder)}', 'tokenizer.json').generate({question}, "
        "r.GenerationConfig(echo=False, temperature=0))"
    )
    return [f'pip install executorch && python -c "{lines}"']
