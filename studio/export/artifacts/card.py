"""The model card of an export: what it is, from what, how good with which certainty, how it was checked, how to run it.

Valid for the hub. It holds no row of the data, no place on this machine and no secret.
"""

from __future__ import annotations

from typing import Any

import yaml

from studio.core.text import size
from studio.evaluation import table as tables
from studio.evaluation.report import Report
from studio.export.artifacts.front_matter import front_matter
from studio.export.artifacts.manifest import STRUCTURAL, Artifact, Verification
from studio.export.artifacts.run_info import About, cell, named, shown
from studio.export.merging.source import Source
from studio.export.verification import evidence


def card(source: Source, artifact: Artifact) -> str:
    """The folder's README in Markdown, with the front matter that the hub reads."""
    parts = [
        [f"# {source.name}", "", str(artifact.details.get("statement", "")), ""],
        _base(source),
        _data(source.about),
        _evidence(source.about.report),
        _verification(artifact),
        _use(source),
        _running(source, artifact),
        _settings(source.about),
        [f"Files, hashes, sources and tool versions: `artifact.json`. All files together take {size(artifact.bytes)}."],
    ]
    head = ["---", front_matter(source, artifact), "---"]
    return "\n".join([*head, *(line for part in parts for line in part)]) + "\n"


def verdict(found: Verification) -> str:
    """The verification in one or two sentences."""
    if found.verdict == STRUCTURAL:
        return f"**{found.note[0].upper()}{found.note[1:]}**"
    runs = f"Loaded in {found.runtime} and compared with base + adapter on held-out prompts"
    said = {True: f"{runs}: every check passed.", False: f"{runs}: **failed**.", None: f"**Not verified**: {found.note}"}
    extra = f" {found.note}" if found.passed is not None and found.note else ""
    return said[found.passed] + extra


def _base(source: Source) -> list[str]:
    from studio.models.presets import preset

    license = source.base.license
    known = preset(source.base_name)
    commit = f" at commit `{source.base.revision}`" if source.base.revision else ""
    said = f"Licence: {license}, which holds for this model too." if license else "Licence: that of the base model, see there."
    lines = ["## Base model and licence", "", f"Trained on {source.base_name}{commit}. {said}"]
    if known and known.license_note:
        lines += ["", known.license_note]
    return [*lines, ""]


def _data(about: About) -> list[str]:
    if not about.data:
        return []
    totals, split = about.data.get("totals", {}), about.data.get("split") or {}
    counts = [f"{totals.get('usable', 0):,} of {totals.get('rows', 0):,} rows were usable"]
    counts += [f"{totals[name]:,} {name}" for name in ("rejected", "duplicates", "conflicts") if totals.get(name)]
    if split:
        counts.append(f"{split.get('train', 0):,} trained on, {split.get('held_out', 0):,} held out for the evidence")
    lines = ["## Data", "", f"{', '.join(counts)}. The rows themselves are not published here.", ""]
    lines += ["| file | rows | SHA-256 |", "| --- | --- | --- |"]
    lines += [
        f"| {cell(named(str(file['name'])))} | {file.get('rows', 0):,} | `{file.get('sha256') or '-'}` |"
        for file in about.data.get("files", [])
    ]
    lengths = about.data.get("lengths") or {}
    if lengths.get("p50"):
        lines += ["", f"Characters a row: half have up to {lengths['p50']:,}, the longest {lengths['max']:,}."]
    return [*lines, ""]


def _evidence(report: Report | None) -> list[str]:
    if report is None:
        return ["## Evidence", "", "None: base and tuned model were not compared.", ""]
    lines = ["## Evidence", "", f"**{report.verdict.text}**", ""]
    lines += [f"- {caution}" for caution in report.verdict.cautions]
    lines += [
        "",
        "Base against tuned on rows that were not trained on; 95 % intervals of the change by a paired bootstrap.",
        "",
    ]
    lines += [f"| {' | '.join(tables.HEADER)} |", "|" + " --- |" * len(tables.HEADER)]
    lines += [f"| {' | '.join(cell(item) for item in row)} |" for row in tables.rows(report)]
    lines += ["", "\\* the figure the verdict reads."]
    if report.set("general"):
        lines.append("`general` asks what the base could do before: a loss there is what the tuning forgot.")
    return [*lines, ""]


def _verification(artifact: Artifact) -> list[str]:
    found = artifact.verification
    lines = ["## How near this export answers", "", verdict(found), ""]
    if found.checks:
        lines += ["| check | value | limit | |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {check.name} | {_shown(check.value)} | {_shown(check.threshold)} | {cell(check.explanation)} |"
            for check in found.checks
        ]
        lines.append("")
    if found.evidence:
        lines += ["### What the conversion cost", "", *evidence.table(found.evidence)]
    return lines


def _use(source: Source) -> list[str]:
    about, report = source.about, source.about.report
    limits = ["What the base model cannot do or does wrongly is not repaired by tuning; its own card tells its limits."]
    if source.longest:
        limits.append(f"Rows of up to {source.longest:,} tokens were trained on; longer conversations were not.")
    if report is None:
        limits.append("Nothing shows that it is better than its base: there was no evaluation.")
    elif not report.set("general"):
        limits.append("What it forgot of the base's general ability was not measured.")
    limits.append("Harmful, biased and invented answers were not tested for. A person should check what matters.")
    kind = "questions like those of its data" if about.data else "the purpose it was trained for"
    lines = ["## Intended use", "", f"Answering {kind}, under the licence above. Anything else was not trained.", ""]
    return [*lines, "## Limits", "", *(f"- {limit}" for limit in limits), ""]


def _running(source: Source, artifact: Artifact) -> list[str]:
    lines = ["## Run it", ""]
    lines += (
        ["In this folder:", "", "```", *artifact.serve, "```", ""]
        if artifact.serve
        else ["Servers take the `merged` export.", ""]
    )
    if artifact.kind == "adapter":
        base = source.base_name if not source.base.local else f"FOLDER_OF/{source.base_name}"
        lines += [
            "```python",
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            f'base = AutoModelForCausalLM.from_pretrained("{base}")',
            'model, tokenizer = PeftModel.from_pretrained(base, "."), AutoTokenizer.from_pretrained(".")',
            "```",
            "",
        ]
    return lines


def _settings(about: About) -> list[str]:
    if not about.spec:
        return []
    values: dict[str, Any] = {name: shown(value) for name, value in about.spec.items() if name not in ("tracking", "export")}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110).rstrip()
    fence = "`" * max(3, 1 + max((len(run) for run in _ticks(text)), default=0))
    return ["## Settings", "", "Every value as it was decided:", "", f"{fence}yaml", text, fence, ""]


def _ticks(text: str) -> list[str]:
    import re

    return re.findall(r"`{3,}", text)


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
    return str(value)
