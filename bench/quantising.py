"""What each GGUF format costs, on a run: size, KL to the merged model without and with an importance matrix, exact match.

Every held-out answer of the run counts. Without RUN, the demo is run first. Usage: python bench/quantising.py [RUN_FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from studio.export.verification.checks import load_exact

from studio.export.llamacpp import architectures, runtime, writer
from studio.export.llamacpp.files import ending_of
from studio.export.make import Source
from studio.export.targets.gguf import importance, quantize
from studio.export.targets.gguf import k_quants as gguf_quant
from studio.export.targets.merged_model import merged_folder
from studio.export.verification import answers
from studio.export.verification.reference import source_tokenizer
from studio.tracking.reporter import Silent

TOKENS = (512, 2048, gguf_quant.TOKENS, 16_384)


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
    from studio.data import encode
    from studio.runs.folder import RunFolder

    folder = RunFolder(run)
    prepared = pipeline.reopen(folder)
    source = Source(prepared.found, prepared.spec.model, folder.adapter, "bench", folder.exports)
    tokenizer = source_tokenizer(source)
    merged = merged_folder(source, source.onto(None), work, Silent())
    model = load_exact(source, merged)
    held_out = pipeline.held_out_rows(folder)
    cases = [answers.case(row, tokenizer) for row in held_out]
    expected = answers.forced(answers.Transformers(model, None), cases, Silent())

    rows = encode.load(folder.data / "train.tokens")
    arch = architectures.layout(source.base_config).name
    matrices = {}
    for tokens in TOKENS:
        chosen = [rows[place][0].tolist() for place in importance.sample(rows.lengths, tokens)]
        found = importance.importance(model, chosen, arch, Silent())
        matrices[found.tokens] = found

    f16, ending = work / "f16.gguf", ending_of(merged, tokenizer)
    writer.write(merged, f16, "f16", name="bench", ending=ending, template=None)
    q8_0 = work / "q8_0.gguf"
    writer.write(merged, q8_0, "q8_0", name="bench", ending=ending, template=None)
    positions = sum(len(case.positions) for case in cases)
    print(f"{len(cases)} held-out rows, {positions} answer tokens, {source.parameters / 1e6:.1f} M weights\n")
    print("| format | bits a weight | importance matrix | KL to merged | change, 95 % interval | exact match |")
    print("|---|---|---|---|---|---|")
    for name, file in (("f16", f16), ("q8_0", q8_0)):
        show(name, file, "–", far(file, cases, expected), None, held_out, cases, tokenizer)
    for quant in ("q6_k", "q5_k_m", "q4_k_m"):
        file = work / f"{quant}.gguf"
        quantize.quantize(f16, file, quant)
        plain = far(file, cases, expected)
        show(quant, file, "none", plain, None, held_out, cases, tokenizer)
        for tokens, matrix in matrices.items():
            quantize.quantize(f16, file, quant, importance=matrix)
            show(quant, file, f"{tokens:,} tokens", far(file, cases, expected), plain, held_out, cases, tokenizer)


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
    matrix: str,
    kl: list[np.ndarray],
    plain: list[np.ndarray] | None,
    held_out: list[Any],
    cases: list[Any],
    tokenizer: Any,
) -> None:
    """One line."""
    from studio.models.generation import read

    with runtime.opened(file, 512) as asked:
        said = asked.greedy([case.prompt for case in cases], 64)
    right = np.mean([read(ids, tokenizer)[0] == row.answer.strip() for (ids, _), row in zip(said, held_out, strict=True)])
    moved = "–" if plain is None else change(plain, kl)
    bits = writer.stored(file).bits_per_weight
    print(f"| {name} | {bits:.2f} | {matrix} | {np.concatenate(kl).mean():.2e} | {moved} | {right:.1%} |", flush=True)


def change(before: list[np.ndarray], after: list[np.ndarray]) -> str:
    """The change of the mean with its interval, by a bootstrap over rows."""
    draws = np.random.default_rng(0).integers(len(before), size=(2000, len(before)))
    moved = np.array([now.sum() - then.sum() for then, now in zip(before, after, strict=True)])
    count = np.array([len(row) for row in before])
    means = moved[draws].sum(1) / count[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{moved.sum() / count.sum():+.1e} ({low:+.1e} to {high:+.1e})"


if __name__ == "__main__":
    main()
