"""Fragments of data: the library, what was found in the files, rows, lengths, conversations, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.core.text import plural, size
from studio.ui.fragments.parts import badge, empty, figures, notice, section, sentence, table, text, when

KINDS = {
    "messages": "OpenAI messages",
    "sharegpt": "ShareGPT",
    "alpaca": "Alpaca",
    "prompt_completion": "prompt and completion",
    "question_answer": "question and answer",
    "text": "plain text",
}
ROLES = {"user": "Person", "assistant": "Answer, learned", "system": "System prompt", "tool": "Tool"}


def library(items: Sequence[Any]) -> str:
    """The datasets with their versions."""
    if not items:
        return empty("No datasets yet", "Upload a spreadsheet, a chat log or a text, or try one of the samples.")
    rows = [
        (
            f'<a href="/dataset?key={text(item.key)}">{text(item.title)}</a>',
            f'<span class="mono">{text(item.version)}</span>',
            text(", ".join(name.rsplit("/", 1)[-1] for name in item.files)),
            text(size(item.bytes)),
            text(when(item.created)),
        )
        for item in items
    ]
    html = table(("Dataset", "Version", "Files", "Size", "Added"), rows, plural(len(items), "dataset"), figures=(3,))
    return html.replace('class="table-holder"', 'class="table-holder narrow"', 1)


def head(report: dict[str, Any]) -> str:
    """Whether the data can be used, and the counts."""
    totals = report["totals"]
    usable = badge("usable", "good") if report["usable"] else badge("not usable yet", "bad")
    says = "Training can start on this data." if report["usable"] else "Look at the findings below first."
    problems = "".join(notice(sentence(problem), tone="bad") for problem in report["problems"])
    counts = figures(
        [
            ("Rows that can be used", f"{totals['usable']:,}", f"of {totals['rows']:,}"),
            ("Rejected", f"{totals['rejected']:,}", "listed below" if totals["rejected"] else "none"),
            ("Repeated", f"{totals['duplicates']:,}", "left out" if totals["duplicates"] else "none"),
            ("Same question, other answer", f"{totals['conflicts']:,}", "worth a look" if totals["conflicts"] else "none"),
        ]
    )
    return f'<div class="verdict">{usable}<span>{says}</span></div><div style="margin:14px 0">{counts}</div>{problems}'


def detected(report: dict[str, Any]) -> str:
    """What each file was found to be, and why."""
    rows = []
    for file in report["files"]:
        roles = ", ".join(f"{role}: {column}" for role, column in file["columns"].items())
        facts = ", ".join(part for part in (file["encoding"], file["container"], *file["details"].values()) if part)
        why = " ".join([*file["reasons"], *file["remarks"]])
        rows.append(
            (
                f"{text(file['name'])}<br><small>{text(size(file['bytes']))}{text(f', {facts}') if facts else ''}</small>",
                f"{text(KINDS.get(file['format'], file['format']))}<br><small>{file['confidence']:.0%} sure</small>",
                text(roles or "–"),
                text(why),
                f"{file['usable']:,} of {file['rows']:,}",
            )
        )
    return section("What was found") + table(("File", "Layout", "Columns", "Why", "Usable rows"), rows, "What was found", (4,))


def findings(report: dict[str, Any], most: int = 100) -> str:
    """Every row that is left out or worth a look, with its file and line."""
    rows = [
        (text(item["file"]), f"{item['line']:,}", text(item["reason"]), text(item["text"]))
        for item in report["rejected"]["first"]
    ]
    rows += [(text(item["file"]), f"{item['line']:,}", text(item["reason"]), "") for item in report["removed"]]
    for item in report["conflicts"]:
        (file, line), (other, place) = item["places"]
        rows.append((text(file), f"{line:,}", f"Another answer stands in {text(other)}, line {place:,}.", ""))
    warnings = "".join(
        notice(sentence(f"{item['what']}: {plural(item['count'], 'row')}"), _places(item["first"]))
        for item in report["warnings"]
    )
    if not rows and not warnings:
        return section("Findings") + '<p class="note">Nothing to report: every row can be used.</p>'
    listed = table(("File", "Line", "What", "Row"), rows[:most], "Findings by row", (1,)) if rows else ""
    more = f'<p class="note">{len(rows) - most:,} more are in the report of a run.</p>' if len(rows) > most else ""
    return section("Findings") + warnings + listed + more


def _places(first: list[dict[str, Any]]) -> str:
    shown = ", ".join(f"{item.get('file', '')} line {item.get('line', '')}" for item in first[:5])
    return f"First: {shown}" if shown else ""


def lengths(report: dict[str, Any]) -> str:
    """The lengths of rows as bars; each bar holds the rows up to twice the length of the one before."""
    found = report["lengths"]
    bars = found.get("histogram") or []
    if not bars:
        return ""
    most, wide = max(count for _, count in bars), 100 / len(bars)
    shapes = "".join(
        f"<g><title>{plural(count, 'row')} up to {bound:,} characters</title>"
        f'<rect x="{place * wide + wide * 0.08:.2f}" y="{40 - 36 * count / most:.2f}" '
        f'width="{wide * 0.84:.2f}" height="{36 * count / most:.2f}"/></g>'
        for place, (bound, count) in enumerate(bars)
    )
    says = f"Half of the rows have up to {found['p50']:,} characters, nine in ten up to {found['p90']:,}, the longest {found['max']:,}."
    ends = f'<div class="facts"><div><dt>up to {bars[0][0]:,}</dt><dd>up to {bars[-1][0]:,} characters</dd></div></div>'
    return (
        section("Lengths", says) + f'<svg class="bars" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(says)}">{shapes}</svg>{ends if len(bars) > 1 else ""}'
    )


def samples(report: dict[str, Any], most: int = 4) -> str:
    """A few rows as the conversations they become."""
    shown = "".join(f'<div class="sample">{conversation(item)}</div>' for item in report["samples"][:most])
    return section("Samples", "Rows as the model will see them.") + (shown or '<p class="note">No row can be shown.</p>')


def conversation(item: dict[str, Any]) -> str:
    """One row as chat bubbles, with its file and line."""
    place = f'<p class="note">{text(item.get("file", ""))}, line {item.get("line", 0):,}</p>' if item.get("file") else ""
    if item.get("text"):
        return f'<div class="talk"><div class="turn system"><b>Text, learned</b>{text(item["text"][:4000])}</div></div>{place}'
    turns = "".join(
        f'<div class="turn {text(turn.get("role", ""))}"><b>{text(ROLES.get(turn.get("role", ""), turn.get("role", "")))}</b>'
        f"{text(_content(turn))}</div>"
        for turn in item.get("messages", [])
    )
    return f'<div class="talk">{turns}</div>{place}'


def _content(turn: dict[str, Any]) -> str:
    content = turn.get("content")
    if content is None and turn.get("tool_calls"):
        import json

        return json.dumps(turn["tool_calls"], ensure_ascii=False)
    return content if isinstance(content, str) else str(content or "")


def tokens(previews: list[dict[str, Any]]) -> str:
    """Rows token by token; what is learned is marked by colour and underline."""
    shown = ""
    for item in previews:
        spans = "".join(
            f'<span{" class=learned" if token["trained"] else ""} title="token {token["id"]}">{text(token["text"]).replace(chr(10), "⏎<br>")}</span>'
            for token in item["tokens"][:2000]
        )
        cut = f" The first 2,000 of {len(item['tokens']):,} are shown." if len(item["tokens"]) > 2000 else ""
        shown += (
            f'<div class="sample"><p class="note">{text(item["file"].rsplit("/", 1)[-1])}, line {item["line"]:,}: '
            f"{plural(len(item['tokens']), 'token')}, {item['trained']:,} learned (green, underlined).{cut}</p>"
            f'<div class="tokens" tabindex="0" aria-label="Tokens">{spans}</div></div>'
        )
    return shown or '<p class="note">No row can be shown.</p>'


def rows_as_they_stand(found: dict[str, Any]) -> str:
    """The first rows of a file before anything is made of them."""
    columns = found["columns"][:12]
    cells = [[text(row.get(name, "")) for name in columns] for row in found["rows"]]
    return table(columns, cells, "The first rows as they stand in the file") if columns else ""
