"""The `studio` command. Errors are two lines: what and where, then what to do.

Exit codes: 0 done, 1 the work failed, 2 the input is wrong and nothing was started, 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from studio.cli import bench, data, exporters, notebooks, push, results, runs, serve, train, ui
from studio.core import noise
from studio.core.errors import Stopped, StudioError


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
    help="Turn your own data into a small language model that is proven better, and serve it.",
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
app.command("doctor")(results.doctor)
app.add_typer(data.app, name="data")
app.command("notebooks")(notebooks.notebooks)
app.command("plan")(train.plan)
app.command("train")(train.train)
app.add_typer(runs.app, name="runs")
app.command("worker")(runs.worker)
app.command("eval")(results.evaluate)
app.command("chat")(results.chat)
app.command("export", cls=results.ExportCommand)(results.export)
app.command("push")(push.push)
app.add_typer(exporters.app, name="exporters")
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.command("schema")(results.schema)
app.command("fields")(results.fields)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    noise.hush()
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    try:
        code: Any = app(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except StudioError as error:
        print(error, file=sys.stderr)
        if error.hint:
            print(f"→ {error.hint}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort, Stopped):
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        usage = _usage(error)
        if usage is not None:
            return usage
        return _fault(error)


def _usage(error: Exception) -> int | None:
    """The exit code of a mistake in the command line itself, told; None for anything else."""
    exit_code = getattr(error, "exit_code", None)
    if exit_code is None:
        return None
    message = getattr(error, "format_message", lambda: str(error))()
    if message and message != "0":
        context = getattr(error, "ctx", None)
        print(message.rstrip("."), file=sys.stderr)
        print(f"→ See {context.command_path if context else 'studio'} --help", file=sys.stderr)
    return int(exit_code)


def _fault(error: Exception) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="studio-fault-", suffix=".txt", delete=False) as log:
        traceback.print_exc(file=log)
    print(f"this is a fault in the studio ({type(error).__name__}: {error})", file=sys.stderr)
    print(f"→ Please report it with this log: {Path(log.name)}", file=sys.stderr)
    return 1
