"""Where a run's rows come from stands in its report and in what trackers show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio import planner
from studio.data.collected import CollectedRows
from studio.data.made_rows import MadeRows, Teacher
from studio.data.settings import Data
from studio.evaluation.interval import Estimate
from studio.evaluation.report import Compared, Report, SetReport, Verdict
from studio.runs.folder import RunFolder
from studio.runs.mirror import Mirror
from studio.runs.records import LockedModel, RunLock
from studio.tracking.reporter import Silent

MADE = MadeRows(
    job="rows-1", teacher=Teacher(host="api.example.com", model="big", served=("big-0613",), terms="Name us."),
    prompts=("questions/1",), documents=("a.pdf", "b.pdf"), held_out_documents=("b.pdf",), cost=0.25,
)  # fmt: skip


def test_the_report_of_a_run_and_its_trackers_say_who_wrote_the_rows_by_which_prompts_at_what_cost_and_on_what_terms(
    tmp_path: Path,
):
    figure = Compared(*(Estimate(value, value, value, 12) for value in (0.1, 0.9, 0.8)))
    report = Report(
        sets=[SetReport("held-out", 12, [], {"exact_match": figure}, "exact_match", "")],
        verdict=Verdict("better", "Better.", ""), device="cpu", resamples=100, seed=0,
    )  # fmt: skip
    folder = RunFolder(tmp_path)
    people = CollectedRows(kinds={"correction": 2}, models=("bot",), origins=("served",))
    made = {"dataset:rows@1": MADE, "dataset:rows-held-out@1": MADE}
    RunLock(fingerprint="", seed=0, made=made, collected={"dataset:rows@1": people}, model=LockedModel(name="starter")).write(
        folder.lock
    )
    data = Data(train="dataset:rows@1", holdout="dataset:rows-held-out@1")
    planner.with_origins(report, data, folder.lock).write(tmp_path / "report.json")
    read = Report.read(tmp_path / "report.json")
    assert read.made_rows == made
    assert read.collected_rows == {"dataset:rows@1": people}
    assert any("raise `holdout`" in caution for caution in read.verdict.cautions)

    sent: dict[str, Any] = {}

    class Sink:
        def summary(self, figures: dict[str, Any]) -> None:
            sent.update(figures)

        def table(self, *parts: object) -> None:
            """Tables are not looked at here."""

    Mirror(folder, [Sink()], Silent()).evaluated(read)  # pyright: ignore[reportArgumentType]
    assert (sent["data/teacher"], sent["data/cost"]) == ("big", 0.25), "datasets of one job share its cost"
    assert "served as big-0613" in sent["data/made"]
    assert "1 whole document was held out" in sent["data/made"]
    assert sent["data/terms"] == "Cost: 0.2500 dollars. Prompts: questions/1. The teacher's terms: Name us."
    assert "2 corrections" in sent["data/collected"]
