"""Graphics cards: what a run can expect of each, so that a plan can be made for a card that is not in this machine.

Memory is the total the driver reports, in GiB: cards whose GDDR6 keeps its error correction in the same chips (T4, L4, A10,
A40, L40) have a sixteenth less than their nominal size. Bandwidth is in GB/s. `tflops` is the dense 16-bit tensor rate
with 32-bit accumulation, the one training uses: GeForce cards run it at half the rate of 16-bit accumulation, and vendors
print the sparse rate, twice the dense one.

Sources: NVIDIA's architecture whitepapers (Turing 2018, GA102 2020, A100 2020, Ada 2022, Hopper 2022, RTX Blackwell 2025),
product data sheets (T4, A10, A30, A40, L4, L40, L40S, H100, H200, B200, RTX A- and Ada series), and compute capabilities from
developer.nvidia.com/cuda-gpus. None was measured here but the H200's rate: 788 of 989 TFLOP/s in large products.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from studio.core.errors import SpecError
from studio.core.text import nearest

GIB = 1 << 30


@dataclass(frozen=True)
class Card:
    """One card. tflops: dense 16-bit TFLOP/s, 32-bit accumulation; bandwidth in GB/s; memory in GiB."""

    name: str
    memory: float
    capability: tuple[int, int]
    bandwidth: float
    tflops: float

    @property
    def bf16(self) -> bool:
        """True if the card computes bfloat16 in hardware: compute capability 8.0 (Ampere) and later."""
        return self.capability >= (8, 0)

    @property
    def bytes(self) -> int:
        """Total memory in bytes."""
        return round(self.memory * GIB)


def _cards(capability: tuple[int, int], *rows: tuple[str, float, float, float]) -> tuple[Card, ...]:
    return tuple(Card(name, memory, capability, bandwidth, tflops) for name, memory, bandwidth, tflops in rows)


CARDS: tuple[Card, ...] = (
    *_cards(
        (7, 5),
        ("RTX 2060", 6, 336, 25.8),
        ("RTX 2070", 8, 448, 29.9),
        ("RTX 2080", 8, 448, 40.3),
        ("RTX 2080 Ti", 11, 616, 53.8),
        ("T4", 15, 320, 65),
    ),
    *_cards((8, 0), ("A30", 24, 933, 165), ("A100 40GB", 40, 1555, 312), ("A100 80GB", 80, 2039, 312)),
    *_cards(
        (8, 6),
        ("RTX 3050", 8, 224, 18.2),
        ("RTX 3060", 12, 360, 25.6),
        ("RTX 3060 Ti", 8, 448, 32.4),
        ("RTX 3070", 8, 448, 40.6),
        ("RTX 3070 Ti", 8, 608, 43.5),
        ("RTX 3080", 10, 760, 59.5),
        ("RTX 3080 12GB", 12, 912, 61.3),
        ("RTX 3080 Ti", 12, 912, 68.2),
        ("RTX 3090", 24, 936, 71),
        ("RTX 3090 Ti", 24, 1008, 80),
        ("RTX A2000", 12, 288, 31.9),
        ("RTX A4000", 16, 448, 76.7),
        ("RTX A4500", 20, 640, 94.6),
        ("RTX A5000", 24, 768, 111.1),
        ("RTX A6000", 48, 768, 154.8),
        ("A10", 22.5, 600, 125),
        ("A10G", 22.5, 600, 70),
        ("A40", 45, 696, 149.7),
    ),
    *_cards(
        (8, 9),
        ("RTX 4060", 8, 272, 30.2),
        ("RTX 4060 Ti", 8, 288, 44.1),
        ("RTX 4060 Ti 16GB", 16, 288, 44.1),
        ("RTX 4070", 12, 504, 58.3),
        ("RTX 4070 Super", 12, 504, 71),
        ("RTX 4070 Ti", 12, 504, 80.2),
        ("RTX 4070 Ti Super", 16, 672, 88.2),
        ("RTX 4080", 16, 717, 97.5),
        ("RTX 4080 Super", 16, 736, 104.4),
        ("RTX 4090", 24, 1008, 165.2),
        ("RTX 4000 Ada", 20, 360, 106.9),
        ("RTX 5000 Ada", 32, 576, 261.1),
        ("RTX 6000 Ada", 48, 960, 364.2),
        ("L4", 22.5, 300, 121),
        ("L40", 45, 864, 181),
        ("L40S", 45, 864, 362),
    ),
    *_cards((9, 0), ("H100 PCIe", 79.6, 2000, 756), ("H100", 79.6, 3350, 989), ("H200", 140.4, 4800, 989)),
    *_cards((10, 0), ("B200", 179, 7700, 2250)),
    *_cards(
        (12, 0),
        ("RTX 5060", 8, 448, 38.4),
        ("RTX 5060 Ti", 8, 448, 47.4),
        ("RTX 5060 Ti 16GB", 16, 448, 47.4),
        ("RTX 5070", 12, 672, 61.7),
        ("RTX 5070 Ti", 16, 896, 87.9),
        ("RTX 5080", 16, 960, 112.6),
        ("RTX 5090", 32, 1792, 209.5),
        ("RTX PRO 6000 Blackwell", 95.6, 1792, 503.8),
    ),
)
"""All cards known, by generation."""


def find(name: str) -> Card:
    """The card a person means: `RTX 4090`, `4090`, `NVIDIA GeForce RTX 4090`, `a100 80gb`.

    A name that two sizes share means the smaller one. Raises SpecError with the nearest name.
    """
    found = match(name)
    if found:
        return found
    near = nearest(_key(name), [_key(card.name) for card in CARDS])
    meant = next((card.name for card in CARDS if _key(card.name) == near), None)
    raise SpecError(
        f"`{name}` is not a GPU that the studio knows",
        hint=f"Did you mean `{meant}`?" if meant else f"Known: {', '.join(card.name for card in CARDS)}.",
        where="--gpu",
    )


def match(name: str, total: int | None = None) -> Card | None:
    """The card with this name or None; `total` bytes tell sizes that share a name apart (`NVIDIA A100-SXM4-80GB`)."""
    wanted = _key(name)
    candidates = [card for card in CARDS if _bare(card.name) == _bare(name)]
    if not candidates:
        return None
    if total is not None:
        return min(candidates, key=lambda card: abs(card.bytes - total))
    exact = [card for card in candidates if _key(card.name) == wanted]
    return (exact or sorted(candidates, key=lambda card: card.memory))[0]


_NOISE = frozenset(  # words that do not tell cards apart
    "nvidia geforce tesla quadro rtx generation gpu sxm sxm2 sxm4 sxm5 hbm3 workstation server edition".split()  # noqa: SIM905
)


def _key(name: str) -> str:
    """A name as it is compared: lower case, without maker, brand words and board form."""
    words = re.sub(r"[^a-z0-9]+", " ", re.sub(r"rtx(?=\d)", "rtx ", name.lower())).split()
    dropped = _NOISE if "h100" in words else {*_NOISE, "pcie"}
    kept = [word for word in words if word not in dropped]
    joined = " ".join(kept)
    joined = re.sub(r"(\d)(ti|super)\b", r"\1 \2", joined)
    return re.sub(r"\b(\d+) ?gb\b", r"\1gb", joined)


def _bare(name: str) -> str:
    """The name without a memory size."""
    return re.sub(r"\b\d+gb\b", "", _key(name)).strip()
