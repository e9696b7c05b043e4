"""How many tokens a second a run trains: what figures let expect, and what like runs on this machine reached."""

from __future__ import annotations

from studio.hardware import history, speed
from studio.planner.case import UNKNOWN_CARD, Case, Fit
from studio.spec import ResolvedSpec

FORWARD = 0.4
"""What scoring a token costs of what training on it does: the forward pass alone."""


def expected(spec: ResolvedSpec, case: Case, chosen: Fit) -> speed.Rate:
    """The range from figures alone; on a card whose rates are not known that of a usual one, for only ratios to it count."""
    scored, gpu = case.rows.scored, case.machine.gpu
    if case.cuda and gpu:
        known = (gpu.flops, gpu.bandwidth) if gpu.flops else UNKNOWN_CARD
        by_card = speed.gpu_rate(case.dims, chosen.typical, *known, scored)
        if by_card:
            return by_card
    return speed.cpu_rate(case.dims, chosen.typical, spec.training.threads, case.machine.cpu_bf16, scored)


def rate(case: Case, chosen: Fit, expected: speed.Rate) -> speed.Rate | None:
    """As like runs on this machine went, else from figures; None on a card of which nothing is known."""
    past = () if case.machine.assumed else case.earlier_runs
    found = history.pace(past, case.machine.name, case.dims.parameters, chosen.peak.dtype, chosen.packing)
    if found:
        return speed.Rate(found.low * expected.high, found.high * expected.high, f"as {found.runs} like runs on this machine")
    gpu = case.machine.gpu
    return None if case.cuda and gpu and not gpu.flops else expected
