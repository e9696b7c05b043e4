"""Cards are found by the names people and drivers use."""

from __future__ import annotations

import pytest

from studio.core.errors import SpecError
from studio.hardware import cards

GIB = 1 << 30


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("RTX 4090", "RTX 4090"),
        ("4090", "RTX 4090"),
        ("rtx4070ti", "RTX 4070 Ti"),
        ("NVIDIA GeForce RTX 3060", "RTX 3060"),
        ("RTX 4060 Ti", "RTX 4060 Ti"),
        ("4060 ti 16 GB", "RTX 4060 Ti 16GB"),
        ("A100", "A100 40GB"),
        ("a100 80gb", "A100 80GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
    ],
)
def test_a_card_is_found_by_the_name_a_person_says(said: str, meant: str) -> None:
    assert cards.find(said).name == meant


@pytest.mark.parametrize(
    ("name", "gib", "meant"),
    [
        ("NVIDIA A100-SXM4-80GB", 80, "A100 80GB"),
        ("NVIDIA A100-PCIE-40GB", 40, "A100 40GB"),
        ("NVIDIA GeForce RTX 4060 Ti", 16, "RTX 4060 Ti 16GB"),
        ("NVIDIA GeForce RTX 3080", 12, "RTX 3080 12GB"),
        ("NVIDIA H100 80GB HBM3", 80, "H100"),
    ],
)
def test_sizes_that_share_a_name_are_told_apart_by_their_memory(name: str, gib: int, meant: str) -> None:
    found = cards.match(name, gib * GIB)
    assert found is not None
    assert found.name == meant


def test_an_unknown_card_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError) as caught:
        cards.find("RTX 4095")
    assert "RTX 4090" in caught.value.hint


def test_a_laptop_card_is_not_taken_for_its_desktop_namesake() -> None:
    assert cards.match("NVIDIA GeForce RTX 4090 Laptop GPU") is None


def test_every_card_is_named_once_and_has_plausible_figures() -> None:
    assert len({card.name for card in cards.CARDS}) == len(cards.CARDS) >= 40
    for card in cards.CARDS:
        assert 4 <= card.memory <= 200, card
        assert 100 <= card.bandwidth <= 10_000, card
        assert 10 <= card.tflops <= 3_000, card
        assert card.bf16 == (card.capability >= (8, 0))


def test_an_unknown_card_is_wrong_input_to_a_plan() -> None:
    with pytest.raises(SpecError) as caught:
        cards.find("toaster")
    assert caught.value.exit_code == 2
    assert caught.value.where == "--gpu"
