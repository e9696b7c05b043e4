"""What each GGUF format costs, on a run: bits a weight, KL to the merged model, exact match.

Every held-out answer of the run counts. Without RUN, the demo is run first. Usage: python bench/quantising.py [RUN_FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from studio.export.llamacpp import runtime, writer
from studio.export.llamacpp.files import ending_of
from studio.export.make import Source
from studio.export.merging.source import source_tokenizer
from studio.export.targets.gguf import quantize
from studio.export.targets.merged_model import merged_folder
from studio.export.verification import answers
from studio.export.verification.loading import load_exact
from studio.tracking.reporter import Silent


def main() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else demo(work)
        measure(run, work)


def demo(work: Path) -> Path:
    """A finished demo run."""
    subprocess.run([sys.executable, "-m", "studio", "demo", "--home", work / "home"], check=True, stdout=subprocess.DEVNULL)
    return next((work / "home" / "runs").iterdir())


def measure(run: Path, work: Path) -> None:
    """The table of one run."""
    from studio import pipeline
    from studio.runs.folder import RunFolder
    from studio.runs.rows import held_out_rows

    folder = RunFolder(run)
    prepared = pipeline.reopen(folder)
    source = Source(prepared.base_model, prepared.spec.model, folder.adapter, "bench", folder.exports)
    tokenizer = source_tokenizer(source)
    merged = merged_folder(source, source.onto(None), work, Silent())
    model = load_exact(source, merged)
    held_out = held_out_rows(folder)
    cases = [answers.case(row, tokenizer) for row in held_out]
    expected = answers.forced(answers.Transformers(model, None), cases, Silent())

    f16, ending = work / "f16.gguf", ending_of(merged, tokenizer)
    writer.write(merged, f16, "f16", name="bench", ending=ending, template=None)
    q8_0 = work / "q8_0.gguf"
    writer.write(merged, q8_0, "q8_0", name="bench", ending=ending, template=None)
    positions = sum(len(case.positions) for case in cases)
    print(f"{len(cases)} held-out rows, {positions} answer tokens, {source.parameters / 1e6:.1f} M weights\n")
    print("| format | bits a weight | KL to merged | exact match |")
    print("|---|---|---|---|")
    files = {"f16": f16, "q8_0": q8_0}
    for quant in ("q6_k", "q5_k_m", "q4_k_m"):
        files[quant] = work / f"{quant}.gguf"
        quantize.quantize(f16, files[quant], quant)
    for name, file in files.items():
        show(name, file, far(file, cases, expected), held_out, cases, tokenizer)


def far(file: Path, cases: list[Any], expected: answers.Forced) -> list[np.ndarray]:
    """KL at every answer token, by row."""
    with runtime.opened(file, max(len(case.ids) for case in cases) + 1) as asked:
        return [
            answers.distances([answers.Forced([tokens], [logp])], asked, [case], Silent())[0].kl * np.ones(len(case.positions))
            for case, tokens, logp in zip(cases, expected.tokens, expected.logp, strict=True)
        ]


def show(
    name: str,
    file: Path,
    kl: list[np.ndarray],
    held_out: list[Any],
    cases: list[Any],
    tokenizer: Any,
) -> None:
    """One line."""
    from studio.models.generation import read

    with runtime.opened(file, 512) as asked:
        said = asked.greedy([case.prompt for case in cases], 64)
    right = np.mean([read(ids, tokenizer)[0] == row.answer.strip() for (ids, _), row in zip(said, held_out, strict=True)])
    bits = writer.stored(file).bits_per_weight
    print(f"| {name} | {bits:.2f} | {np.concatenate(kl).mean():.2e} | {right:.1%} |", flush=True)


if __name__ == "__main__":
    main()
