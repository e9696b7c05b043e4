"""What is said of an export before the work, and what it then takes: size, CPU seconds, memory; and what it answers.

Every target is made of a finished run by `studio export`, one after the other, each with its processes watched; then the
export is asked held-out questions by `bench/exports/answers.py`, through its runtime's own interface, beside base + adapter in
plain peft. Memory is the sum of what its processes hold (shared pages once). Each row is kept as it is done, and a target that
has one is left out: stopped, the script goes on where it was.

    studio demo --model smollm2
    python bench/exports/table.py RUN [--home DIR] [--only gguf-q8_0 onnx-int8] [--again] [--name smollm2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path[0] = str(Path(__file__).parents[2])  # not this folder: its file names are not modules' names
RESULT = Path(__file__).parents[1] / "results" / "export-table.json"
QUESTIONS = 20
LEFT_OUT = {"coreml": "runs on Apple devices only"}
SECONDS = 1800
"""Most that one target may take."""


def targets() -> list[tuple[str, str]]:
    """Every kind with each of its quantizations; `adapter` and `merged`, which others use, first."""
    from typing import get_args

    from studio.export.targets import AnyTarget

    found = []
    for target in get_args(get_args(AnyTarget)[0]):
        quants = get_args(target.model_fields["quant"].annotation) if "quant" in target.model_fields else ("",)
        found += [(str(target.model_fields["kind"].default), quant) for quant in quants]
    return found


def held(process: psutil.Process) -> int:
    """Bytes that a process and its children hold, pages they share counted once."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def make(words: list[str]) -> dict[str, Any]:
    """Run one export; what it took."""
    before, begun, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL)
        watched = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, held(watched))
            if time.monotonic() - begun > SECONDS:
                child.terminate()
            time.sleep(0.25)
        out.seek(0)
        said = out.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = json.loads(said) if said.strip() else {}
    if child.returncode:
        return {"failed": str(made.get("error") or made.get("status") or f"ended with {child.returncode}")[:240]}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    checks = {check["name"]: check["value"] for check in made["verification"]["checks"]}
    return {
        "bytes": made["bytes"],
        "cpu_seconds": round(cpu, 1),
        "seconds": round(time.monotonic() - begun, 1),
        "peak_bytes": peak,
        "load": round(os.getloadavg()[0], 1),
        "status": made["status"],
        "kl_mean": checks.get("kl_mean"),
        "evidence_change": checks.get("evidence"),
        "greedy_identical": checks.get("greedy_identical"),
        "folder": made["folder"],
    }


def interpreter(kind: str) -> Path:
    """The Python that has the runtime of a kind."""
    from studio.export import toolchains

    name = {"litert": "litert", "merged_4bit": "compress"}.get(kind)
    return toolchains.python(name) if name else Path(sys.executable)


def answers(kind: str, folder: Path, questions: Path, base: str = "") -> list[str]:
    """What an export answers, by its runtime alone."""
    script = Path(__file__).with_name("answers.py")
    words = [str(interpreter(kind)), str(script), kind, str(folder), str(questions), *([base] if base else [])]
    asked = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
    if asked.returncode:
        raise RuntimeError((asked.stderr.strip().splitlines() or ["no answer"])[-1])
    return [json.loads(line)["answer"] for line in asked.stdout.splitlines() if line.startswith('{"answer"')]


def write_questions(run: Any, folder: Path, file: Path) -> None:
    """Held-out questions of the run, spread over all of them, as the template of the export in `folder` writes them."""
    from transformers import AutoTokenizer

    from studio.export.verification.probe import spread
    from studio.runs.rows import held_out_rows

    words = AutoTokenizer.from_pretrained(folder)
    prompts = [row.prompt for row in spread(held_out_rows(run.folder), QUESTIONS)]
    texts = [words.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True) for prompt in prompts]
    file.write_text(json.dumps([{"text": text, "messages": list(prompt)} for text, prompt in zip(texts, prompts, strict=True)]))


