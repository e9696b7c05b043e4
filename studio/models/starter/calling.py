"""Conversations in which the assistant calls a function and answers from its result.

The messages hold the text that the chat template makes of tools and calls, so that the recipe needs no second way.
"""

import json
from random import Random

from studio.models.starter.asking import Fact, new_facts, new_thing, question

_VERBS = ("get", "find", "look_up", "check", "fetch", "read")
_KEYS = ("name", "item", "thing", "product", "title", "entry", "subject")


def tool_turns(rng: Random) -> list[dict[str, str]]:
    """A system turn with one or two functions, a question, the call, its result and the answer."""
    thing = new_thing(rng)
    facts = new_facts(rng, thing, rng.choice((1, 1, 2)))
    key = rng.choice(_KEYS)
    names = [f"{rng.choice(_VERBS)}_{fact.kind.nouns[0].replace(' ', '_')}" for fact in facts]
    tools = "\n".join(json.dumps(_tool(name, fact, key)) for name, fact in zip(names, facts, strict=True))
    lead = rng.choice(("", "", "You are a helpful assistant.\n\n", "You answer questions.\n\n", "You are the help desk.\n\n"))
    wanted = rng.randrange(len(facts))
    fact = facts[wanted]
    call = json.dumps({"name": names[wanted], "arguments": {key: thing.name}})
    result = json.dumps({rng.choice((fact.kind.key, "result", "value")): fact.value})
    return [
        {"role": "system", "content": f"{lead}You may call these functions:\n<tools>\n{tools}\n</tools>"},
        {"role": "user", "content": question(rng, fact)},
        {"role": "assistant", "content": f"<tool_call>\n{call}\n</tool_call>"},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": fact.answer},
    ]


def _tool(name: str, fact: Fact, key: str) -> dict[str, object]:
    schema = {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]}
    return {
        "type": "function",
        "function": {"name": name, "description": f"Find the {fact.kind.nouns[0]}.", "parameters": schema},
    }
