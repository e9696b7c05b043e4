"""What a benchmark was measured under, where a test needs a result and no measurement."""

from __future__ import annotations

from studio.benchmark.result import Conditions, MeasuredOn

CONDITIONS = Conditions(source="here", rows=5, repeats=3, max_tokens=9, warm_up=2, metric="exact_match")
MACHINE = MeasuredOn(name="m", cores=2)
