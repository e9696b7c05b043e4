"""Planning: every open field decided with a reason, what the run needs, whether it fits, and what makes it repeatable."""

from studio.planner.lock import changes_since, differences, lock
from studio.planner.overcommit import spare, sparing
from studio.planner.plan import Alternative, Counts, Decision, Disk, Plan
from studio.planner.resolve import resolve
from studio.planner.rows import Rows, rows, rows_by_characters

__all__ = [
    "Alternative", "Counts", "Decision", "Disk", "Plan", "Rows", "changes_since", "differences", "lock", "resolve", "rows",
    "rows_by_characters", "spare", "sparing",
]  # fmt: skip
