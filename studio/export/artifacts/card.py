"""The model card of an export: what it is, from what, how good with which certainty, how it was checked, how to run it.

Valid for the hub. It holds no row of the data, no place on this machine and no secret.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from studio.core.text import count, plural, size
from studio.data.made_rows import MadeRows
from studio.evaluation import table as tables
from studio.evaluation.general import TEXT
from studio.evaluation.judge.opinion import Opinion
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import Report
from studio.evaluation.verdict import drifted
from studio.export.artifacts.front_matter import front_matter, head
from studio.export.artifacts.manifest import Artifact
from studio.export.merging.run_info import RunInfo, cell, named, shown
from studio.export.merging.source import Source
from studio.export.verification import wording
from studio.export.verification.result import STRUCTURAL, ConversionCost, Verification


def card(source: Source, artifact: Artifact) -> str:
    """The folder's README in Markdown, with the front matter that the hub reads."""
    parts = [
        [f"# {source.name}", "", str(artifact.details.get("statement", "")), ""],
        _base(source),
        _data(source.about),
        _evidence(source.about.report, artifact),
        _judged(source.about.judged),
        _verification(artifact),
        _use(source, artifact),
        _running(source, artifact),
        _settings(source.about),
        [f"Files, hashes, sources and tool versions: `artifact.json`. All files together take {size(artifact.bytes)}."],
    ]
    return "\n".join(["---", front_matter(source, artifact), "---", *(line for part in parts for line in part)]) + "\n"


def adapter_card(source: Source) -> str:
    """The README of an adapter as training left it: without evidence, which comes later."""
    parts = [
        [f"# {source.name}", "", "A LoRA adapter as training left it; the evidence comes afterwards.", ""],
        _base(source),
        _data(source.about),
        _use(source, None),
        _settings(source.about),
    ]
    return "\n".join(["---", head(source, "adapter"), "---", *(line for part in parts for line in part)]) + "\n"


def verdict(verification: Verification) -> str:
    """The verification in a few sentences: whether it was run, what it loses, and the better choice."""
    if verification.status == STRUCTURAL:
        said = f"**{verification.note[0].upper()}{verification.note[1:]}**"
    elif verification.passed is None:
        said = f"**Not verified**: {verification.note}"
    else:
        run = f"Loaded in {verification.runtime} and compared with base + adapter on held-out prompts"
        said = f"{run}: **failed**." if verification.passed is False else f"{run}: every check passed."
        said += f" {verification.note}" if verification.note else ""
    if verification.loses_some:
        said += f" **It answers worse than base + adapter**: {'; '.join(verification.losses)}."
    elif verification.evidence and verification.passed is not False:
        said += " There is no clear loss on the run's own metric."
    return f"{said} {verification.advice}".strip()


def _base(source: Source) -> list[str]:
    from studio.models.presets import preset

    license = source.base.license
    known = preset(source.base_name)
    commit = f" at commit `{source.base.revision}`" if source.base.revision else ""
    said = f"Licence: {license}, which applies to this model too." if license else "Licence: that of the base model."
    lines = ["## Base model and licence", "", f"Trained on {source.base_name}{commit}. {said}"]
    if known and known.license_note:
        lines += ["", known.license_note]
    return [*lines, ""]


def _data(about: RunInfo) -> list[str]:
    if not about.data:
        return []
    totals, split, lengths = about.data.totals, about.data.split, about.data.lengths
    counts = [f"{totals.usable:,} of {totals.rows:,} rows were usable"]
    left_out = totals.model_dump(include={"rejected", "duplicates", "conflicts"})
    counts += [f"{number:,} {name}" for name, number in left_out.items() if number]
    if split:
        counts.append(f"{split.train:,} trained on, {split.held_out:,} held out for the evidence")
    lines = ["## Data", "", f"{', '.join(counts)}. The rows themselves are not published here.", ""]
    lines += ["| file | rows | SHA-256 |", "| --- | --- | --- |"]
    lines += [f"| {cell(named(file.name))} | {file.rows:,} | `{file.sha256 or '-'}` |" for file in about.data.files]
    if lengths.max:
        lines += ["", f"Characters a row: half have up to {lengths.p50:,}, the longest {lengths.max:,}."]
    for paragraph in dict.fromkeys(map(_origin, about.made_rows)):  # a job's training rows and its held-out rows have the same
        lines += ["", paragraph]
    for rows in about.collected:
        lines += ["", cell(rows.sentence)]
    if about.checked and about.checked.findings:
        lines += ["", f"Checks of the content of {plural(about.checked.rows, 'training row')} found:", ""]
        lines += ["| found | rows | share | not looked for |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {cell(item.message)} | {item.count:,} | {item.share:.1%} | {cell(item.not_covered)} |"
            for item in about.checked.findings
        ]
    return [*lines, ""]


def _origin(rows: MadeRows) -> str:
    return f"{cell(rows.sentence)} {cell(shown(rows.terms_sentence))}"


