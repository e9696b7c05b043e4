"""`studio serve`: an OpenAI-compatible server."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.cli.options import Home
from studio.core.errors import SpecError

_ENGINES = ("auto", "transformers", "llama.cpp", "vllm")


def serve(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN_OR_MODEL_OR_EXPORT...", help="Runs, models, adapters, exports, GGUF files.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; API keys are required unless it is this machine's loopback address.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 selects a free one.")] = 8000,
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(_ENGINES)}.")] = "auto",
    name: Annotated[list[str] | None, typer.Option("--name", metavar="ALIAS=WHAT", help="Model name for requests.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="File of hashed API keys, created with --new-key.", show_default=False)
    ] = None,
    new_key: Annotated[
        str | None, typer.Option("--new-key", metavar="NAME", help="Create an API key, show it once, and exit.")
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="FOLDER_OR_HUB_ID",
            help="Base model for the adapter folders, instead of the one they name.",
            show_default=False,
        ),
    ] = "",
    max_context: Annotated[
        int | None,
        typer.Option("--max-context", min=16, help="Context length: tokens of prompt and answer.", show_default=False),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            help="Maximum answer length of a request in tokens [default: what the context allows].",
            show_default=False,
        ),
    ] = None,
    max_concurrent: Annotated[int, typer.Option("--max-concurrent", min=1, help="Maximum number of concurrent answers.")] = 16,
    max_queue: Annotated[int, typer.Option("--max-queue", min=0, help="Maximum number of waiting requests.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Default temperature of requests.")] = 0.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds to finish answers after SIGTERM.")] = 20.0,
    share_gpu: Annotated[bool, typer.Option("--share-gpu", help="Let training use the GPU at the same time.")] = False,
    index: Annotated[
        str,
        typer.Option(
            "--index", metavar="INDEX", help="Answer from the passages of this index, with citations.", show_default=False
        ),
    ] = "",
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Keep answers in this home to be rated and corrected, personal data masked."),
    ] = False,
    until: Annotated[str | None, typer.Option("--until", metavar="PROCESS", hidden=True)] = None,
    home: Home = None,
) -> int | None:
    """Serve runs, models and exports behind one OpenAI-compatible API."""
    from studio.core.files import studio_home

    root = studio_home(home)
    if new_key is not None:
        _new_key(api_key_file or root / "api-keys", new_key)
        return None
    if engine not in _ENGINES:
        raise SpecError(f"there is no engine `{engine}`", hint=f"Choose one of {', '.join(_ENGINES)}.", where="--engine")
    from studio.app import serving

    if until is not None:
        serving.end_with(until)
    limits = serving.Limits(
        context=max_context,
        tokens=max_tokens,
        concurrency=max_concurrent,
        queue=max_queue,
        temperature=temperature,
        drain=drain,
    )
    chosen: Any = engine
    request = serving.ServeRequest(tuple(what or ()), _aliases(name or []), chosen, limits, base)
    logging.getLogger("studio.serve").setLevel(logging.INFO)
    return serving.serve(
        request,
        root,
        host,
        port,
        api_key_file,
        lambda line: print(line, file=sys.stderr, flush=True),
        share_gpu,
        index,
        collect,
    )


def _new_key(file: Path, name: str) -> None:
    from studio.app import serving

    print(serving.new_key(file, name))
    print(f"This key will not be shown again. Serve with --api-key-file {file}", file=sys.stderr)


def _aliases(pairs: list[str]) -> dict[str, str]:
    found = {}
    for item in pairs:
        alias, sign, target = item.partition("=")
        if not (alias and sign and target):
            raise SpecError(f"`{item}` is not ALIAS=WHAT", hint="For example --name support=last.", where="--name")
        found[alias] = target
    return found
