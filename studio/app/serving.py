"""Use case of serving: runs, models and exports by name behind one OpenAI-compatible server."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from studio.app import gpu_use
from studio.core.errors import ModelError, SpecError
from studio.core.files import make_home
from studio.core.records import Record, RecordError
from studio.core.text import nearest, plural
from studio.processes import watchdog
from studio.processes.identity import ProcessId, process_of
from studio.runs import served_models
from studio.serving.assemble import Source
from studio.serving.limits import Limits

if TYPE_CHECKING:
    from studio.serving.collecting import Collector

EngineName = Literal["auto", "transformers", "llama.cpp", "vllm"]


@dataclass(frozen=True)
class ServeRequest:
    """What was asked for: names as given, and what they are called."""

    models: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict[str, str])
    """Alias to one of `models`."""
    engine: EngineName = "auto"
    limits: Limits = field(default_factory=Limits)
    base: str = ""
    """The base model of the adapter folders among them, where it is not what they name: a folder or a hub id."""


def sources(request: ServeRequest, home: Path) -> list[Source]:
    """What each name stands for: a run, an export, an adapter, a GGUF file, or a model. Raises SpecError, JobError."""
    if not request.models:
        raise SpecError("there is nothing to serve", hint="Name a run, a model or an export: studio serve starter.")
    for alias, target in request.names.items():
        if target not in request.models:
            near = nearest(target, request.models)
            raise SpecError(
                f"--name {alias}={target}: {target} is not among what is served",
                hint=f"Did you mean {near}?" if near else "Name it as an argument too.",
                where="--name",
            )
    found = [served_models.locate(given, home, request.base) for given in dict.fromkeys(request.models)]
    if request.base and not any(one.adapter is not None and not one.run for one in found):
        raise SpecError("no adapter folder is served that needs a base", hint="Leave --base out.", where="--base")
    named = [replace(one, name=alias) for one in found for alias, target in request.names.items() if target == one.requested_as]
    every = [one for one in found if one.requested_as not in request.names.values()] + named
    twice = next((one for place, one in enumerate(every) if one.name in [other.name for other in every[:place]]), None)
    if twice is not None:
        raise SpecError(
            f"two of them are called {twice.name}",
            hint=f"Name one apart: --name ALIAS={twice.requested_as}.",
            where=twice.requested_as,
        )
    only_vllm = next((one for one in every if one.quantized and request.engine != "vllm"), None)
    if only_vllm is not None:
        raise ModelError(
            "its weights are quantised for vLLM, and the studio's own engines do not load them",
            hint="Add --engine vllm, or serve the run's `merged` or `gguf` export.",
            where=only_vllm.requested_as,
        )
    not_a_file = next((one for one in every if one.gguf is None), None)
    if request.engine == "llama.cpp" and not_a_file is not None:
        raise SpecError("llama.cpp serves GGUF files", hint="Name a `gguf` export of it.", where=not_a_file.requested_as)
    a_file = next((one for one in every if one.gguf is not None), None)
    if request.engine == "transformers" and a_file is not None:
        raise SpecError(
            "a GGUF file is served by llama.cpp", hint="Leave --engine transformers out.", where=a_file.requested_as
        )
    return every


SHARE_HINT = "Serve when it has ended, or add --share-gpu if both fit into its memory."


def serve(
    request: ServeRequest,
    home: Path,
    host: str,
    port: int,
    keys: Path | None,
    tell: Callable[[str], None],
    share_gpu: bool = False,
    index: str = "",
    collect: bool = False,
) -> int:
    """Serve until ended by a signal. index: answers are written from its passages, with citations. collect: answers are kept
    in the home, personal data masked, to be rated.

    Returns the exit code. Raises StudioError for what cannot be served.
    """
    from studio import worker
    from studio.hardware import machine
    from studio.http.server import listen
    from studio.http.server import url as address
    from studio.serving import access, server
    from studio.serving.keys import Keys

    worker.set_environment()
    wanted = sources(request, home)
    if request.engine == "vllm" and index:
        raise SpecError(
            "vLLM answers by itself, without passages", hint="Leave --engine vllm out, or --index.", where="--index"
        )
    if request.engine == "vllm" and collect:
        raise SpecError(
            "vLLM answers by itself: its answers are not collected", hint="Leave --engine vllm out, or --collect.",
            where="--collect",
        )  # fmt: skip
    if request.engine == "vllm":
        return _vllm(wanted, request, host, port, keys, tell)
    known = Keys(keys) if keys else None
    access.require_keys(host, known)
    listener = listen(host, port)
    device = machine.probe()
    with contextlib.nullcontext() if share_gpu else gpu_use.or_refuse("studio serve", SHARE_HINT):
        from studio.serving import assemble
        from studio.serving.application import Dispatcher

        dispatcher = Dispatcher()
        grounding = _grounding(index, home, tell) if index else None  # first: two models must not load at once
        models = assemble.assemble(wanted, request.limits, device.device, device.cores, dispatcher)
        if grounding is not None:
            models = {name: replace(model, grounding=grounding) for name, model in models.items()}
        collector = _collector(models, wanted, index, home, tell) if collect else None
        if collector is not None:
            models = {name: replace(model, collector=collector) for name, model in models.items()}
        url = f"{address(host, listener.getsockname()[1])}/v1"
        app = server.application(models, dispatcher, request.limits, known, host)
        with _announced(home, url, list(models), collect):
            tell(f"loading {', '.join(models)}")
            try:
                server.serve(app, listener, request.limits, lambda: tell(f"serving {plural(len(models), 'model')} at {url}"))
            finally:
                if collector is not None:
                    collector.close()
        failed = [item.failed for item in app.schedulers if item.failed is not None]
        if failed:
            raise failed[0]
    return 0


def _grounding(name: str, home: Path, tell: Callable[[str], None]) -> Any:
    """Passages of an index for answers, its embedding model loaded. Raises StudioError."""
    from studio.retrieval import index as retrieval
    from studio.retrieval.grounding import Grounding

    found = retrieval.find(home, name)
    tell(f"answers come from {plural(found.record.passages, 'passage')} of {name}")
    found.search("ready", 1)
    return Grounding(found)


def _collector(models: Collection[str], wanted: list[Source], index: str, home: Path, tell: Callable[[str], None]) -> Collector:
    """Where answers are kept, for each model with its run. Raises StudioError."""
    from studio.app import runs
    from studio.serving.collecting import Collector, Origin

    run_of = {one.name: one.run for one in wanted if one.run}
    origins = {
        name: Origin(
            run_of.get(name, ""), tuple(runs.find(run_of[name], home).spec.data.regions) if name in run_of else (), index
        )
        for name in models
    }
    tell(
        f"collecting answers in {home / 'feedback.sqlite'}, personal data masked (names and addresses are not looked for); "
        'a request with "store": false is left out'
    )
    return Collector(home, origins)


def new_key(file: Path, name: str) -> str:
    """A new API key called `name`, added to the key file, which is made where it is missing. The key is shown only now."""
    from studio.serving import keys

    file.parent.mkdir(parents=True, exist_ok=True)
    return keys.new_key(file, name)


def end_with(owner: str) -> None:
    """End this process when the one called `owner` is gone. Raises SpecError."""
    try:
        process = ProcessId.parse(owner)
    except ValueError:
        raise SpecError(f"`{owner}` does not name a process", hint="Leave --until out.", where="--until") from None
    watchdog.end_with(process)


class ServerNote(Record):
    """The note of a server in its home, `serving/<pid>.json`: there while it listens."""

    label: ClassVar[str] = "note of a server"
    remedy: ClassVar[str] = "Set it aside: studio doctor --repair"

    url: str
    models: tuple[str, ...]
    since: float
    """Seconds since 1970."""
    pid: int
    process: Annotated[ProcessId, BeforeValidator(process_of)]
    collecting: bool = False
    """It keeps answers to be rated."""


def running(home: Path) -> list[ServerNote]:
    """The servers of this home that live; a damaged note is passed over."""
    found: list[ServerNote] = []
    for file in sorted((home / "serving").glob("*.json")):
        with contextlib.suppress(OSError, RecordError):
            note = ServerNote.read(file)
            if note.process.alive():
                found.append(note)
            else:
                file.unlink(missing_ok=True)
    return found


def _vllm(
    wanted: list[Source], request: ServeRequest, host: str, port: int, keys: Path | None, tell: Callable[[str], None]
) -> int:
    from studio.serving import assemble, vllm

    if keys is not None:
        raise SpecError(
            "vLLM takes its key in clear and cannot read hashed ones",
            hint=f"Set {vllm.KEY} instead of --api-key-file.",
            where="--api-key-file",
        )
    with tempfile.TemporaryDirectory(prefix="studio-vllm-") as scratch:
        words = vllm.command(vllm.program(), assemble.vllm_plan(wanted, Path(scratch)), request.limits, host, port)
        tell(" ".join(words))
        return vllm.run(words, host)


@contextlib.contextmanager
def _announced(home: Path, url: str, models: list[str], collecting: bool) -> Generator[None]:
    """A note in the home that this server runs, for the studio to show."""
    me = ProcessId.current()
    file = home / "serving" / f"{me.pid}.json"
    with contextlib.suppress(OSError):
        note = ServerNote(url=url, models=tuple(models), since=time.time(), pid=me.pid, process=me, collecting=collecting)
        make_home(home)
        note.write(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
