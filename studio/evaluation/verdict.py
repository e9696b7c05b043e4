"""One line that answers "is it better?", read off the intervals alone, and what it does not say."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.text import plural
from studio.evaluation import facts
from studio.evaluation.cautions import DRIFT, PAIRED, cautions, goals, losses, risked, rows_of
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.metrics import BYTE_PERPLEXITY, METRICS
from studio.evaluation.report import ALSO, SFT, START, SetReport, Verdict, VerdictKind
from studio.evaluation.reward import CONTROL, REWARD, SAMPLED

APART = "teacher_divergence"
"""How far the model is from the teacher it was distilled from."""
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
_READ = (
    "Next, train on questions about these texts (sft with adapter.start_from), and evaluate the answers: a model that reads a "
    "field's texts well does not yet answer questions about them."
)
_FORGETS = (
    "Do not ship it, and do not train longer: general skills were lost for no clear gain. Mix in general rows "
    "(data.replay), or take fewer epochs or a lower learning rate."
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
    forgets = (general is not None and bool(losses(general))) or (text is not None and drifted(text))
    only_wording = False
    if main is None:
        kind: VerdictKind = "not measured"
        sentences = ["Not measured: there were no held-out rows to compare on"]
    else:
        kind = _kind(main, forgets)
        states = _states(main)
        headline = f"{kind}, and it forgets" if forgets and kind in ("worse", "no clear difference") else kind
        only_wording = states.mostly_wrong and kind.startswith("better")
        if only_wording:
            headline = headline.replace("better", "better in wording, not in facts", 1)
        sentences = [_on_main(main, headline), *filter(None, [states.sentence()])]
        sentences += [_of_pairs(main)] if PAIRED in main.metrics and main.headline != REWARD else []
        sentences += [_of_reward(main)] if main.headline == REWARD else []
        aside = [item for item in sets if item not in (main, general, text) and item.before == "base"]
        sentences += [_beside(item, item is whole) for item in aside if item.name not in (GENERAL, TEXT)]
        sentences += [_against_sft(item) for item in sets if item.before == SFT]
        sentences += [_to_teacher(main)] if APART in main.metrics else []
    if general is not None:
        sentences.append(_on_general(general))
    if text is not None:
        sentences.append(_on_text(text))
    return Verdict(kind, "; ".join(sentences) + ".", _advice(kind, main, forgets), cautions(sets, main), forgets, only_wording)


def _advice(kind: VerdictKind, main: SetReport | None, forgets: bool) -> str:
    """What to do next. Where the references became likelier and no answer became right, more rows would change nothing; and
    whoever has read a text has not answered a question about it."""
    if kind == "better" and main is not None and main.headline == BYTE_PERPLEXITY:
        return _READ
    loss = main.metrics.get("loss") if main is not None and main.headline != "loss" else None
    if kind == "better" and main is not None and _states(main).mostly_wrong:
        return _WORDING
    if kind == "no clear difference" and forgets:
        return _FORGETS
    likelier = loss is not None and METRICS["loss"].gained(loss.change)
    return _LIKELIER if kind == "no clear difference" and likelier else _ADVICE[kind]


def _kind(main: SetReport, forgets: bool) -> VerdictKind:
    """Better needs a gain in answers or in telling preferred ones apart, and in neither a loss, clear or perhaps large."""
    changes = {name: main.metrics[name].change for name in goals(main)}
    if CONTROL in main.metrics and METRICS[CONTROL].lost(main.metrics[CONTROL].change):
        return "worse"  # however well it pleases the verifier
    if any(METRICS[name].lost(change) for name, change in changes.items()):
        return "worse"
    if not risked(main) and any(METRICS[name].gained(change) for name, change in changes.items()):
        return "better but forgets" if forgets else "better"
    return "no clear difference"


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
    sentence = f"{kind.capitalize()}: {label} on {main.label} rows {moved} ({change_of(main)}, {plural(rows_of(main), 'row')})"
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
    return f"against the same rows without the teacher {metric.label.lower()} {moved} ({change_of(against)}: {judged})"


def _to_teacher(compared: SetReport) -> str:
    """How near the model came to its teacher."""
    metric, figure = METRICS[APART], compared.metrics[APART]
    return f"KL to the teacher {metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"


def _beside(beside: SetReport, whole: bool) -> str:
    """A further set of questions; or, of a run that trained an adapter further, the same rows against the base."""
    metric, figure = METRICS[beside.headline], beside.metrics[beside.headline]
    moved = f"{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    name = f"against the base {metric.label.lower()}" if whole else f"on {beside.name.removeprefix(ALSO)}"
    return f"{name} {moved} ({change_of(beside)}, {plural(rows_of(beside), 'row')})"


def _on_general(general: SetReport) -> str:
    metric, figure = METRICS[general.headline], general.metrics[general.headline]
    name = "" if metric.unit == "share" else f"{metric.label.lower()} "
    moved = f"general skills {name}{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    lost = losses(general)
    if general.headline in lost:
        judged = "a clear loss"
    elif lost:
        judged = f"but a clear loss in {' and in '.join(_moved(general, name) for name in lost)}"
    elif metric.gained(figure.change):
        judged = "a clear gain"
    else:
        judged = "no clear loss"
    return f"{moved} ({change_of(general)}, {plural(rows_of(general), 'row')}: {judged})"


def _on_text(texts: SetReport) -> str:
    metric, figure = METRICS["perplexity"], texts.metrics["perplexity"]
    moved = f"perplexity of general text {metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    return f"{moved} ({'a clear loss' if drifted(texts) else 'no clear loss'})"


def drifted(text: SetReport) -> bool:
    """Whether the loss on general text surely rose by more than any tuning moves it."""
    low = text.metrics["loss"].change.low
    return low is not None and low > DRIFT


def _moved(report: SetReport, name: str) -> str:
    shown = "perplexity" if name == "loss" and "perplexity" in report.metrics else name
    metric, figure = METRICS[shown], report.metrics[shown]
    label = metric.label if metric.label in ("ROUGE-L", "Token F1") else metric.label.lower()
    return f"{label} ({metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)})"


def change_of(report: SetReport) -> str:
    """The change of the first metric, with its interval."""
    metric, change = METRICS[report.headline], report.metrics[report.headline].change
    return f"{metric.show_change(change.value)}, 95 % interval {metric.show_interval(change, change=True)}"
