"""From a spec to a resolved spec: every open field decided, with its reason; memory, time, fit."""

from studio.planner.lock import changes_since, collected_in, differences, lock, made_in, made_rows
from studio.planner.mixing import mix_in
from studio.planner.oom_recovery import next_oom_fallback, recover_from_oom
from studio.planner.origins import held_out_from, with_origins
from studio.planner.plan import Disk, Plan
from studio.planner.resolve import resolve
from studio.planner.rows import Rows, rows, rows_by_characters
from studio.planner.sampling import Expected, expected, rows_for
from studio.planner.starting import settled, start_folder, take_start
from studio.planner.teaching import refuse_without_teacher, teacher
from studio.runs.plan import Alternative, Counts, Decision
from studio.runs.records import day_of

__all__ = [
    "Alternative",
    "Counts",
    "Decision",
    "Disk",
    "Expected",
    "Plan",
    "Rows",
    "changes_since",
    "collected_in",
    "day_of",
    "differences",
    "expected",
    "held_out_from",
    "lock",
    "made_in",
    "made_rows",
    "mix_in",
    "next_oom_fallback",
    "recover_from_oom",
    "refuse_without_teacher",
    "resolve",
    "rows",
    "rows_by_characters",
    "rows_for",
    "settled",
    "start_folder",
    "take_start",
    "teacher",
    "with_origins",
]  # fmt: skip
