"""From a spec to a resolved spec: every open field decided, with its reason; memory, time, fit."""

from studio.planner.lock import changes_since, day_of, differences, lock
from studio.planner.overcommit import spare, sparing
from studio.planner.plan import Disk, Plan
from studio.planner.resolve import resolve
from studio.planner.rows import Rows, rows, rows_by_characters
from studio.planner.starting import settled, start_folder, take_start
from studio.runs.plan import Alternative, Counts, Decision

__all__ = [
    "Alternative", "Counts", "Decision", "Disk", "Plan", "Rows", "changes_since", "day_of", "differences", "lock", "resolve",
    "rows", "rows_by_characters", "settled", "spare", "sparing", "start_folder", "take_start",
]  # fmt: skip