class Asked:
    """The questions, and what base + adapter answer in plain peft: asked once."""

    def __init__(self, run: Any, scratch: Path) -> None:
        from studio.evaluation.report import Report
        from studio.export.pace import answered_tokens
        from studio.models import loading

        self.tokens = answered_tokens(Report.read(run.folder.report))
        self.run, self.scratch, self.questions = run, scratch, scratch / "questions.json"
        self.base = str(loading.find(run.folder.resolved_spec().model).path_or_id)
        self.known: list[str] = []

    def compare(self, kind: str, folder: Path) -> dict[str, Any]:
        """How many answers of an export are those of base + adapter."""
        if not self.known:
            adapter = self.run.folder.exports / "adapter"
            write_questions(self.run, adapter, self.questions)
            self.known = answers("adapter", adapter, self.questions, self.base)
        there = answers(kind, folder, self.questions, self._beside(kind))
        return {"same_answers": sum(one == two for one, two in zip(self.known, there, strict=True)), "asked": len(there)}

    def _beside(self, kind: str) -> str:
        """What an adapter is loaded on: the base, or a GGUF file of it."""
        if kind != "gguf_adapter":
            return self.base if kind == "adapter" else ""
        from studio import pipeline
        from studio.export.llamacpp import files, writer
        from studio.export.merging import merge, source
        from studio.export.prompts import portable_template

        file, folder = self.scratch / "base.gguf", self.scratch / "base"
        if not file.exists():
            of = pipeline.export_source(self.run.folder, pipeline.reopen(self.run.folder))
            merge.write_base(of, "original", merge.saved_dtype(of, None), folder)
            words = source.source_tokenizer(of)
            ending, template = files.ending_of(folder, words), portable_template(words)
            writer.write(folder, file, "f16", name="base", ending=ending, template=template)
        return str(file)


def row(run: Any, home: list[str], kind: str, quant: str, asking: Asked) -> dict[str, Any]:
    """A line of the table: what was said, what it took, what it answers."""
    words = [sys.executable, "-m", "studio", "export", run.id, "--to", kind, *(["--quant", quant] if quant else [])]
    said = json.loads(subprocess.check_output([*words, *home, "--dry-run", "--json"], text=True))
    shutil.rmtree(said["folder"], ignore_errors=True)  # one that is there would be left alone
    made = make([*words, *home, "--json"])
    found: dict[str, Any] = {
        "said": {key: said[key] for key in ("bytes", "disk", "memory", "seconds", "note")},
        "took": {**made, "tokens": asking.tokens},
    }
    if kind in LEFT_OUT:
        return {**found, "not_asked": LEFT_OUT[kind]}
    if "failed" in made:
        return found
    try:
        return {**found, **asking.compare(kind, run.folder.exports / made["folder"])}
    except RuntimeError as problem:
        return {**found, "not_asked": str(problem)}


def main() -> None:
    """Make, watch, ask; keep the table."""
    from studio.app import runs

    options = argparse.ArgumentParser()
    options.add_argument("run")
    options.add_argument("--home")
    options.add_argument("--only", nargs="*", default=[])
    options.add_argument("--again", action="store_true", help="also the targets that have a row")
    options.add_argument("--name", default="smollm2")
    options.add_argument("--result", type=Path, default=RESULT)
    chosen = options.parse_args()
    run = runs.find(chosen.run, chosen.home)
    home = ["--home", chosen.home] if chosen.home else []
    with tempfile.TemporaryDirectory() as scratch:
        asking = Asked(run, Path(scratch))
        for kind, quant in targets():
            name = f"{kind}-{quant}" if quant else kind
            kept: dict[str, Any] = json.loads(chosen.result.read_text()) if chosen.result.exists() else {}
            found: dict[str, Any] = kept.setdefault(chosen.name, {}).setdefault("targets", {})
            if (chosen.only and name not in chosen.only) or (name in found and not chosen.again):
                continue
            found[name] = row(run, home, kind, quant, asking)
            print(name, json.dumps(found[name]), flush=True)
            chosen.result.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
