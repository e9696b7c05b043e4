"""The process that holds a model for a chat: `python -m studio.app.chat_process [--run ID | --model NAME] --home DIR`.

One JSON object a line. In: `{"messages": [...], "tuned": bool, "sampling": {...}}`. Out: `{"ready": true, "tuned": bool}`
once, then for each question any number of `{"piece": "..."}` and one `{"end": true}`, or `{"error": {...}}`. It ends when its
input ends, and with it all the memory it had.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from studio.core.errors import StudioError


def main(arguments: list[str] | None = None) -> int:
    """Load, then answer until the input ends."""
    words = argparse.ArgumentParser()
    words.add_argument("--run")
    words.add_argument("--model")
    words.add_argument("--home", required=True)
    given = words.parse_args(arguments)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not stand between our lines

    def say(**values: Any) -> None:
        out.write(json.dumps(values, ensure_ascii=False) + "\n")

    try:
        from studio.app import runs
        from studio.app.chat import Talker

        talker = Talker(runs.find(given.run, given.home) if given.run else None, given.model)
    except StudioError as error:
        say(error=error.as_dict())
        return error.exit_code
    say(ready=True, tuned=talker.tuned)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            for piece in talker.say(asked["messages"], asked["tuned"], **asked["sampling"]):
                say(piece=piece)
            say(end=True)
        except StudioError as error:
            say(error=error.as_dict())
    return 0


if __name__ == "__main__":
    sys.exit(main())
