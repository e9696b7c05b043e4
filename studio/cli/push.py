"""`studio push`: a verified export to a hub repository."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home


def push(
    what: Annotated[str, typer.Argument(metavar="RUN_OR_EXPORT", help="A run, or the folder of an export.")],
    to: Annotated[str, typer.Option("--to", metavar="USER/NAME", help="The repository; created if it does not exist.")],
    target: Annotated[
        str | None, typer.Option("--target", help="Which export of the run: its kind or folder, e.g. merged, gguf-q8_0.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make the repository public; without it, it is private.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    home: Home = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; needs --yes.")] = False,
) -> None:
    """Upload a verified export to the Hugging Face hub, private unless --public is passed.

    The token comes from HF_TOKEN, the system keyring or `hf auth login`. After an interruption push again: what has arrived
    is not sent twice.
    """
    import os

    from studio.app import exports
    from studio.core.errors import SpecError
    from studio.core.text import plural, size

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    upload = exports.prepare_upload(what, to, public, target, home)
    if not json:
        show.table(("file", "size"), [(path, size(count)) for path, count in upload.files], right=(1,))
        seen = "private" if upload.private else "PUBLIC"
        show.say(f"{plural(len(upload.files), 'file')}, {size(upload.bytes)}, {upload.status} → {to} ({seen})", "bold")
    if exports.caveat(upload.artifact):
        print(f"! {exports.caveat(upload.artifact)}", file=sys.stderr)
    if not yes:
        if json or not sys.stdin.isatty():
            raise SpecError("cannot ask for confirmation: not a terminal", hint="Pass --yes.", where="studio push")
        typer.confirm("Upload?", abort=True)
    record = exports.upload(upload, lambda line: print(line, file=sys.stderr, flush=True))
    if json:
        show.as_json(record.as_json())
        return
    show.say(f"pushed: {record.url}", "green")
    show.say(f"commit {record.commit}, kept in {upload.artifact.path / 'pushed.json'}")
