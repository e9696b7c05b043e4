"""Studio: turn your own data into a small language model that is proven better, and serve it.

    import studio
    spec = studio.RunSpec(name="bot", data={"train": "faq.csv"})
    studio.inspect("faq.csv"); studio.plan(spec)
    run = studio.train(spec)
    run.report; run.chat("hello"); run.export("gguf", quant="q4_k_m")

Importing it is quick: what is heavy loads when it is first used.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.app.answer_comparison import Comparison, compare_answers
    from studio.app.cascade_python import CalibratedCascade, calibrate_cascade
    from studio.app.datasets import findings, inspect, preview
    from studio.app.documents import add_documents
    from studio.app.feedback import feedback_dataset, list_feedback, rate_answer
    from studio.app.indexes import build_index, search_index
    from studio.app.judging import judge, opinion
    from studio.app.library import add_dataset
    from studio.app.making import MakingJob, MakingSpec, make_rows, plan_rows
    from studio.app.notebook import Run, compare, find, list_runs, start, sweep, train, watch
    from studio.app.plans import plan
    from studio.app.run_updates import Update
    from studio.core.errors import StudioError
    from studio.core.resources import sample
    from studio.spec import RunSpec, edit, load

__version__ = "0.1.0"
__all__ = [
    "CalibratedCascade", "Comparison", "MakingJob", "MakingSpec", "Run", "RunSpec", "StudioError", "Update",
    "add_dataset", "add_documents", "build_index", "calibrate_cascade", "compare", "compare_answers", "edit",
    "feedback_dataset", "find", "findings", "inspect", "judge", "list_feedback", "list_runs", "load", "make_rows",
    "opinion", "plan", "plan_rows", "preview", "rate_answer", "sample", "search_index", "start", "sweep", "train",
    "watch",
]  # fmt: skip

_HOMES = {
    "studio.spec": ("RunSpec", "edit", "load"),
    "studio.app.run_updates": ("Update",),
    "studio.app.answer_comparison": ("Comparison", "compare_answers"),
    "studio.app.cascade_python": ("CalibratedCascade", "calibrate_cascade"),
    "studio.app.documents": ("add_documents",),
    "studio.app.feedback": ("feedback_dataset", "list_feedback", "rate_answer"),
    "studio.app.indexes": ("build_index", "search_index"),
    "studio.app.judging": ("judge", "opinion"),
    "studio.app.datasets": ("findings", "inspect", "preview"),
    "studio.app.library": ("add_dataset",),
    "studio.app.making": ("MakingJob", "MakingSpec", "make_rows", "plan_rows"),
    "studio.app.plans": ("plan",),
    "studio.app.notebook": ("Run", "compare", "find", "list_runs", "start", "sweep", "train", "watch"),
    "studio.core.errors": ("StudioError",),
    "studio.core.resources": ("sample",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            import importlib

            # `studio.training` and friends are packages: a name is looked up once and then kept
            value = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'studio' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _guard_connections() -> None:
    """Watch where this process connects to, if a web studio that others reach has started it."""
    if os.environ.get("STUDIO_OUTBOUND", "").startswith("shared:"):
        from studio.core import outbound

        outbound.guard()


def _show_in_notebook() -> None:
    """Have results shown as HTML where an IPython shell imports this package."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from studio.app import display

        display.install(shell)


_show_in_notebook()
_guard_connections()
