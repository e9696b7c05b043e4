"""A small model first, a large one where the small is unsure: signals, calibration, a promise on risk, report, gateway."""