def _evidence(report: Report | None, artifact: Artifact) -> list[str]:
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
    lines += ["", "\\* metric that decides the verdict."]
    if artifact.verification.loses_some:
        lines += ["", "These are the figures of base + adapter. **This export answers worse**: see below."]
    if report.set("general"):
        lines.append("`general` asks what the base could do before: a loss there is what the tuning forgot.")
    return [*lines, ""]


def _judged(opinion: Opinion | None) -> list[str]:
    """What a language model as judge found, with every doubt."""
    if opinion is None or opinion.report is None:
        return []
    lines = ["### Language model as judge", "", f"{cell(named(opinion.report.judge))}: {opinion.report.sentence}", ""]
    lines += [opinion.agreement, ""] if opinion.agreement else []
    if opinion.doubts:
        lines += ["These figures are not reliable and decide nothing:", "", *(f"- {doubt}" for doubt in opinion.doubts), ""]
    return lines


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
    for place, cost in enumerate(found.sets):
        lines += ["" if place else "### What the conversion cost", "", *_cost(cost)]
    if found.judged:
        lines += [f"{cell(named(found.judged.judge))}: {found.judged.sentence}.", ""]
        if found.judged.doubts:
            lines += ["These figures decide nothing:", "", *(f"- {doubt}" for doubt in found.judged.doubts), ""]
    return lines


def _cost(cost: ConversionCost) -> list[str]:
    """The run's own metrics again, as lines of Markdown."""
    lines = [f"{cost.sentence}.", "", "| metric | base | base + adapter | this export | change, 95 % interval |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, figure in cost.metrics.items():
        metric = METRICS[name]
        shown = [metric.show(value) for value in (figure.base, figure.tuned, figure.artifact)]
        lines.append(f"| {metric.label} | {' | '.join(shown)} | {wording.change(name, figure, cost.identical)} |")
    if not cost.max_new_tokens:
        return [*lines, "", f"{plural(cost.rows, 'text')} that were read and not answered.", ""]
    note = f"{count(cost.rows)} of the {plural(cost.answered, 'row')} the evaluation answered, asked again greedily"
    return [*lines, "", f"{note}, answers of at most {plural(cost.max_new_tokens, 'token')}.", ""]


def limits(source: Source, artifact: Artifact | None) -> list[str]:
    """What whoever uses the export must know it cannot do, as sentences."""
    report = source.about.report
    found = ["What the base model cannot do or does wrongly is not repaired by tuning; its own card tells its limits."]
    if source.longest:
        found.append(f"Rows of up to {source.longest:,} tokens were trained on; longer conversations were not.")
    if report is None:
        found.append("Nothing shows that it is better than its base: there was no evaluation.")
    elif not report.set("general"):
        found.append("What it forgot of the base's general ability was not measured.")
    else:
        found += forgotten(report)
    if artifact and artifact.verification.loses_some:
        lost = "; ".join(artifact.verification.losses)
        found.append(f"This export answers worse than the tuned model it was made from: {lost}.")
    found.append("Harmful, biased and invented answers were not tested for. A person should check what matters.")
    return found


def forgotten(report: Report) -> list[str]:
    """What the tuning surely cost of the base's general ability, metric by metric; empty where nothing was seen."""
    losses = []
    text = report.set(TEXT)
    if text is not None and drifted(text):
        shown, moved = METRICS["perplexity"], text.metrics["perplexity"]
        losses.append(f"perplexity of general text {shown.show(moved.base.value)} → {shown.show(moved.tuned.value)}")
    general = report.set("general")
    for name, compared in general.metrics.items() if general else ():
        metric, change = METRICS[name], compared.change
        worse = change.below_zero if metric.better == "higher" else change.above_zero if metric.better == "lower" else False
        if worse:
            losses.append(f"{metric.label} {metric.show(compared.base.value)} → {metric.show(compared.tuned.value)}")
    return [f"It forgot some of what its base could do, on general questions: {', '.join(losses)}."] if losses else []


def _use(source: Source, artifact: Artifact | None) -> list[str]:
    kind = "questions like those of its data" if source.about.data else "the purpose it was trained for"
    lines = ["## Intended use", "", f"Answering {kind}, under the licence above. Anything else was not trained.", ""]
    if source.system:
        lines += [
            "It was trained with this system prompt, and is to be asked with it:",
            "",
            *_quoted(source.first_messages[0]["content"]),
            "",
        ]
    return [*lines, "## Limits", "", *(f"- {limit}" for limit in limits(source, artifact)), ""]


def _quoted(text: str) -> list[str]:
    return [f"> {line}".rstrip() for line in text.splitlines()]


def _running(source: Source, artifact: Artifact) -> list[str]:
    lines = ["## Run it", ""]
    if source.system:
        asked = json.dumps(source.first_messages, ensure_ascii=False)
        lines += [
            "No runtime adds the system prompt by itself, except Ollama by the Modelfile. The messages of a first request:"
        ]
        lines += ["", "```json", asked, "```", ""]
    lines += (
        ["In this folder:", "", "```", *artifact.serve, "```", ""]
        if artifact.serve
        else ["Servers take the `merged` export.", ""]
    )
    if artifact.kind == "adapter":
        base = source.base_place
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


def _settings(about: RunInfo) -> list[str]:
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
