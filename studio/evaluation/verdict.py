"""One line that answers "is it better?", read off the intervals alone, and what it does not say."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.text import count, plural
from studio.evaluation import facts
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import SKILLS, TEXT
from studio.evaluation.interval import rows_to_decide
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import ALSO, SFT, START, SetReport, Verdict, VerdictKind
from studio.evaluation.reward import CONTROL, REWARD, SAMPLED

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

APART = "teacher_divergence"
"""How far the model is from the teacher it was distilled from."""
PAIRED = "pair_accuracy"
"""The goal of preference methods, measured where the rows are preference pairs."""
RISKED = -0.1
"""A share that fell, and may have fallen by more than this, is no base for "better": too few rows hide such a loss."""
_AGAINST_START = (f"{START}:{GENERAL}", f"{START}:{TEXT}")

_ADVICE: dict[VerdictKind, str] = {
    "better": "Read the worst answers first: the figures hold for questions like the held-out ones, and no others were asked.",
    "better but forgets": "Where general skills matter, mix in general rows, or take fewer epochs or a lower learning rate, "
    "and evaluate again.",
    "no clear difference": "No reason to ship it. More held-out rows narrow the interval; more or other training rows move it.",
    "worse": "Do not ship it. Look at the worst answers, then at the learning rate, the epochs and the training rows.",
    "not measured": "Set data.holdout to 0.1, or to a file of questions, and evaluate again.",
}
_WORDING = (
    "Do not rely on what it states: it learned how such answers are worded, not their facts. Give it the facts with the "
    "question (retrieval), or train longer on rows that state them, and read the worst answers."
)
_LIKELIER = (
    "No reason to ship it yet: the references became likelier, but this metric shows no better answers. Train longer, or have "
    "the answers compared by a person or a judge (studio judge)."
)


def decide(sets: Sequence[SetReport]) -> Verdict:
    """The verdict on the first set that is not the general one, with the forgetting check beside it."""
    whole = next((item for item in sets if item.name not in (GENERAL, TEXT)), None)
    continued = next((item for item in sets if item.before == START and item.name not in _AGAINST_START), None)
    main = continued or whole  # a run that trains an adapter further has to be better than that adapter
    general = next((item for item in sets if item.name == (f"{START}:{GENERAL}" if continued else GENERAL)), None)
    text = next((item for item in sets if item.name == (f"{START}:{TEXT}" if continued else TEXT)), None)
    forgets = (general is not None and bool(_losses(general))) or (text is not None and drifted(text))
    if main is None:
        kind: VerdictKind = "not measured"
        sentences = ["Not measured: there were no held-out rows to compare on"]
    else:
        kind = _kind(main, forgets)
        states = _states(main)
        headline = f"{kind}, and it forgets" if forgets and kind in ("worse", "no clear difference") else kind
        if states.mostly_wrong and kind.startswith("better"):
            headline = headline.replace("better", "better in wording, not in facts", 1)
        sentences = [_on_main(main, headline), *filter(None, [states.sentence()])]
        sentences += [_of_pairs(main)] if PAIRED in main.metrics and main.headline != REWARD else []
        sentences += [_of_reward(main)] if main.headline == REWARD else []
        aside = [item for item in sets if item not in (main, general, text) and item.before == "base"]
        sentences += [_beside(item) for item in aside if item.name not in (GENERAL, TEXT)]
        sentences += [_against_sft(item) for item in sets if item.before == SFT]
        sentences += [_to_teacher(main)] if APART in main.metrics else []
    if general is not None:
        sentences.append(_on_general(general))
    if text is not None:
        sentences.append(_on_text(text))
    return Verdict(kind, "; ".join(sentences) + ".", _advice(kind, main), _cautions(sets, main))


def _advice(kind: VerdictKind, main: SetReport | None) -> str:
    """What to do next. Where the references became likelier and no answer became right, more rows would change nothing."""
    loss = main.metrics.get("loss") if main is not None and main.headline != "loss" else None
    if kind == "better" and main is not None and _states(main).mostly_wrong:
        return _WORDING
    likelier = loss is not None and METRICS["loss"].gained(loss.change)
    return _LIKELIER if kind == "no clear difference" and likelier else _ADVICE[kind]


def _kind(main: SetReport, forgets: bool) -> VerdictKind:
    """Better needs a gain in answers or in telling preferred ones apart, and in neither a loss, clear or perhaps large."""
    goals = (main.headline,) if main.headline == REWARD else (main.headline, PAIRED)  # rewards are judged by rewards alone
    changes = {name: main.metrics[name].change for name in goals if name in main.metrics}
    if CONTROL in main.metrics and METRICS[CONTROL].lost(main.metrics[CONTROL].change):
        return "worse"  # however well it pleases the verifier
    if any(METRICS[name].lost(change) for name, change in changes.items()):
        return "worse"
    if _risked(main) not in changes and any(METRICS[name].gained(change) for name, change in changes.items()):
        return "better but forgets" if forgets else "better"
    return "no clear difference"


def _risked(main: SetReport) -> str:
    """The goal of preference pairs that fell, not clearly, but perhaps by more than may be risked; else nothing."""
    goals = (main.headline, PAIRED) if PAIRED in main.metrics else ()
    shares = [(name, main.metrics[name].change) for name in goals if METRICS[name].unit == "share"]
    return next((name for name, change in shares if change.value < 0 and change.low is not None and change.low < RISKED), "")


def _on_main(main: SetReport, kind: str) -> str:
    metric, figure = METRICS[main.headline], main.metrics[main.headline]
    label = metric.label.lower() if metric.label != "ROUGE-L" else metric.label
    base, tuned = metric.show(figure.base.value), metric.show(figure.tuned.value)
    if not (metric.gained(figure.change) or metric.lost(figure.change)):
        moved = f"was {base} and is {tuned}"
    else:
        moved = f"{'rose' if figure.change.value > 0 else 'fell'} from {base} to {tuned}"
    if main.before == START:
        moved = moved.replace(base, f"{base} (the adapter it started from)", 1)
    sentence = f"{kind.capitalize()}: {label} on {main.label} rows {moved} ({_change(main)}, {plural(_rows(main), 'row')})"
    if kind.startswith("no clear difference") and main.headline != "loss" and "loss" in main.metrics:
        loss = main.metrics["loss"]
        if METRICS["loss"].gained(loss.change) or METRICS["loss"].lost(loss.change):
            way = "fell" if loss.change.value < 0 else "rose"
            sentence += f", though the loss {way} clearly from {loss.base.value:.3f} to {loss.tuned.value:.3f}"
    return sentence


def _states(main: SetReport) -> facts.Facts:
    """What long answers state; short ones are right or wrong as a whole, and their metric says so."""
    return facts.stated(main.answers if main.headline == "rouge_l" else ())


def _of_reward(rewarded: SetReport) -> str:
    """What became of sampled answers, and of the score that was never rewarded."""
    parts = []
    for name, words in ((SAMPLED, "sampled answers"), (CONTROL, "the control score")):
        metric, figure = METRICS[name], rewarded.metrics[name]
        parts.append(f"{words} {metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}")
    return ", ".join(parts)


def _of_pairs(pairs: SetReport) -> str:
    """What became of preference pairs: which answer is likelier, and whether preferred ones became less likely."""
    metric, figure = METRICS[PAIRED], pairs.metrics[PAIRED]
    change = f"{metric.show_change(figure.change.value)}, 95 % interval {metric.show_interval(figure.change, change=True)}"
    shares = f"{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)} of the pairs"
    sentence = f"the preferred answer is the likelier one in {shares} ({change})"
    chosen, logp = pairs.metrics["logp_chosen"], METRICS["logp_chosen"]
    if logp.lost(chosen.change):
        fell = f"{logp.show(chosen.base.value)} -> {logp.show(chosen.tuned.value)}"
        sentence += f", and preferred answers became less likely (log p {fell})"
    return sentence


def _against_sft(against: SetReport) -> str:
    """Whether the teacher added anything to what the same rows teach alone."""
    metric, figure = METRICS[against.headline], against.metrics[against.headline]
    moved = f"{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    gained, lost = metric.gained(figure.change), metric.lost(figure.change)
    judged = "a clear gain by the teacher" if gained else "the teacher did harm" if lost else "no clear difference"
    return f"against the same rows without the teacher {metric.label.lower()} {moved} ({_change(against)}: {judged})"


def _to_teacher(compared: SetReport) -> str:
    """How near the model came to its teacher."""
    metric, figure = METRICS[APART], compared.metrics[APART]
    return f"KL to the teacher {metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"


def _beside(beside: SetReport) -> str:
    metric, figure = METRICS[beside.headline], beside.metrics[beside.headline]
    moved = f"{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    return f"on {beside.name.removeprefix(ALSO)} {moved} ({_change(beside)}, {plural(_rows(beside), 'row')})"


def _on_general(general: SetReport) -> str:
    metric, figure = METRICS[general.headline], general.metrics[general.headline]
    name = "" if metric.unit == "share" else f"{metric.label.lower()} "
    moved = f"general skills {name}{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    losses = _losses(general)
    if general.headline in losses:
        judged = "a clear loss"
    elif losses:
        judged = f"but a clear loss in {' and in '.join(_moved(general, name) for name in losses)}"
    elif metric.gained(figure.change):
        judged = "a clear gain"
    else:
        judged = "no clear loss"
    return f"{moved} ({_change(general)}, {plural(_rows(general), 'row')}: {judged})"


def _on_text(texts: SetReport) -> str:
    metric, figure = METRICS["perplexity"], texts.metrics["perplexity"]
    moved = f"perplexity of general text {metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    return f"{moved} ({'a clear loss' if drifted(texts) else 'no clear loss'})"


def drifted(text: SetReport) -> bool:
    """Whether the loss on general text surely rose by more than any tuning moves it."""
    low = text.metrics["loss"].change.low
    return low is not None and low > DRIFT


def _losses(general: SetReport) -> list[str]:
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


def _moved(report: SetReport, name: str) -> str:
    shown = "perplexity" if name == "loss" and "perplexity" in report.metrics else name
    metric, figure = METRICS[shown], report.metrics[shown]
    label = metric.label if metric.label in ("ROUGE-L", "Token F1") else metric.label.lower()
    return f"{label} ({metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)})"


def _undecided(report: SetReport) -> str:
    """Where the interval holds zero: how many rows would decide, or what change these rows could have shown."""
    metric, change = METRICS[report.headline], report.metrics[report.headline].change
    if metric.gained(change) or metric.lost(change) or change.low is None or change.high is None:
        return ""
    needed = rows_to_decide(change)
    if needed is None or needed > MANY:
        widest = metric.show_change((change.high - change.low) / 2).lstrip("+")
        return f"these {plural(_rows(report), 'row')} can show a change of about {widest} and more, nothing smaller"
    return (
        f"if the change is as large as it looks, about {count(_round_up(needed))} rows like these would show it four times in "
        f"five; there are {count(_rows(report))}"
    )


def _round_up(rows: int) -> int:
    """To two digits: the estimate is no finer."""
    unit = 10 ** max(0, len(str(rows)) - 2)
    return -(-rows // unit) * unit


def _change(report: SetReport) -> str:
    metric, change = METRICS[report.headline], report.metrics[report.headline].change
    return f"{metric.show_change(change.value)}, 95 % interval {metric.show_interval(change, change=True)}"


def _rows(report: SetReport) -> int:
    return report.metrics[report.headline].change.rows


def _cautions(sets: Sequence[SetReport], main: SetReport | None) -> list[str]:
    """What a reader must know before believing the line above."""
    found = []
    has_text = any(item.name == TEXT for item in sets)
    for item in sets:
        if _rows(item) < FEW:
            found.append(
                f"{item.label} has only {plural(_rows(item), 'row')}: its intervals are narrower than the truth, and one row "
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
    if general is not None and _losses(general) and (skills := _lost_skills(general)):
        found.append(f"what was lost, in right answers to the general questions: {', '.join(skills)}")
    if main is not None and (said := _undecided(main)):
        found.append(said)
    if main is not None and (name := _risked(main)):
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
