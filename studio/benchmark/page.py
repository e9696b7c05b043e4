"""A result as one HTML file: no script, no request to anywhere, every text escaped, light and dark, phone to desk."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from studio.benchmark import figures, plot
from studio.benchmark.result import Result

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render(result: Result) -> str:
    """The page."""
    style = "".join(
        files(package).joinpath("page.css").read_text(encoding="utf-8") for package in ("studio.evaluation", "studio.benchmark")
    )
    when = datetime.datetime.fromtimestamp(result.begun).strftime("%d %b %Y %H:%M")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Measured {when}</title><style>{style}</style></head>"
        f"<body><main><h1>Latency, throughput, cost and quality · {when}</h1>"
        f'<section class="card">{_table(*_turned(result), "Everything measured")}{method_notes(result)}</section>'
        f'<div class="charts">{charts(result)}</div>'
        f'<h2>By concurrency level</h2><section class="card">'
        f"{_table(figures.LEVELS, figures.level_rows(result), 'By concurrency level')}</section></main></body></html>\n"
    )


def charts(result: Result) -> str:
    """The pictures, side by side where there is room."""
    return (
        plot.picture(result)
        + plot.over_streams(result, "Throughput", "tokens/s, all streams", "tokens")
        + plot.over_streams(result, "Time to first token", "seconds, median", "first")
    )


def method_notes(result: Result) -> str:
    """How it was measured, how to read it, what each cost is made of, and what went wrong."""
    notes = [f"{item.name}: {note}." for item in result.items for note in item.notes]
    notes += [f"{item.name}: cost from {item.cost_how}." for item in result.items if item.cost_how]
    notes += [
        f"{item.name}: tokens counted one a piece of text, as the server tells no usage."
        for item in result.items
        if item.counted == "chunks" and item.levels
    ]
    notes += [
        f"{item.name}: stopped early: {problem.message}. {problem.hint}" for item in result.items if (problem := item.error)
    ]
    state = "<p><b>Interrupted: what was measured until then.</b></p>" if result.state == "interrupted" else ""
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    listed = f'<ul class="soft">{listed}</ul>' if listed else ""
    return (
        f'{state}<p class="soft note">{escape(figures.how(result))}</p><p class="soft note">{escape(figures.READING)}</p>'
        f"{listed}"
    )


def _turned(result: Result) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """A column per item, a row per figure: there are more figures than things."""
    every = [figures.HEADER, *figures.rows(result)]
    head, *rest = zip(*every, strict=True)
    return ("", *head[1:]), rest


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=quality' if columns[place] == 'Quality' else ''}>{escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="holder" tabindex="0" role="region" aria-label="{escape(caption)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
