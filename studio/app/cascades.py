"""Use cases of cascades: calibrate, report, serve, list."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import cascade_questions, local_server
from studio.app.cascade_questions import Files
from studio.app.local_server import Local
from studio.core.errors import JobError, SpecError
from studio.core.files import append_json, make_home, write_text
from studio.core.text import printable

if TYPE_CHECKING:
    import threading

    from markupsafe import Markup

    from studio.cascade.escalated import Escalated
    from studio.cascade.questions import Question, Right
    from studio.cascade.record import Cascade, CascadeFolder, CascadeReport
    from studio.remote.client import Client
    from studio.remote.endpoint import Endpoint

Tell = Callable[[int, int, str], None]
LONGEST = 256
"""Tokens of an answer where the run's evidence says nothing."""


@dataclass(frozen=True)
class Served:
    """How a cascade is served. budget: US dollars for the large model in all; keep: escalated answers are written down."""

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    budget: float | None = None
    never: tuple[str, ...] = ()
    shadow: bool = False
    keep: bool = False


def list_cascades(home: Path) -> list[Cascade]:
    """The cascades of a home, the newest first. Damaged ones are left out; `find` says why."""
    from studio.cascade.record import CascadeFolder
    from studio.core.records import RecordError

    found: list[Cascade] = []
    for file in (home / "cascades").glob("*/cascade.json"):
        try:
            found.append(CascadeFolder(file.parent).read())
        except RecordError:
            continue
    return sorted(found, key=lambda cascade: -cascade.created)


def find(name: str, home: Path) -> CascadeFolder:
    """The folder of a cascade by its id, the beginning of one, or `last`. Raises JobError."""
    from studio.cascade.record import CascadeFolder

    known = [cascade.id for cascade in list_cascades(home)]
    matches = (
        known[:1] if name == "last" else [one for one in known if one == name] or [one for one in known if one.startswith(name)]
    )
    if len(matches) != 1:
        problem = "there is no such cascade" if not matches else f"several cascades match: {', '.join(matches)}"
        raise JobError(problem, hint="List them: studio cascade list.", where=name)
    return CascadeFolder(home / "cascades" / matches[0])


