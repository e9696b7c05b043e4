"""Calibrate, report and serve a cascade: the starter as the small model, a canned API as the large one."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import pytest

from studio.app import cascades, feedback
from studio.app.cascade_questions import Files
from studio.cascade.questions import AnswerChecker, right_rule
from studio.cli.main import run
from studio.core.errors import DataError, JobError, SpecError
from studio.http.server import listen
from tests.remote.loopback import loopback

pytestmark = [pytest.mark.slow, pytest.mark.torch]
ROOT = Path(__file__).parents[2]


def test_from_questions_with_answers_to_an_api_that_routes(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (ROOT / "datasets" / "general.jsonl").read_text().splitlines()]
    parts = {"calibrate": rows[0:80:2], "test": rows[1:80:2]}
    files = {}
    for name, part in parts.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in part))
        unknown = tmp_path / f"{name}.txt"
        unknown.write_text("\n".join(f"What does the {name} gadget number {number} cost?" for number in range(6)))
        files[name] = Files(held_out=(str(file),), out_of_scope=(str(unknown),))
    known = {row["question"]: row["answer"] for row in rows}
    home = tmp_path / "home"
    with loopback(lambda body: known.get(body["messages"][-1]["content"], "I do not know that.")) as api:
        priced = ["--large", f"{api.url}#canned", "--price-in", "1", "--price-out", "1", "--risk", "0.2"]
        assert _cascade("calibrate", "starter", *priced, files=files["calibrate"], home=home) == 0
        folder = cascades.find("last", home)
        cascade = folder.read()
        assert api.received == [], "calibration asks the small model only"
        assert cascade.calibration.kinds == {"held-out": 40, "fresh": 0, "out-of-scope": 6}
        assert any("fresh wordings" in warning for warning in cascade.warnings)
        with pytest.raises(SpecError, match="costs money"):
            cascades.report(folder, files["test"], home)
        with pytest.raises(DataError, match="the cascade was calibrated on"):
            cascades.report(folder, files["calibrate"], home, ceiling=1.0)
        asked: list[float] = []
        with pytest.raises(JobError):
            cascades.report(folder, files["test"], home, ceiling=1.0, confirm=lambda worst: bool(asked.append(worst)))
        assert asked[0] > 0
        assert api.received == [], "nothing is paid before somebody agreed"
        found = cascades.report(folder, files["test"], home, ceiling=1.0)
        assert found.rows == 46
        assert found.large.quality == pytest.approx(40 / 46)
        assert found.small.quality < found.at_target.quality
        bills = len(api.bills)
        assert _cascade("report", "last", "--ceiling", "1", files=files["test"], home=home) == int(not found.held)
        assert len(api.bills) == bills, "what was bought is not paid again"
        assert folder.page.exists()
        assert len(folder.read_tested()) == 46
        assert [item.id for item in cascades.list_cascades(home)] == [cascade.id]

        with pytest.raises(SpecError, match="there is no budget") as dear:
            cascades.serve(folder, home, cascades.Served(), list[str]().append)
        assert dear.value.where == "--budget"
        assert cascades.serve_command(folder).endswith(" --budget 20 --never pii")
        port, end, said = _free_port(), threading.Event(), list[str]()
        how = cascades.Served(port=port, budget=1.0, keep=True)
        running = threading.Thread(target=cascades.serve, args=(folder, home, how, said.append, end), daemon=True)
        running.start()
        try:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            routes = {}
            for row in [*parts["test"][:4], {"question": "What does the Zorvan gadget cost?"}]:
                body = {"model": "cascade", "messages": [{"role": "user", "content": row["question"]}]}
                routes[row["question"]] = _post(url, body, running).json()["studio"]
        finally:
            end.set()
            running.join(30)
        assert {about["route"] for about in routes.values()} <= {"local", "large"}
        assert routes["What does the Zorvan gadget cost?"]["route"] == "large"
        kept = feedback.list_feedback(home=home)
        assert "What does the Zorvan gadget cost?" in {item.question for item in kept}
        assert {item.correction for item in kept if "Zorvan" in item.question} == {"I do not know that."}
        assert not running.is_alive()


def _cascade(*words: str, files: Files, home: Path) -> int:
    """The command."""
    asked = [option for file in files.held_out for option in ("--held-out", file)]
    asked += [option for file in files.out_of_scope for option in ("--out-of-scope", file)]
    return run(["cascade", *words, *asked, "--home", str(home), "--json"])


def _free_port() -> int:
    listener = listen("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    listener.close()
    return port


def _post(url: str, body: dict, running: threading.Thread) -> httpx.Response:
    for _ in range(600):
        try:
            return httpx.post(url, json=body, timeout=300)
        except httpx.ConnectError:
            assert running.is_alive()
            threading.Event().wait(0.1)
    raise AssertionError("the cascade was not served within a minute")


def test_a_large_model_that_answers_in_a_sentence_is_right() -> None:
    references = ["MC-15", "36 months", "oak"]
    right = AnswerChecker(right_rule(references), references)
    assert right("MC-15", "The code on the box is MC-15.")
    assert not right("MC-15", "The code on the box is MC-16.")
