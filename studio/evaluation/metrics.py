"""Every figure of the report by name, in the order of the report."""

from __future__ import annotations

from studio.evaluation.metric import Metric
from studio.evaluation.tasks import own
from studio.evaluation.tasks.choose import TASKS


class _Metrics(dict[str, Metric]):
    """By name. A metric of one's own is not listed: it is known by how its name begins."""

    def __missing__(self, name: str) -> Metric:
        found = own.metric(name)
        if found is None:
            raise KeyError(name)
        return found


METRICS: dict[str, Metric] = _Metrics(
    (metric.name, metric)
    for metric in (
        *(metric for task in TASKS.values() for metric in task.metrics),
        Metric(
            "reward", "Reward (greedy)", "higher", "share", "mean score by data.verifier; an answer that does not end has 0"
        ),
        Metric("reward_sampled", "Reward (sampled)", "higher", "share", "the same of four answers at temperature 1 to each"),
        Metric("control", "Control score", "higher", "share", "mean score by data.control, which no training rewards"),
        Metric(
            "exact_match", "Exact match", "higher", "share", "share of answers equal to the reference, character by character"
        ),
        Metric(
            "normalised_match",
            "Normalised match",
            "higher",
            "share",
            "the same without case, punctuation and articles (SQuAD, Rajpurkar et al. 2016)",
        ),
        Metric(
            "contains_reference",
            "Contains the reference",
            "higher",
            "share",
            "share of answers in which the reference stands word for word, without case, punctuation and articles",
        ),
        Metric("token_f1", "Token F1", "higher", "share", "2PR / (P + R) over the words shared with the reference (SQuAD)"),
        Metric("rouge_l", "ROUGE-L", "higher", "share", "F-measure of the longest common subsequence of words (Lin 2004)"),
        Metric("loss", "Loss", "lower", "number", "mean negative log-likelihood of the reference's tokens, in nats"),
        Metric("perplexity", "Perplexity", "lower", "number", "exp(loss)"),
        Metric(
            "byte_perplexity",
            "Perplexity per byte",
            "lower",
            "number",
            "exp of the summed loss over the bytes of the texts: comparable between models with other tokens",
        ),
        Metric(
            "token_accuracy",
            "Token accuracy",
            "higher",
            "share",
            "share of the reference's tokens that were the model's first choice",
        ),
        Metric(
            "pair_accuracy",
            "Preferred answer likelier",
            "higher",
            "share",
            "share of preference pairs whose preferred answer has the higher mean log p a token",
        ),
        Metric(
            "score_accuracy",
            "Preferred answer scored higher",
            "higher",
            "share",
            "share of preference pairs whose preferred answer has the higher score; of base: the higher mean log p a token",
        ),
        Metric(
            "logp_chosen",
            "log p of preferred answers",
            "higher",
            "number",
            "mean sum of log p over a preferred answer, in nats",
        ),
        Metric("logp_rejected", "log p of rejected answers", "neither", "number", "the same of the rejected answers"),
        Metric(
            "teacher_divergence",
            "KL to the teacher",
            "lower",
            "number",
            "mean KL(teacher | model) at the reference's tokens, in nats: the teacher's likeliest tokens, all others as one",
        ),
        Metric(
            "same_choice",
            "Teacher's first choice",
            "higher",
            "share",
            "share of the reference's tokens at which the model's likeliest token is the teacher's",
        ),
        Metric("answer_tokens", "Answer length (tokens)", "neither", "tokens", "mean number of tokens generated"),
        Metric("stop_rate", "Stopped by itself", "higher", "share", "share of answers that ended before the limit on tokens"),
    )
)
"""Every figure, in the order of the report: those of one kind of answers, those of any text, those of the model."""

BYTE_PERPLEXITY = "byte_perplexity"
"""That of plain texts."""
PAIR_METRICS = ("pair_accuracy", "logp_chosen", "logp_rejected")
"""Those of preference pairs."""
TEXT_METRICS = ("exact_match", "normalised_match", "token_f1", "rouge_l")
"""Those that need only the reference and the answer as text."""
