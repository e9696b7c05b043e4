"""`studio eval`, `chat`, `export`, `doctor`, `schema`, `fields`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from studio.cli import show
from studio.cli.options import Base, Home, Json, RunName
from studio.cli.progress import Progress
from studio.core.errors import SpecError
from studio.core.messages import chat_message

if TYPE_CHECKING:
    from studio.app.runs import Run
    from studio.core.fields import Leaf


def evaluate(
    run: RunName,
    against: Annotated[list[str] | None, typer.Option("--against", help="Additional file of questions; repeatable.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="FILE.py:FUNCTION", help="Custom metric; the file is executed. Repeatable."),
    ] = None,
    as_task: Annotated[
        Path | None,
        typer.Option("--as-task", metavar="FOLDER", help="Only export the held-out rows as an lm-evaluation-harness task."),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            metavar="TASK",
            help="Run tasks of lm-evaluation-harness instead: `own` (the held-out rows), a task's YAML file, or a task's name. "
            "Repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="With --tasks: documents of each task [default: all].", show_default=False)
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Evaluate a run again: base against tuned, with intervals."""
    from studio.app import evidence, runs

    if as_task is not None and (against or metric):
        raise SpecError(
            "--as-task only writes a task; nothing is evaluated by it",
            hint="Leave out --against and --metric, or evaluate in a second command.",
            where="--as-task",
        )
    if tasks and (against or metric or as_task is not None):
        raise SpecError(
            "--tasks runs tasks of lm-evaluation-harness alone", hint="Leave the other options out.", where="--tasks"
        )
    found = runs.find(run, home)
    if tasks:
        _standard(found, [part.strip() for item in tasks for part in item.split(",") if part.strip()], limit, json)
        return
    if as_task is not None:
        written = evidence.write_task(found, as_task)
        show.as_json({"task": written}) if json else show.say(written)
        return
    with Progress() as bar:
        report = evidence.evaluate(found, against or [], metric or [], bar.show)
    if json:
        show.as_json(report.as_json())
        return
    show.evidence(report)
    show.say(f"page: {found.folder.report_page}")


def _standard(run: Run, tasks: list[str], limit: int | None, json: bool) -> None:
    """Standard benchmarks of a run as a table."""
    from studio.app import standard_benchmarks

    with Progress() as bar:
        report = standard_benchmarks.measure(run, tasks, limit=limit, tell=bar.show)
    if json:
        show.as_json(report.as_json())
        return
    show.table(tuple(name.lower() for name in report.columns), report.rows, right=(2, 4))
    for said in (*report.sentences, *report.limits):
        show.say(said)


def chat(
    run_or_model: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_MODEL", help="A run, an export, an adapter folder, or a model: `starter`, a folder, a hub id."
        ),
    ],
    message: Annotated[str | None, typer.Option("--message", "-m", help="Ask one question and exit.")] = None,
    system: Annotated[
        str | None, typer.Option(help="System prompt [default: the one the run was trained with].", show_default=False)
    ] = None,
    base: Base = "",
    temperature: Annotated[float, typer.Option(min=0, max=5, help="0 gives the most likely answer.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Maximum answer length in tokens.")] = 256,
    index: Annotated[
        str,
        typer.Option(
            "--index", metavar="INDEX", help="Answer from the passages of this index, with citations.", show_default=False
        ),
    ] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Chat with base and tuned model side by side."""
    from studio.app.chat import open_grounding, open_talker

    grounding = open_grounding(index, home) if index else None
    talker = open_talker(run_or_model, home, base)
    grounding = grounding.within(talker.context) if grounding else None
    prompt = talker.system if system is None else system
    sides = [False, True] if talker.tuned else [False]
    histories = [[chat_message("system", prompt)] if prompt else [] for _ in sides]
    while True:
        asked = message or _ask()
        if not asked:
            return
        answers = {}
        cited: dict[str, Any] = {}
        for tuned, history in zip(sides, histories, strict=True):
            history.append(chat_message("user", asked))
            name = ("tuned" if tuned else "base ") if talker.tuned else run_or_model
            if not json:
                print(f"{name}: ", end="", flush=True)
            pieces = []
            question, passages = grounding.ground(history) if grounding else (history, [])
            for piece in talker.say(question, tuned, temperature=temperature, max_tokens=max_tokens):
                pieces.append(piece)
                if not json:
                    print(piece, end="", flush=True)
            if not json:
                print()
            history.append(chat_message("assistant", "".join(pieces)))
            answers[name.strip()] = "".join(pieces)
            if grounding:
                sources = grounding.cite("".join(pieces), passages, history[:-1])
                cited[name.strip()] = [item.model_dump() for item in sources]
                for item in [] if json else sources:
                    doubt = "" if item.supported else " (named by the answer; the passage's words do not show it)"
                    show.say(f"  [{item.number}] {item.source}: “{item.quote}”{doubt}")
        if json:
            show.as_json({"question": asked, **answers, **({"citations": cited} if grounding else {})})
        if message:
            return


def _ask() -> str:
    try:
        return input("you: " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""


class ExportCommand(TyperCommand):
    """`studio export`, whose help lists the kinds of export and their settings as the targets define them."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The kinds, each with what `--set` takes."""
        from studio.app import exports

        with formatter.section("Kinds"):
            rows = []
            for kind, section in exports.kinds().items():
                taken = [f"--set {leaf.path}={_values(leaf)}" for leaf in exports.settings(section)]
                rows.append((kind, " ".join([exports.summary(section), *taken])))
            formatter.write_dl(rows)


def _values(leaf: Leaf) -> str:
    return "|".join(str(choice) for choice in leaf.choices) or leaf.path.upper()


