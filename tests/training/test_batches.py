"""Batches: nothing is cut, nothing leaks, and every step can be reached alone."""

from __future__ import annotations

import numpy as np
import pytest

from studio.training.batches import StepOrder, batch, best_fit, in_order_of_length, side_by_side
from studio.training.layouts import pack, pack_shared, pad_rows, shared_prompt
from studio.training.sampled import Sampled
from studio.training.schedule import rate_factor, steps_per_epoch, total_steps
from studio.training.settings import Training
from tests.training.kit import LENGTHS, items, make_rows


def test_best_fit_cuts_nothing_and_overfills_no_group():
    lengths = np.random.default_rng(0).integers(1, 1000, 500).tolist()
    groups = best_fit(lengths, 1000)
    assert sorted(place for group in groups for place in group) == list(range(500))
    assert all(sum(lengths[place] for place in group) <= 1000 for group in groups)
    assert len(groups) <= np.ceil(sum(lengths) / 1000) * 11 / 9 + 1


def test_a_row_longer_than_the_room_stands_alone_and_whole():
    assert sorted(best_fit([50, 5, 5], 10)) == [[0], [1, 2]]


def test_both_layouts_score_the_same_tokens_and_never_a_row_s_first():
    rows = [(ids, np.ones(len(ids), dtype=np.uint8)) for ids, _ in items(make_rows([5, 9, 3]))]
    one, other = pack(rows), pad_rows(rows)
    assert sorted(one.targets) == sorted(other.targets)
    assert len(one.targets) == 5 + 9 + 3 - 3
    assert one.tokens == other.tokens == 17
    assert one.position_ids is not None
    assert one.position_ids[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2]
    assert (one.input_ids.reshape(-1)[one.scored + 1] == one.targets).all()
    assert (other.input_ids.reshape(-1)[other.scored + 1] == other.targets).all()


@pytest.mark.parametrize("packed", [True, False])
def test_a_batch_trains_exactly_the_tokens_its_masks_name(packed: bool):
    rows = make_rows(LENGTHS)
    made = batch(rows, range(len(rows)), micro_batch=3, max_length=64, packed=packed)
    wanted = np.concatenate([ids[mask] for ids, mask in items(rows)])
    assert sorted(np.concatenate([micro.targets for micro in made.micro_batches])) == sorted(wanted)
    assert (made.trained, made.tokens, made.rows) == (len(wanted), sum(LENGTHS), len(LENGTHS))
    assert all(micro.input_ids.size <= 3 * 64 for micro in made.micro_batches)


def test_padded_micro_batches_are_cut_by_tokens_and_padding_is_dearer_than_one_more():
    rows = make_rows([1000, 500, 490, 300, 60, 50, 40, 20])
    made = batch(rows, range(8), micro_batch=1, max_length=1000, packed=False)
    assert [micro.rows for micro in made.micro_batches] == [1, 2, 1, 4]
    assert [micro.input_ids.shape for micro in made.micro_batches] == [(1, 1000), (2, 500), (1, 300), (4, 60)]
    assert [micro.rows for micro in in_order_of_length(rows, 1, 1000, packed=False)] == [1, 2, 1, 4]
    assert side_by_side([30, 20], 10) == [1, 1]


@pytest.mark.parametrize("packed", [True, False])
def test_the_held_out_loss_sees_every_row_once_with_little_padding(packed: bool):
    rows = make_rows(LENGTHS)
    micros = list(in_order_of_length(rows, 4, 64, packed))
    assert sum(micro.rows for micro in micros) == len(rows)
    assert sum(len(micro.targets) for micro in micros) == rows.trained
    assert sum(micro.input_ids.size for micro in micros) <= (1.0 if packed else 1.5) * sum(LENGTHS)


def test_every_row_is_seen_once_an_epoch_in_an_order_decided_by_the_seed():
    steps = list(StepOrder(10, 4, 6, seed=1))
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    assert sorted(np.concatenate(steps[:3])) == sorted(np.concatenate(steps[3:])) == list(range(10))
    assert steps[:3] != steps[3:]
    assert steps == list(StepOrder(10, 4, 6, seed=1))
    assert steps != list(StepOrder(10, 4, 6, seed=2))
    order = StepOrder(10, 4, 6, seed=1)
    assert [list(order.from_step(done)) for done in range(7)] == [steps[done:] for done in range(7)]


def test_steps_follow_from_rows_epochs_and_the_ceiling():
    assert steps_per_epoch(10, 4) == 3
    assert total_steps(10, batch_size=4, epochs=2) == 6
    assert total_steps(10, batch_size=4, epochs=0.5) == 2
    assert total_steps(10, batch_size=4, epochs=0.01) == 1
    assert total_steps(10, batch_size=4, epochs=9, max_steps=5) == 5


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_warms_up_then_falls_and_no_step_is_wasted(schedule: str):
    training = Training.model_validate({"schedule": schedule, "warmup": 0.2})
    rates = [rate_factor(step, 20, training) for step in range(20)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == 1
    assert all(rate > 0 for rate in rates)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_a_shared_prompt_stands_once_and_every_answer_keeps_its_positions_and_targets():
    prompt, first, second = [7, 8, 9], [1, 2], [1, 3, 4]
    answers = [(np.array([*prompt, *own]), np.arange(3 + len(own)) >= 3) for own in (first, second)]
    alone = (np.array([5, 6]), np.array([True, True]))
    micro = pack_shared([answers, [alone]], [4, 5, 6])
    assert micro.input_ids.tolist() == [[7, 8, 9, 1, 2, 1, 3, 4, 5, 6]]
    assert micro.position_ids is not None
    assert micro.position_ids.tolist() == [[0, 1, 2, 3, 4, 3, 4, 5, 0, 1]]
    assert (micro.lengths, micro.prompts) == ((3, 2, 3, 2), (-1, 0, 0, -1))
    assert (micro.scored.tolist(), micro.targets.tolist()) == ([2, 3, 2, 5, 6, 8], [1, 2, 1, 3, 4, 6])
    assert (micro.scored_in_rows.tolist(), micro.ends.tolist()) == ([2, 3, 1], [4, 7, 9])
    assert (micro.rows, micro.tokens, micro.numbers.tolist()) == (3, 13, [4, 5, 6])


def test_what_is_learned_and_the_last_token_are_never_shared():
    same = np.array([7, 8, 9])
    assert shared_prompt([(same, same < 8), (same, same > 8)]) == 0  # the first token is learned in one of them
    assert shared_prompt([(same, same > 7), (same, same > 8)]) == 1
    assert shared_prompt([(same, same > 9)] * 2) == 2
    assert shared_prompt([(same, same > 8), (np.array([7, 5, 9]), same > 8)]) == 1


def test_sampled_answers_to_a_prompt_come_together_as_far_as_the_memory_goes():
    answers = [(np.array([7, 8, 9, own, own]), np.arange(5) >= 3) for own in range(8)]
    rows = Sampled(answers, np.zeros(8, np.float32))
    micro_batches = batch(rows, range(8), 1, 9, packed=True, shared=True).micro_batches
    assert [micro.lengths for micro in micro_batches] == [(3, 2, 2, 2), (3, 2, 2, 2), (3, 2, 2)]
    assert sorted(number for micro in micro_batches for number in micro.numbers.tolist()) == list(range(8))
