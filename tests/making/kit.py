"""Small documents, and a teacher that answers every prompt of the recipes, for the tests of making rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.documents.records import Passage
from studio.making import jobs
from studio.making.folder import JobFolder
from studio.making.spec import MakingSpec
from tests.remote.loopback import Loopback

NAMES = ["Aurel lamp", "Pippin kettle", "Sorrel toaster", "Tansy clock", "Bramble heater", "Marlow chair", "Kelda blender"]
PRICES = [49, 35, 58, 72, 94, 185, 61]
REFUSAL = "The handbook does not say."


def passage(index: int, extra: str = "") -> Passage:
    name = NAMES[index % len(NAMES)]
    text = f"The {name} costs {PRICES[index % len(PRICES)]} dollars. It is sold in the store at Old Quay.{extra}"
    return Passage.of(f"{name.split()[0].lower()}.md", None, (name,), 0, text)


def passages_of(home: Path, name: str) -> list[Passage]:
    assert name == "handbook"
    return [passage(index) for index in range(len(NAMES))]


def subject(prompt: str) -> tuple[str, str]:
    found = re.search(r"The ([A-Z]\w+ \w+) costs (\d+) dollars", prompt)
    return (found[1], found[2]) if found else ("", "")


def answer(body: dict[str, Any]) -> str:
    """What the teacher says, by what its prompt begins with."""
    prompt = str(body["messages"][-1]["content"])
    name, price = subject(prompt)
    rows: list[dict[str, str]] = []
    if "that this passage answers" in prompt:
        quote = f"costs {price} dollars"
        rows = [
            {"question": f"How much does the {name} cost?", "answer": f"The {name} costs {price} dollars.", "quote": quote},
            {"question": f"Where can I buy the {name}?", "answer": "At Old Quay.", "quote": "sold in the store at Old Quay"},
        ]
    elif "and that it does not answer" in prompt:
        rows = [{"question": f"How heavy is the {name}?", "missing": "its weight", "refusal": REFUSAL}]
    elif prompt.startswith("Put this question"):
        question = re.search(r"Question: (.*)", prompt)
        assert question
        rows = [
            {"question": f"{start} {question[1].rstrip('?').lower()}, if I may ask?"} for start in ("Please tell me", "Say")
        ]
    elif "harder variants" in prompt:
        quote = f"costs {price} dollars. It is sold in the store at Old Quay"
        said = {"question": f"Where do I get the {name}, and for which price?", "answer": f"At Old Quay, for {price} dollars."}
        rows = [{**said, "quote": quote}]
    elif "conversation with" in prompt:
        rows = [{"question": "And where is it sold?", "answer": "At Old Quay.", "quote": "the store at Old Quay"}]
    elif prompt.startswith("Answer this question"):
        known = "Aurel lamp costs" in prompt and "Aurel" in prompt.split("\n")[0]
        return json.dumps(
            {
                "known": known, "answer": "It costs 49 dollars." if known else "I do not know.",
                "quote": "costs 49 dollars" if known else "",
            }
        )  # fmt: skip
    elif "this tool answers" in prompt:
        number = int(re.findall(r"This is request (\d+)", prompt)[0])
        rows = [
            {"request": f"Where is order {number}{index}?", "arguments": json.dumps({"order": f"{number}{index}"})}
            for index in range(8)
        ]
    elif "with the label" in prompt:
        label = re.findall(r"with the label `(\w+)`", prompt)[0]
        words = {"refund": "I want my money back for number", "delivery": "My parcel has not arrived, it is number"}[label]
        number = int(re.findall(r"This is request (\d+)", prompt)[0])
        many = 8 if label == "refund" else 5
        rows = [{"text": f"{words} {number}{index}{'xyzuvw'[index % 6] * 9}"} for index in range(many)]
    elif prompt.startswith("Judge this answer"):
        bad = "Old Quay" in prompt.split("Answer: ")[1].split("\n")[0]
        return json.dumps({"reason": "because", "right": 5, "complete": 2 if bad else 5, "grounded": 5})
    return json.dumps({"rows": rows})


def spec(api: Loopback, *recipes: dict[str, Any], price: float | None = None, **values: Any) -> MakingSpec:
    teacher = {"url": api.url, "model": "canned", **({"price": {"input": price, "output": price}} if price else {})}
    said = {
        "name": "Handbook rows", "teacher": teacher, "documents": ["handbook"], "terms": "own model",
        "recipes": list(recipes) or [{"kind": "questions"}], **values,
    }  # fmt: skip
    return MakingSpec.model_validate(said)


def ran(home: Path, wanted: MakingSpec, check: Callable[[JobFolder], None] | None = None, **options: Any) -> JobFolder:
    """A job that was run to its end."""
    job = jobs.folders.create(home, wanted)
    jobs.run(job, passages_of, **options)
    if check:
        check(job)
    return job
