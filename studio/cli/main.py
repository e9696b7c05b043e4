"""The `studio` command. Errors are two lines: what and where, then what to do.

Exit codes: 0 done, 1 the work failed, 2 the input is wrong and nothing was started, 3 it does not fit, 130 interrupted.
"""

from __future__ import annotations

import functools
import logging
import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from studio.cli import (
    adapters,
    bench,
    cascade,
    compare,
    config,
    data,
    documents,
    exporters,
    feedback,
    index,
    init,
    judge,
    making,
    notebooks,
    prune,
    push,
    resize,
    results,
    runs,
    savings,
    score,
    serve,
    show,
    sweep,
    train,
    ui,
    users,
)
from studio.core import noise
from studio.core.errors import SpecError, Stopped, StudioError
from studio.core.machine_errors import translate
from studio.core.section import RenamedSetting
from studio.core.text import printable


class _Commands(typer.core.TyperGroup):
    """All commands. Ctrl-C comes out as our own `Stopped`: typer would end with 130 and not say a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped from None


def _version(wanted: bool) -> None:
    if wanted:
        import studio

        typer.echo(f"studio {studio.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    name="studio",
    help="Fine-tune small language models on your own data, measure whether they are better, and serve them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself."""


app.command("demo")(train.demo)
app.command("ui")(ui.ui)
app.add_typer(users.app, name="users")
app.command("audit")(users.audit)
app.command("doctor")(results.doctor)
app.command("clean")(results.clean)
app.add_typer(data.app, name="data")
app.add_typer(documents.app, name="documents")
app.add_typer(index.app, name="index")
app.add_typer(making.app, name="make")
app.command("notebooks")(notebooks.notebooks)
app.command("init")(init.init)
app.command("plan")(train.plan)
app.command("train")(train.train)
app.command("sweep")(sweep.sweep)
app.add_typer(runs.app, name="runs")
app.command("worker")(runs.worker)
app.command("eval")(results.evaluate)
app.command("judge")(judge.judge)
app.command("chat")(results.chat)
app.command("compare")(compare.compare)
app.add_typer(feedback.app, name="feedback")
app.add_typer(cascade.app, name="cascade")
app.command("export", cls=results.ExportCommand)(results.export)
app.command("push")(push.push)
app.add_typer(exporters.app, name="exporters")
app.add_typer(adapters.app, name="adapters")
app.command("prune")(prune.prune)
app.command("resize")(resize.resize)
app.command("savings")(savings.savings)
app.command("score")(score.score)
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.add_typer(config.app, name="config")
app.command("schema")(results.schema)
app.command("fields")(results.fields)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    noise.quiet_loggers()
    warnings.showwarning = _show_warning
    sys.exit(run(arguments))


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    """A warning that is meant for the user in one line, others as Python writes them."""
    text = (
        f"warning: {message}\n" if category is RenamedSetting else warnings.formatwarning(message, category, filename, lineno)
    )
    sys.stderr.write(text)


def run(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    try:
        code: Any = _command()(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except StudioError as error:
        return _refuse(error, error.exit_code, arguments)
    except (KeyboardInterrupt, typer.Abort, Stopped):
        return _refuse(StudioError("interrupted", hint=""), 130, arguments)
    except BrokenPipeError:
        return 1
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)
        if exit_code is not None:
            return _usage(error, int(exit_code), arguments)
        known = translate(error)
        return _refuse(known, known.exit_code, arguments) if known else _bug(error, arguments)


@functools.cache
def _command() -> Any:
    """All commands, put together once a process: who runs several in Python does not wait for it each time."""
    return typer.main.get_command(app)


def _refuse(error: StudioError, exit_code: int, arguments: list[str] | None) -> int:
    """Say what is wrong in two lines on stderr, and with --json in one document on stdout too. Returns the exit code."""
    print(printable(error.sentence), file=sys.stderr)
    if error.hint:
        print(f"→ {printable(error.hint)}", file=sys.stderr)
    if "--json" in (sys.argv[1:] if arguments is None else arguments):
        show.as_json({"error": error.as_dict(), "exit_code": exit_code})
    return exit_code


def _usage(error: Exception, exit_code: int, arguments: list[str] | None) -> int:
    """A mistake in the command line itself, as typer found it."""
    message = getattr(error, "format_message", lambda: str(error))()
    if message and message != "0":
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "studio"
        group = command.removeprefix(str(context.find_root().command_path)).strip() if context else ""
        hint = _for_file(message, group) or f"See {command} --help"
        return _refuse(SpecError(message.rstrip("."), hint=hint), exit_code, arguments)
    return exit_code


def _for_file(message: str, group: str) -> str:
    """The command that was probably meant where a file stands in the place of one; else nothing."""
    named = re.match(r"No such command '(.+)'", message)
    if named is None or group not in ("", "data"):
        return ""
    name = named[1]
    if not (Path(name).exists() or name.startswith(("hub:", "dataset:"))):
        return ""
    verb = "plan" if not group and Path(name).suffix in (".yaml", ".yml") else "data inspect"
    return f"To look at it: studio {verb} {shlex.quote(name)}"


def _bug(error: Exception, arguments: list[str] | None) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="studio-fault-", suffix=".txt", delete=False) as log:
        traceback.print_exc(file=log)
    what = f"internal error in Studio (a bug, not your input): {type(error).__name__}: {error}"
    return _refuse(StudioError(what, hint=f"Please report it with this log: {log.name}"), 1, arguments)
