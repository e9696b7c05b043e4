"""What a reader must know before believing a verdict: few rows, losses beside the gain, answers that do not end."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.text import count, plural
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import SKILLS, TEXT
from studio.evaluation.interval import rows_to_decide
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import SetReport
from studio.evaluation.reward import CONTROL, REWARD

FEW = 20
"""Rows below which a bootstrap interval is known to be too narrow."""

MANY = 100_000
"""Rows that would decide beyond which the change is as good as none."""

SELDOM = 0.9
"""Share of answers that should stop on their own (with the end-of-turn token)."""

LITTLE = 0.1
"""Score of base on the general set below which a loss could hardly be seen."""

DRIFT = 0.05
"""Nats a token by which the loss on general text must surely have risen to count as forgetting: 5 % of its perplexity.
Every tuning moves it a little, and over whole texts even a hundredth is beyond chance."""

SOFT = ("loss", "token_f1", "rouge_l")
"""Metrics of the general set that show forgetting where exact words cannot."""

PAIRED = "pair_accuracy"
"""The goal of preference methods, measured where the rows are preference pairs."""
RISKED = -0.1
"""A share that fell, and may have fallen by more than this, is no base for "better": too few rows hide such a loss."""


def cautions(sets: Sequence[SetReport], main: SetReport | None) -> list[str]:
    """What a reader must know before believing the line above."""
    found = []
    has_text = any(item.name == TEXT for item in sets)
    for item in sets:
        if rows_of(item) < FEW:
            found.append(
                f"{item.label} has only {plural(rows_of(item), 'row')}: its intervals are narrower than the truth, and one row "
                "more or less moves them"
            )
        knew = item.metrics[item.headline].base.value
        if item.name == GENERAL and not has_text and METRICS[item.headline].unit == "share" and knew < LITTLE:
            found.append(
                f"base itself reaches only {METRICS[item.headline].show(knew)} on the general questions: there is little to "
                f"forget, so the check says little"
            )
        if item.left_out:
            found.append(
                f"{plural(len(item.left_out), 'row')} of {item.label} could not be measured (listed below the figures)"
            )
    chosen = main.metrics.get("logp_chosen") if main is not None else None
    if chosen is not None and METRICS["logp_chosen"].lost(chosen.change):
        found.append(
            "the answers you prefer became less likely: the rejected ones only fell faster. Take a lower learning rate, or a "
            "larger weight of the SFT term in training.method"
        )
    if main is not None and main.folds:
        found.append(
            f"each row was answered by one of {main.folds} models, trained on the rows of the other folds as this one was on "
            "all rows: this one is likely no worse; those models share training rows, so the intervals are a little too narrow"
        )
    general = next((item for item in sets if item.name == GENERAL), None)
    if general is not None and losses(general) and (skills := _lost_skills(general)):
        found.append(f"what was lost, in right answers to the general questions: {', '.join(skills)}")
    if main is not None and (said := _undecided(main)):
        found.append(said)
    if main is not None and (name := risked(main)):
        most = METRICS[name].show_change(main.metrics[name].change.low or 0)
        found.append(f"{METRICS[name].label.lower()} may have changed by {most}: too much to call the rest a gain")
    if main is not None and CONTROL in main.metrics and METRICS[CONTROL].lost(main.metrics[CONTROL].change):
        gained = METRICS[REWARD].gained(main.metrics[REWARD].change)
        found.append(
            "the control score fell"
            + (" while the reward rose: the model learned to satisfy the verifier, not to answer better" if gained else "")
            + ". Read the answers, make data.verifier stricter (a weighted sum of form and content), or take fewer steps"
        )
    if main is not None and main.answers:
        stops = main.metrics["stop_rate"]
        if stops.tuned.value < SELDOM:
            found.append(
                f"only {METRICS['stop_rate'].show(stops.tuned.value)} of the tuned answers stopped on their own (EOS) within "
                f"{count(main.max_new_tokens)} tokens (base {METRICS['stop_rate'].show(stops.base.value)})"
            )
        if len(main.answers) < main.rows:
            found.append(f"{count(len(main.answers))} of {count(main.rows)} rows were answered, drawn by the seed")
    return list(dict.fromkeys(found))


def losses(general: SetReport) -> list[str]:
    """The metrics that clearly fell on the general set. Exact words can stay at their floor while the model is ruined: what
    it gives to the right answer, and how near its answers come, count as well."""
    names = dict.fromkeys((general.headline, *SOFT))
    return [name for name in names if name in general.metrics and METRICS[name].lost(general.metrics[name].change)]


def _lost_skills(general: SetReport) -> list[str]:
    """The skills with fewer right answers than base had, the largest loss first: `arithmetic 6 → 1 of 10`."""
    lost = []
    for file, skill in SKILLS.items():
        rows = [row for row in general.answers if row.file == file]
        base, tuned = (
            sum(getattr(row, side).scores.get("normalised_match", 0.0) for row in rows) for side in ("base", "tuned")
        )
        if tuned < base:
            lost.append((base - tuned, f"{skill} {base:.0f} → {tuned:.0f} of {len(rows)}"))
    return [words for _, words in sorted(lost, key=lambda item: -item[0])]


def goals(main: SetReport) -> tuple[str, ...]:
    """The metrics in which a run has to gain: rewards alone where they decide; else the first metric, and on preference pairs
    how often the preferred answer is the likelier one."""
    named = (main.headline,) if main.headline == REWARD else (main.headline, PAIRED)
    return tuple(name for name in named if name in main.metrics)


def risked(main: SetReport) -> str:
    """The goal of preference pairs that fell, not clearly, but perhaps by more than may be risked; else nothing."""
    named = goals(main) if PAIRED in goals(main) else ()
    shares = [(name, main.metrics[name].change) for name in named if METRICS[name].unit == "share"]
    return next((name for name, change in shares if change.value < 0 and change.low is not None and change.low < RISKED), "")


def _undecided(report: SetReport) -> str:
    """Where the interval holds zero: how many rows would decide, or what change these rows could have shown."""
    metric, change = METRICS[report.headline], report.metrics[report.headline].change
    if metric.gained(change) or metric.lost(change) or change.low is None or change.high is None:
        return ""
    needed = rows_to_decide(change)
    if needed is None or needed > MANY:
        widest = metric.show_change((change.high - change.low) / 2).lstrip("+")
        return f"these {plural(rows_of(report), 'row')} can show a change of about {widest} and more, nothing smaller"
    return (
        f"if the change is as large as it looks, about {count(_round_up(needed))} rows like these would show it four times in "
        f"five; there are {count(rows_of(report))}"
    )


def _round_up(rows: int) -> int:
    """To two digits: the estimate is no finer."""
    unit = 10 ** max(0, len(str(rows)) - 2)
    return -(-rows // unit) * unit


def rows_of(report: SetReport) -> int:
    """Rows that the first metric was measured on."""
    return report.metrics[report.headline].change.rows
