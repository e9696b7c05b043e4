"""Write `datasets/chat.jsonl`: conversations of several turns with the invented company, some of them with tools.

`python -m tests.tools.make_chat` writes the same bytes every time.
"""

import json
from random import Random

from tests.tools.make_handbook import DETAILS, STORES
from tests.tools.make_support import DATASETS, PRODUCTS, SEED

Message = dict[str, object]
PLAIN, WITH_TOOLS = 45, 15
SYSTEMS = (
    "You are the help desk of Lumenfold. Answer in one or two sentences.",
    "You work for Lumenfold, a company for things of the home. Be brief and kind.",
    "You answer questions about Lumenfold products. Say when you do not know.",
)


def tool(name: str, description: str, **parameters: str) -> Message:
    """One function in the OpenAI form; every parameter is a required text."""
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


ORDER = tool("find_order", "Look up an order.", order="Such as LF-1042.")
STOCK = tool("check_stock", "How many pieces a store has.", code="Order code.", store="Name of the store.")
REPAIR = tool("open_repair", "Open a repair ticket.", code="Order code.", fault="What is wrong.")


def main() -> None:
    """Write the file."""
    rng = Random(SEED)
    rows: list[dict[str, object]] = []
    for at in range(PLAIN):
        topic = (_buying, _repairing, _visiting)[at % 3]
        rows.append({"messages": _plain(rng, at, topic(rng, list(PRODUCTS)[at % len(PRODUCTS)]))})
    for at in range(WITH_TOOLS):
        topic, needed = ((_order, ORDER), (_stock, STOCK), (_repair, REPAIR))[at % 3]
        messages = topic(rng, list(PRODUCTS)[(at * 5) % len(PRODUCTS)])
        rows.append({"messages": [_say("system", SYSTEMS[0]), *messages], "tools": [needed]})
    rng.shuffle(rows)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (DATASETS / "chat.jsonl").write_text(lines, encoding="utf-8")
    print(f"chat.jsonl: {len(rows)} conversations")


