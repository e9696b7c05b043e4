"""What is said of an export before the work, and what it then takes: size, CPU seconds, memory; and what it answers.

Every target is made of a finished run by `studio export`, one after the other, each with its processes watched; then the
export is asked held-out questions by `bench/exports/answers.py`, through its runtime's own interface, beside base + adapter in
plain peft. Memory is the sum of what its processes hold (shared pages once). Takes about an hour on SmolLM2-135M.

    studio demo --model smollm2
    python bench/exports/table.py RUN [--home DIR] [--only gguf-q8_0 onnx-int8] [--name smollm2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
LEFT_OUT = {"gguf_adapter": "needs a GGUF file of the base", "coreml": "runs on Apple devices only"}


def targets() -> list[tuple[str, str]]:
    """Every kind with each of its quantizations."""
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
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([*words, "--json"], stdout=out, stderr=err)
        watched = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, held(watched))
            time.sleep(0.25)
        out.seek(0)
        made = json.loads(out.read() or "{}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        return {"failed": str(made.get("error", made))[:240]}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "bytes": made["bytes"],
        "cpu_seconds": round(cpu, 1),
        "seconds": round(time.monotonic() - begun, 1),
        "peak_bytes": peak,
        "status": made["status"],
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
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [json.loads(line)["answer"] for line in said.splitlines() if line.startswith('{"answer"')]


def write_questions(run: Any, folder: Path, file: Path) -> None:
    """Held-out questions of the run, spread over all of them, as the template of the export in `folder` writes them."""
    from transformers import AutoTokenizer

    from studio.export.verification.probe import spread
    from studio.runs.rows import held_out_rows

    words = AutoTokenizer.from_pretrained(folder)
    prompts = [row.prompt for row in spread(held_out_rows(run.folder), QUESTIONS)]
    texts = [words.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True) for prompt in prompts]
    file.write_text(json.dumps([{"text": text, "messages": list(prompt)} for text, prompt in zip(texts, prompts, strict=True)]))


def main() -> None:
    """Make, watch, ask; keep the table."""
    from studio.app import runs
    from studio.models import loading

    options = argparse.ArgumentParser()
    options.add_argument("run")
    options.add_argument("--home")
    options.add_argument("--only", nargs="*", default=[])
    options.add_argument("--name", default="smollm2")
    chosen = options.parse_args()
    run = runs.find(chosen.run, chosen.home)
    kept: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    table = kept.setdefault(chosen.name, {})
    table["conditions"] = {"date": time.strftime("%Y-%m-%d"), "load_before": os.getloadavg()[0], "threads": os.cpu_count()}
    found: dict[str, Any] = table.setdefault("targets", {})
    home = ["--home", chosen.home] if chosen.home else []
    base = str(loading.find(run.folder.resolved_spec().model).path_or_id)
    with tempfile.TemporaryDirectory() as scratch:
        questions, known = Path(scratch) / "questions.json", list[str]()
        for kind, quant in targets():
            name = f"{kind}-{quant}" if quant else kind
            if chosen.only and name not in chosen.only:
                continue
            words = [sys.executable, "-m", "studio", "export", run.id, "--to", kind, *(["--quant", quant] if quant else [])]
            said = json.loads(subprocess.check_output([*words, *home, "--dry-run", "--json"], text=True))
            made = make([*words, *home])
            row: dict[str, Any] = {
                "said": {key: said[key] for key in ("bytes", "disk", "memory", "seconds", "note")},
                "took": made,
            }
            if "failed" not in made and kind not in LEFT_OUT:
                folder = run.folder.exports / made["folder"]
                if not known:
                    write_questions(run, run.folder.exports / "adapter", questions)
                    known = answers("adapter", run.folder.exports / "adapter", questions, base)
                there = answers(kind, folder, questions, base if kind == "adapter" else "")
                row["same_answers"] = sum(one == two for one, two in zip(known, there, strict=True))
                row["asked"] = len(known)
            elif kind in LEFT_OUT:
                row["not_asked"] = LEFT_OUT[kind]
            found[name] = row
            print(name, json.dumps(row), flush=True)
            RESULT.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
