"""The process that holds a model for a chat: `python -m studio.app.chat_process [--run ID | --model NAME] --home DIR`.

One JSON object a line. In: `{"messages": [...], "tuned": bool, "sampling": {...}}`, with `"index": "..."` where it is to
answer from passages. Out: `{"ready": true, "tuned": bool}` once, then for each question any number of `{"piece": "..."}`, with
an index `{"citations": [...]}`, and one `{"end": true}`, or `{"error": {...}}`. It ends when its input ends, and with it all
the memory it had.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from studio.core.errors import StudioError
from studio.core.machine_errors import translate
from studio.processes.channel import Voice, messages

if TYPE_CHECKING:
    from studio.documents.records import Passage
    from studio.retrieval.grounding import Grounding


def main(arguments: list[str] | None = None) -> int:
    """Load, then answer until the input ends."""
    words = argparse.ArgumentParser()
    words.add_argument("--run")
    words.add_argument("--model")
    words.add_argument("--home", required=True)
    given = words.parse_args(arguments)
    voice, questions = Voice(), messages()
    try:
        from studio.app import runs
        from studio.app.chat import Talker, open_grounding

        talker = Talker(runs.find(given.run, given.home) if given.run else None, given.model)
    except StudioError as error:
        voice.say(error=error.as_dict())
        return error.exit_code
    voice.say(ready=True, tuned=talker.tuned)
    groundings: dict[str, Grounding] = {}
    for question in questions:
        try:
            conversation = prompted = question["messages"]
            index = question.get("index")
            passages: list[Passage] = []
            if index:
                groundings[index] = grounding = groundings.get(index) or open_grounding(index, given.home).within(
                    talker.context
                )
                prompted, passages = grounding.ground(conversation)
            answer = ""
            for piece in talker.say(prompted, question["tuned"], **question["sampling"]):
                answer += piece
                voice.say(piece=piece)
            if index:
                sources = groundings[index].cite(answer, passages, conversation)
                voice.say(citations=[item.model_dump() for item in sources])
            voice.say(end=True)
        except StudioError as error:
            voice.say(error=error.as_dict())
        except Exception as error:  # e.g. the GPU's memory: the next, shorter question may be answered
            if (known := translate(error)) is None:
                raise
            voice.say(error=known.as_dict())
    return 0


if __name__ == "__main__":
    sys.exit(main())