def _say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _plain(rng: Random, at: int, turns: list[tuple[str, str]]) -> list[Message]:
    if rng.random() < 0.4:
        turns = [(rng.choice(("Hello!", "Hi there.", "Good morning.")), "Hello! How can I help you?"), *turns]
    if rng.random() < 0.5:
        turns = [
            *turns,
            (rng.choice(("Thanks!", "Thank you, that helps.", "Great, bye.")), "You are welcome. Have a nice day."),
        ]
    system = [_say("system", SYSTEMS[at % len(SYSTEMS)])] if at % 3 else []
    return system + [_say(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]


def _buying(rng: Random, name: str) -> list[tuple[str, str]]:
    months, dollars, material, country, code = PRODUCTS[name]
    use, special, *_ = DETAILS[name]
    turns = [
        (f"I am looking for something for {use}.", f"Then have a look at the {name}. It has {special}."),
        (rng.choice(("What does it cost?", "And the price?", "How much is it?")), f"The {name} costs {dollars} dollars."),
        (rng.choice(("What is it made of?", "Which material is it?")), f"The {name} is made of {material}."),
        (rng.choice(("Where is it made?", "And where does it come from?")), f"The {name} is made in {country}."),
        ("How do I order it?", f"The code of the {name} is {code}. You can use it in every store and in the web shop."),
        ("How long is the warranty?", f"The {name} has a warranty of {months} months."),
    ]
    return [turns[0], *rng.sample(turns[1:], rng.randrange(2, 4))]


def _repairing(rng: Random, name: str) -> list[tuple[str, str]]:
    _, _, care, fault, cure = DETAILS[name]
    months = PRODUCTS[name][0]
    age = rng.choice((months - 4, months + 3))
    verdict = (
        f"Yes. The {name} has a warranty of {months} months, so the repair is free."
        if age < months
        else f"No. The {name} has a warranty of {months} months, so this would be a paid repair."
    )
    return [
        (f"I have a problem with my {name}: {fault}.", f"I am sorry to hear that. Please {cure}."),
        ("That did not help.", "Then please send it to our repair team. They will look at it within two weeks."),
        (f"It is {age} months old. Is it still covered?", verdict),
        ("What can I do so that it lasts longer?", f"For the {name}: {care}."),
    ][: rng.choice((3, 4))]


def _visiting(rng: Random, name: str) -> list[tuple[str, str]]:
    store = rng.choice(list(STORES))
    leader, opens, closes, strong, rest = STORES[store]
    turns = [
        (f"When does the {store} store open?", f"The {store} store opens at {opens}."),
        ("And when does it close?", f"It closes at {closes}."),
        ("Is it open every day?", "Yes, it is open every day." if rest.startswith("no") else f"No, it is closed on {rest}."),
        ("Who can I talk to there?", f"Ask for {leader}, who leads the store."),
        ("What can I see there?", f"Its strength is {strong}."),
        (f"Can I return my {name} there?", "Yes. You may return any unused product in every store within thirty days."),
    ]
    return [turns[0], *sorted(rng.sample(turns[1:], rng.randrange(2, 5)), key=turns.index)]


def _call(at: int, name: str, **arguments: str) -> Message:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": f"call_{at}", "type": "function", "function": function}]}


def _result(at: int, **values: object) -> Message:
    return {"role": "tool", "tool_call_id": f"call_{at}", "content": json.dumps(values)}


def _order(rng: Random, name: str) -> list[Message]:
    order, days = f"LF-{rng.randrange(1000, 9999)}", rng.randrange(2, 6)
    state = rng.choice(("packed", "on its way", "delivered"))
    answer = {
        "packed": f"Your {name} is packed and should arrive in {days} days.",
        "on its way": f"Your {name} is on its way and should arrive in {days} days.",
        "delivered": f"Your {name} was delivered {days} days ago.",
    }[state]
    return [
        _say("user", rng.choice((f"Where is my order {order}?", f"What about order {order}?", f"Has {order} been sent?"))),
        _call(1, "find_order", order=order),
        _result(1, order=order, product=name, state=state, days=days),
        _say("assistant", answer),
    ]


def _stock(rng: Random, name: str) -> list[Message]:
    first, second = rng.sample(list(STORES), 2)
    code, count = PRODUCTS[name][-1], rng.randrange(2, 20)
    start = [
        _say("user", f"Do you have the {name} in the {first} store?"),
        _call(1, "check_stock", code=str(code), store=first),
    ]
    if rng.random() < 0.5:
        return [
            *start,
            _result(1, pieces=count),
            _say("assistant", f"Yes, the {first} store has {count} pieces of the {name}."),
        ]
    return [
        *start,
        _result(1, pieces=0),
        _say("assistant", f"No, the {name} is sold out in the {first} store. Shall I look in another one?"),
        _say("user", f"Yes, please try {second}."),
        _call(2, "check_stock", code=str(code), store=second),
        _result(2, pieces=count),
        _say("assistant", f"The {second} store has {count} pieces of the {name}."),
    ]


def _repair(rng: Random, name: str) -> list[Message]:
    _, _, _, fault, cure = DETAILS[name]
    ticket = f"R-{rng.randrange(100, 999)}"
    return [
        _say("user", f"My {name} has a fault: {fault}."),
        _say("assistant", f"Please {cure}. Does that help?"),
        _say("user", rng.choice(("No.", "No, still the same.", "I tried that already."))),
        _call(1, "open_repair", code=str(PRODUCTS[name][-1]), fault=fault),
        _result(1, ticket=ticket, days=rng.randrange(5, 14)),
        _say("assistant", f"I have opened the repair ticket {ticket}. Please bring the {name} to any of our stores."),
    ]


if __name__ == "__main__":
    main()