def calibrate(
    small: str,
    large: Endpoint,
    files: Files,
    home: Path,
    *,
    risk: float = 0.02,
    level: float = 0.95,
    right: str = "",
    max_tokens: int | None = None,
    tell: Tell = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[CascadeFolder, Cascade]:
    """Choose signal and threshold for a small model. Asks the small model only; the large one costs nothing here.

    files: without any, the run's held-out rows. risk: the share of all questions that may be local and wrong; level: how sure
    that is. Raises DataError for questions that the run was trained on, SpecError, JobError.
    """
    from studio.cascade.calibration import calibrate as fit
    from studio.cascade.calibration import warnings
    from studio.cascade.questions import right_rule
    from studio.cascade.record import Cascade, CascadeFolder
    from studio.runs import served_models

    small = served_models.lasting_name(small, home)
    if not (0 < risk < 1 and 0.5 <= level < 1):
        raise SpecError(
            "expected a risk above 0 and a level from 0.5 to below 1", hint="For example --risk 0.02.", where="--risk"
        )
    with _small(small, home) as (local, client):
        questions = cascade_questions.read(files, small, home, local.system)
        cascade_questions.refuse_trained(questions, small, home)
        rule = right_rule([item.reference for item in questions if item.reference], right)
        longest = max_tokens or _longest(small, home)
        rows = _ask_small(client, questions, longest, rule, tell, stop)
    found = fit(rows, risk, level)
    name = f"{_name(small)}-{secrets.token_hex(2)}"
    folder = CascadeFolder(make_home(home) / "cascades" / name)
    cascade = Cascade(
        id=name, created=time.time(), small=small, large=large, max_tokens=longest, right=rule, calibration=found,
        warnings=(*warnings(found), *cascade_questions.chosen_on(files, small, home)),
    )  # fmt: skip
    folder.path.mkdir(parents=True)
    for row in rows:
        append_json(folder.rows, row.as_json())
    cascade.write(folder.record)
    return folder, cascade


def report(
    folder: CascadeFolder,
    files: Files,
    home: Path,
    *,
    ceiling: float | None = None,
    small_cost_per_hour: float = 0.0,
    confirm: Callable[[float], bool] = lambda worst: True,
    tell: Tell = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
) -> CascadeReport:
    """The cascade on questions that nothing of it was made from; both models answer all of them.

    ceiling: US dollars that the large model's answers may cost at most; what was bought before is not paid again. confirm is
    asked with the worst case before anything is paid. Raises DataError for a question of the calibration, CeilingReached.
    """
    from studio.cascade import report as reports
    from studio.cascade.asking import ask_large, worst_cost
    from studio.cascade.page import render
    from studio.cascade.questions import AnswerChecker

    cascade, calibration = folder.read(), folder.read_rows()
    if not files:
        raise SpecError(
            "there are no questions to test on", hint="Name files: --held-out, --fresh, --out-of-scope.", where="--held-out"
        )
    _require_limit(cascade.large, ceiling, "ceiling")
    with _small(cascade.small, home) as (local, client), _large(cascade.large, home, ceiling) as large:
        questions = cascade_questions.read(files, cascade.small, home, local.system)
        cascade_questions.refuse_known(questions, [row.question for row in calibration])
        cascade_questions.refuse_trained(questions, cascade.small, home)
        worst = worst_cost(large, questions, cascade.max_tokens)
        if worst and not confirm(worst):
            raise JobError(
                "cancelled: the large model was not asked", hint="Run the command again to continue.", where=folder.path.name
            )
        small = _ask_small(client, questions, cascade.max_tokens, cascade.right, tell, stop)
        right = AnswerChecker(cascade.right, [item.reference for item in questions])
        bought = ask_large(large, questions, cascade.max_tokens, right, tell, stop)
    found = reports.report(cascade, calibration, small, bought, small_cost_per_hour)
    folder.tested.unlink(missing_ok=True)
    for one, other in zip(small, bought, strict=True):
        append_json(folder.tested, {"small": one.as_json(), "large": other.as_json()})
    write_text(folder.page, render(cascade, found))
    found.write(folder.report)
    return found


def page(folder: CascadeFolder) -> Markup:
    """What a page shows of a cascade: its report, or how it was calibrated while there is none."""
    from studio.cascade import page as pages
    from studio.cascade.record import CascadeReport

    cascade = folder.read()
    if folder.report.exists():
        return pages.body(cascade, CascadeReport.read(folder.report))
    return pages.calibrated(cascade)


def serve_command(folder: CascadeFolder) -> str:
    """The command that serves a cascade; with a budget where its large model costs something."""
    from studio.remote.prices import PriceUnknown, price_of

    free = False
    with suppress(PriceUnknown):
        free = price_of(folder.read().large).free
    return f"studio cascade serve {folder.path.name}{'' if free else ' --budget 20'} --never pii"


def serve(
    folder: CascadeFolder, home: Path, how: Served, say: Callable[[str], None], end: threading.Event | None = None
) -> int:
    """Serve a cascade as an OpenAI-compatible API until ended by a signal, or by `end` in another thread than the first.

    Raises SpecError for a large model that costs something without a budget, before any model is loaded.
    """
    from studio.cascade.gateway import NAME, Gateway
    from studio.cascade.routing import Rules
    from studio.http.hosts import LOOPBACK
    from studio.http.server import Server, listen
    from studio.http.server import url as address
    from studio.http.shell import Shell
    from studio.serving import access
    from studio.serving.keys import Keys
    from studio.serving.limits import Limits

    cascade = folder.read()
    unknown = [name for name in how.never if name != "pii"]
    if unknown:
        raise SpecError(f"`{unknown[0]}` is not a known kind", hint="Valid: pii.", where="--never")
    _require_limit(cascade.large, how.budget, "budget")
    keys = Keys(how.keys) if how.keys else None
    access.require_keys(how.host, keys)
    listener, limits = listen(how.host, how.port), Limits()
    for warning in cascade.warnings:
        say(f"warning: {warning}")
    with (
        _small(cascade.small, home) as (local, small),
        _large(cascade.large, home, how.budget, folder.ledger, patience=5.0) as large,
    ):
        rules = Rules(tuple(name for name in how.never if name == "pii"), how.shadow)
        kept = _escalated(cascade, home, say) if how.keep else None
        gateway = Gateway(cascade, small, large, rules, kept, local.system)
        shell = Shell(gateway.application(), access.rules(keys, LOOPBACK | {how.host.lower()}, limits, gateway.metrics.http))
        say(f"serving `{NAME}` at {address(how.host, listener.getsockname()[1])}/v1: {cascade.calibration.promise}")
        try:
            Server(shell, limits.drain).run_on(listener, end)
        finally:
            if kept is not None:
                kept.close()
    return 0


def _escalated(cascade: Cascade, home: Path, say: Callable[[str], None]) -> Escalated:
    """What keeps escalated questions, and says so."""
    from studio.cascade.escalated import Escalated
    from studio.runs import served_models

    say(
        f"keeping escalated questions in {home / 'feedback.sqlite'}, personal data masked (names and addresses are not looked "
        'for); a request with "store": false is left out'
    )
    run = served_models.run_of(cascade.small, home)
    if run is None:
        return Escalated(home, cascade.id, cascade.small)
    return Escalated(home, cascade.id, run.id, run.id, run.spec().data.regions)


def _require_limit(large: Endpoint, usd: float | None, option: str) -> None:
    """Refuse a large model that costs something without a limit in US dollars, by the option that sets it."""
    from studio.remote.prices import price_of, require_limit

    hint = f"Set it in US dollars; it is never exceeded: --{option} 5."
    require_limit(large.model, price_of(large), usd, where=f"--{option}", hint=hint, what=option)


@contextmanager
def _small(name: str, home: Path) -> Generator[tuple[Local, Client]]:
    from studio.remote.client import Client

    with local_server.serve(name, home) as local, Client(local.endpoint, patience=30.0) as client:
        yield local, client


@contextmanager
def _large(
    endpoint: Endpoint, home: Path, usd: float | None, ledger: Path | None = None, patience: float = 300.0
) -> Generator[Client]:
    """The large model's client. With a ledger, as it is served: nothing is cached, and the budget holds across restarts."""
    from studio.remote.answers import FILE, Answers
    from studio.remote.ceiling import Ceiling
    from studio.remote.client import Client

    ceiling = Ceiling(usd, ledger) if usd is not None else None
    answers = None if ledger else Answers(home / FILE)
    try:
        with Client(endpoint, ceiling=ceiling, answers=answers, patience=patience) as client:
            yield client
    finally:
        if answers is not None:
            answers.close()
        if ceiling is not None:
            ceiling.close()


def _ask_small(
    client: Client, questions: list[Question], longest: int, rule: Right, tell: Tell, stop: Callable[[], bool]
) -> list[Any]:
    from studio.cascade.asking import ask_small
    from studio.cascade.questions import AnswerChecker

    return ask_small(client, questions, longest, AnswerChecker(rule, [item.reference for item in questions]), tell, stop)


def _longest(small: str, home: Path) -> int:
    """The limit that the run's evidence was measured with."""
    from studio.evaluation.report import Report
    from studio.runs import served_models

    run = served_models.run_of(small, home)
    if run is None or not run.report.exists():
        return LONGEST
    return max((part.max_new_tokens for part in Report.read(run.report).sets), default=LONGEST)


def _name(small: str) -> str:
    plain = "".join(
        sign if sign.isalnum() or sign in "-_." else "-" for sign in printable(Path(small.partition("#")[2] or small).name)
    )
    return plain.strip("-.")[:40] or "cascade"
