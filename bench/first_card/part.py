"""`python -m bench.first_card.part NAME OUT [--pretend]`: one part of the first run on a GPU, in this process."""

from __future__ import annotations

import contextlib
import importlib
import sys
import tempfile
from pathlib import Path

from bench.first_card.bench import Bench


def main() -> int:
    """Run one part; every check is a line of OUT/card.jsonl as soon as it is known."""
    name, out, pretend = sys.argv[1], Path(sys.argv[2]), "--pretend" in sys.argv
    with contextlib.ExitStack() as stack:
        if pretend:
            from bench.first_card.pretended import pretended

            stack.enter_context(pretended())
        else:
            from studio import worker

            worker.set_environment()
        from studio.models import libraries

        libraries.import_heavy()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="first-card-", ignore_cleanup_errors=True)))
        bench = Bench(name, out / "card.jsonl", folder, pretend)
        importlib.import_module(f"bench.first_card.{name}").measure(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