def export(
    run: Annotated[
        str, typer.Argument(metavar="RUN_OR_ADAPTER", help="Run id, id prefix, or `last`; or an adapter folder, with --out.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="KIND", help="Kind of export, from the list below.")],
    quant: Annotated[str | None, typer.Option("--quant", help="The same as --set quant=...")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A setting of that kind; repeatable."),
    ] = None,
    deploy: Annotated[
        bool, typer.Option("--deploy", help="Also write deployment files: compose files, commands, checksums, steps.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Also copy the verified export into this new folder.")] = None,
    base: Base = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show size, disk space, memory and time.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Merge, convert and verify: the artifact is loaded in its own runtime and compared with the adapter."""
    from dataclasses import asdict

    from studio import spec
    from studio.app import adapter_exports, exports, runs

    given = spec.parse_settings(settings or [], "--set field=value, for example --set quant=q8_0")
    for name, option, value in (("kind", "--to", to), ("quant", "--quant", quant)):
        if name in given and value is not None:
            raise SpecError(f"this and --set {name} set the same field", hint="Use one of them.", where=option)
    values = {**({} if quant is None else {"quant": quant}), **{name: value for name, value in given.items() if name != "kind"}}
    _checked(to, values)
    found = None if adapter_exports.is_adapter_folder(run) else runs.find(run, home)
    if found is not None and base:
        raise SpecError("a run knows its base model", hint="Leave --base out; it is for adapter folders.", where="--base")
    if dry_run:
        estimate = exports.dry_run(found, to, values) if found else adapter_exports.dry_run(run, to, values, base, home)
        show.as_json(asdict(estimate)) if json else show.export_estimate(estimate)
        return
    if found and not json:
        show.export_estimate(exports.estimate(found, to, values))
    with Progress() as bar:
        if found:
            artifact = exports.export(found, to, values, out, deploy, bar.show)
        else:
            artifact = adapter_exports.export(run, to, values, out, base, home, deploy, bar.show)
    folder = out or (found.folder.exports / artifact.folder if found else artifact.path)
    if json:
        show.as_json(artifact.as_json())
    else:
        show.artifact(artifact)
        show.say(f"  {folder}")
        if deploy:
            show.say(f"  how to serve it: {folder / 'deploy' / 'README.md'}")
    raise typer.Exit(0 if artifact.verification.passed is not False else 1)


def _checked(kind: str, values: dict[str, Any]) -> None:
    """Raises SpecError for an export that there is not, under the name of the option."""
    from studio.app import exports

    try:
        exports.target(kind, values)
    except SpecError as problem:
        raise SpecError(problem.message, hint=problem.hint, where={"kind": "--to"}.get(problem.where, problem.where)) from None


def doctor(
    home: Home = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Move damaged files of the Studio home aside, and list them.")
    ] = False,
    json: Json = False,
) -> None:
    """Check this machine and the Studio home; show each problem with its fix."""
    from dataclasses import asdict

    from studio.app import damage, overview, toolchains, upkeep
    from studio.core.files import studio_home

    root = studio_home(home)
    moved = damage.repair(root) if repair and root.is_dir() else []
    findings = [*overview.problems(root), *toolchains.findings(), *upkeep.check(root)]
    if json:
        show.as_json([asdict(item) for item in findings])
        return
    for item, target in moved:
        show.say(f"set aside: {item.path.relative_to(root)} ({item.sentence(root)}) → {target}")
    marks = {True: "✓", False: "✗", None: "·"}
    show.table(("", "", "found", "fix"), [(marks[item.ok], item.name, item.found, item.fix) for item in findings])


def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List; delete nothing.")] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="KIND",
            help="exports: can be exported again; models: nothing names them; damaged: set aside. Repeatable.",
        ),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show what uses disk space and, after confirmation, delete what is not needed: checkpoints of completed runs, failed
    exports, caches, leftovers."""
    from studio.app import upkeep
    from studio.core.files import studio_home
    from studio.core.text import size

    root = studio_home(home)
    if unknown := sorted(set(also or ()) - set(upkeep.OPTIONAL)):
        raise SpecError(f"there is no kind {unknown[0]!r}", hint=f"Use one of: {', '.join(upkeep.OPTIONAL)}.", where="--also")
    items = upkeep.find_unneeded(root, also or ())
    use = upkeep.disk_use(root)
    if not json:
        show.table(("what", "size"), [(kind, size(taken)) for kind, taken in use.items()], right=(1,))
        rows = [(item.kind, str(item.path.relative_to(root)), size(item.bytes), item.why) for item in items]
        show.table(("not needed", "path", "size", "why"), rows) if rows else show.say("There is nothing to delete.")
    wanted = bool(items) and not dry_run
    if wanted and not yes and not json:
        typer.confirm(f"Delete these {len(items)} for {size(sum(item.bytes for item in items))}?", abort=True)
    freed = upkeep.clean(items) if wanted and (yes or not json) else 0
    if json:
        unneeded = [{"kind": i.kind, "path": str(i.path), "bytes": i.bytes, "why": i.why} for i in items]
        show.as_json({"use": use, "unneeded": unneeded, "freed": freed})
    elif freed:
        show.say(f"{size(freed)} freed")


def schema() -> None:
    """Print the JSON schema of a spec, for editors."""
    from studio import spec

    show.as_json(spec.schema())


def fields(json: Json = False) -> None:
    """List every field of a spec: type, default, help."""
    from studio.app import reference

    rows = reference.rows()
    if json:
        show.as_json([row._asdict() for row in rows])
    else:
        show.table(("field", "values", "default", "help"), [(row.field, row.values, row.default, row.help) for row in rows])
