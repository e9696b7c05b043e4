"""Base against tuned on a real model with a real adapter."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import EvaluationError, Stopped
from studio.core.messages import ToolCall
from studio.data.rows import Conversation
from studio.evaluation import likelihood as likelihoods
from studio.evaluation.answering import answers, questions
from studio.evaluation.compare import compare
from studio.evaluation.general import SKILLS, builtin
from studio.evaluation.likelihood import likelihood
from studio.evaluation.report import Report
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.evaluation.table import HEADER, rows
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from studio.training import adapters
from tests.evaluation.conftest import FACTS, conversation
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.numeric


def test_an_adapter_that_learned_is_found_better_with_intervals(report: Report):
    held_out = report.sets[0]
    match = held_out.metrics["exact_match"]
    assert held_out.headline == "exact_match"
    assert match.base.value == 0
    assert match.tuned.value == 1
    assert 0.5 < match.change.low <= match.change.high == 1  # pyright: ignore[reportOperatorIssue]
    assert held_out.metrics["loss"].change.high < 0  # pyright: ignore[reportOptionalOperand]
    assert held_out.metrics["stop_rate"].tuned.value == 1
    assert report.verdict.kind == "better"


def test_the_loss_is_taken_over_all_rows_and_answers_over_as_many_as_asked(report: Report):
    held_out = report.sets[0]
    assert held_out.rows == held_out.metrics["loss"].base.rows == 24
    assert len(held_out.answers) == held_out.metrics["exact_match"].base.rows == 18
    assert any("18 of 24 rows" in caution for caution in report.verdict.cautions)


def test_perplexity_is_the_exponential_of_the_loss(report: Report):
    for side in ("base", "tuned"):
        loss, perplexity = (getattr(report.sets[0].metrics[name], side) for name in ("loss", "perplexity"))
        assert perplexity.value == pytest.approx(math.exp(loss.value))
        assert perplexity.low == pytest.approx(math.exp(loss.low))


def test_the_loss_is_the_models_own(tuned: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    import torch

    from studio.data.render import encode

    encoded = [encode(conversation(*fact), tokenizer, "assistant") for fact in FACTS]
    together = likelihood(tuned, [(row.ids, row.mask) for row in encoded])
    monkeypatch.setattr(likelihoods, "BATCH_TOKENS", 1)
    monkeypatch.setattr(likelihoods, "LOGITS", 1)
    alone = likelihood(tuned, [(row.ids, row.mask) for row in encoded])
    assert together.loss == pytest.approx(alone.loss, rel=1e-4)
    for place, row in enumerate(encoded):
        ids = torch.tensor([list(row.ids)])
        marks = torch.tensor([[bool(mark) for mark in row.mask]])
        with torch.no_grad():
            own = tuned(input_ids=ids, labels=ids.masked_fill(~marks, -100)).loss.item()
        assert together.loss[place] / together.tokens[place] == pytest.approx(own, rel=1e-3)
        assert together.tokens[place] == sum(row.mask)


@pytest.mark.parametrize(("quantization", "dtype"), [("nf4", "bf16"), ("int8", "fp16")])
def test_a_quantised_base_is_measured_as_it_answers(tiny_model: Path, tokenizer: Any, quantization: Any, dtype: Any):
    import torch
    from peft import LoraConfig, get_peft_model

    from studio.models.loading import load_base

    base = load_base(Model(name=str(tiny_model), quantization=quantization, dtype=dtype, attention="sdpa"), "cpu")
    model: Any = get_peft_model(base, LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False)).eval()
    ids = list(range(20, 60))
    found = {}
    for side in ("tuned", "base"):
        with model.disable_adapter() if side == "base" else contextlib.nullcontext(), torch.no_grad():
            own = model(input_ids=torch.tensor([ids])).logits.float()
            own_loss = torch.nn.functional.cross_entropy(own[0, :-1], torch.tensor(ids[1:]), reduction="sum").item()
            found[side] = likelihood(model, [(ids, [True] * len(ids))]).loss[0]
        assert found[side] == pytest.approx(own_loss, rel=2e-3)
    assert found["base"] != pytest.approx(found["tuned"], rel=1e-4)


@pytest.mark.parametrize(
    ("arch", "changes"),
    [("gemma2", {"final_logit_softcapping": 3.0}), ("granite", {"logits_scaling": 4.0}), ("cohere", {"logit_scale": 0.25})],
)
def test_families_that_scale_or_cap_their_logits_are_measured_rightly(arch: str, changes: dict[str, float]):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        arch,
        vocab_size=97,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=0,
        initializer_range=0.5,
        **changes,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(1, 97, (1, 12))
    with torch.no_grad():
        own = model(input_ids=ids, labels=ids).loss.item()
    found = likelihood(model, [(ids[0].tolist(), [True] * 12)])
    assert found.tokens[0] == 11
    assert found.loss[0] / 11 == pytest.approx(own, rel=1e-4)


def test_the_last_answer_of_several_turns_is_asked(report: Report):
    chat = report.sets[1]
    assert chat.answers[0].question == "what is the lamp made of"
    assert chat.answers[0].reference == "it is made of glass"
    assert chat.answers[0].earlier == 2


def test_plain_text_is_measured_by_likelihood_only(report: Report):
    text = report.sets[2]
    assert set(text.metrics) == {"byte_perplexity", "loss", "perplexity", "token_accuracy"}
    assert text.headline == "byte_perplexity"
    assert text.answers == []


def test_samples_point_at_the_best_the_worst_and_the_most_changed(report: Report):
    held_out = report.sets[0]
    assert len(held_out.best) == len(held_out.worst) == len(held_out.changed) == 4
    losses = [answer.tuned.scores["loss"] for answer in held_out.answers]
    assert losses[held_out.best[0]] == min(losses)
    assert losses[held_out.worst[0]] == max(losses)


def test_speed_is_measured_for_both_and_says_on_how_many(report: Report):
    assert set(report.speed) == {"base", "tuned"}
    for speed in report.speed.values():
        assert 0 < speed.latency_low <= speed.latency <= speed.latency_high
        assert speed.asked_alone == 5
        assert speed.tokens_per_second > 0
    assert report.device


def test_a_report_survives_being_written_as_json(report: Report):
    assert Report.from_json(json.loads(json.dumps(report.as_json(), allow_nan=False))) == report


def test_the_table_has_every_figure_of_every_set(report: Report):
    found = rows(report)
    assert len(found) == sum(len(item.metrics) for item in report.sets)
    assert all(len(row) == len(HEADER) for row in found)
    assert found[0][:4] == ("held-out", "Exact match *", "0 %", "100 %")


def test_the_adapter_is_on_again_and_training_mode_kept(tuned: Any, tokenizer: Any):
    before = tuned.training
    compare(
        tuned, tokenizer, [QuestionSet("held-out", [conversation(*FACTS[0])])], Evaluation(max_rows=1, resamples=100), seed=0
    )
    assert tuned.training == before
    assert answers(tuned, tokenizer, [conversation(*FACTS[4])], Evaluation())[0].text.strip() == FACTS[4][1]


def test_rows_that_are_too_long_are_left_out_and_listed(tuned: Any, tokenizer: Any):
    rows = [conversation(*FACTS[0], line=1), conversation("the lamp " * 200, "blue", line=2)]
    found = compare(tuned, tokenizer, [QuestionSet("held-out", rows)], Evaluation(resamples=100), seed=0, max_length=60)
    assert found.sets[0].rows == 1
    assert found.sets[0].left_out[0].startswith("rows.jsonl:2: ")
    assert any("could not be measured" in caution for caution in found.verdict.cautions)


def test_held_out_rows_that_all_fail_to_fit_are_an_error(tuned: Any, tokenizer: Any):
    with pytest.raises(EvaluationError, match="none of the 1 held-out rows"):
        compare(tuned, tokenizer, [QuestionSet("held-out", [conversation(*FACTS[0])])], Evaluation(), seed=0, max_length=3)


def test_weights_that_are_not_numbers_are_an_error_not_a_figure(tiny_model: Any):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    with torch.no_grad():
        model.get_decoder().norm.weight.fill_(float("nan"))  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    with pytest.raises(EvaluationError, match="not a number"):
        likelihood(model, [([5, 6, 7], [True] * 3)])


def test_a_stop_is_heeded_between_batches(tuned: Any, tokenizer: Any):
    class Impatient(Silent):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Stopped):
        compare(
            tuned,
            tokenizer,
            [QuestionSet("held-out", [conversation(*FACTS[0])])],
            Evaluation(),
            seed=0,
            reporter=Impatient(),
        )


def test_a_tool_call_is_compared_as_the_model_would_write_it(tmp_path: Path):
    import studio.models.starter as starter

    template = (Path(starter.__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
    call: ToolCall = {"id": "1", "type": "function", "function": {"name": "price", "arguments": {"of": "lamp"}}}
    row = Conversation(
        messages=(
            {"role": "user", "content": "what is the price of the lamp"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        )
    )
    (asked,), left_out = questions([row], make_tokenizer(tmp_path, template))
    assert left_out == []
    assert asked.reference == '<tool_call>\n{"name": "price", "arguments": {"of": "lamp"}}\n</tool_call>'
    assert asked.ids[: len(asked.prompt)] == asked.prompt


def test_the_loss_is_taken_over_answers_even_if_all_tokens_were_trained(tokenizer: Any):
    rows = [conversation(*fact) for fact in FACTS]
    every, answers_only = (questions(rows, tokenizer, train_on)[0] for train_on in ("all", "assistant"))
    assert [row.mask for row in every] == [row.mask for row in answers_only]


def test_the_builtin_set_is_short_questions_with_short_answers():
    found = builtin()
    assert len(found) == len({row.prompt[0]["content"] for row in found}) == 65
    assert {row.file for row in found} == set(SKILLS)
    assert all(isinstance(row, Conversation) and 0 < len(row.answer.split()) <= 6 for row in found)


def test_a_set_with_longer_answers_is_not_cut_at_the_length_of_the_held_out_ones() -> None:
    from types import SimpleNamespace

    from studio.evaluation.answering import longest_answer
    from studio.evaluation.settings import Evaluation

    asked: Any = [SimpleNamespace(reference_tokens=20)]
    assert longest_answer(asked, Evaluation(max_new_tokens=8)) == 8
    assert longest_answer(asked, Evaluation(max_new_tokens=8), at_least_its_own=True) == 31
    assert longest_answer(asked, Evaluation(max_new_tokens=50), at_least_its_own=True) == 50


def test_preference_pairs_and_an_adapter_to_start_from_are_measured_on_the_same_rows(
    tuned: Any, tokenizer: Any, tmp_path: Path
):
    rows = [
        replace(conversation(*fact, line=line), rejected={"role": "assistant", "content": "blue blue blue"})
        for line, fact in enumerate(FACTS, 1)
    ]
    start = adapters.save(tuned, tmp_path / "start")
    found = compare(tuned, tokenizer, [QuestionSet("held-out", rows)], Evaluation(resamples=100), seed=0, start=start)
    first, against = found.sets
    assert (first.name, first.before, against.name, against.before) == ("held-out", "base", "start:held-out", "start")
    assert first.metrics["pair_accuracy"].tuned.value == 1.0
    assert first.metrics["logp_chosen"].change.value > 1
    assert {name: item.change.value for name, item in against.metrics.items()} == dict.fromkeys(against.metrics, 0.0)
    assert list(tuned.peft_config) == ["default"]  # nothing is left of it
    assert Report.from_json(found.as_json()) == found
