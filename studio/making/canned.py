"""A teacher for the shipped example: it answers the recipes' prompts about the handbook by patterns, always the same.

It stands where a model behind an API would, so that the whole way from documents to evidence can be gone without a key, a
network or a GPU. It is no model, and knows only how the handbook's product and store pages are worded.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "canned-handbook"
REFUSAL = "The handbook does not say that."

_PASSAGE = re.compile(r"<passage[^>]*>\n(.*?)\n</passage>", re.DOTALL)
_NAME = r"(?P<e>[A-Z][a-z]+ [a-z]+)"
_STORE = r"(?P<e>[A-Z][a-z]+(?: [A-Z][a-z]+)?)"
_FACTS = (
    ("price", rf"[Tt]he {_NAME} costs (?P<v>\d+) dollars"),
    ("price", rf"[Tt]he {_NAME}: the price is (?P<v>\d+) dollars"),
    ("price", rf"For (?P<v>\d+) dollars a customer gets the {_NAME}"),
    ("warranty", rf"The {_NAME} costs \d+ dollars and has a warranty of (?P<v>\d+) months"),
    ("warranty", rf"the {_NAME}: the price is \d+ dollars, the warranty is (?P<v>\d+) months"),
    ("warranty", rf"gets the {_NAME} with (?P<v>\d+) months of warranty"),
    ("material", rf"The {_NAME} is made of (?P<v>[a-z]+) in [A-Z][a-z]+"),
    ("material", rf"A family workshop in [A-Z][a-z]+ makes the {_NAME} out of (?P<v>[a-z]+)"),
    ("material", rf"The {_NAME} comes from [A-Z][a-z]+\. The (?P<v>[a-z]+) is chosen by hand"),
    ("origin", rf"The {_NAME} is made of [a-z]+ in (?P<v>[A-Z][a-z]+)"),
    ("origin", rf"The {_NAME} comes from (?P<v>[A-Z][a-z]+)"),
    ("origin", rf"A family workshop in (?P<v>[A-Z][a-z]+) makes the {_NAME}"),
    ("leader", rf"The store at {_STORE} is led by (?P<v>[A-Z]\w+ [A-Z]\w+)"),
    ("leader", rf"(?P<v>[A-Z]\w+ [A-Z]\w+) leads the store at {_STORE}"),
    ("opens", rf"store at {_STORE}(?: is led by [\w ]+\. It|, which) opens at (?P<v>\w+ in the \w+)"),
    (
        "closes",
        rf"store at {_STORE}(?: is led by [\w ]+\. It|, which) opens at \w+ in the \w+ and closes at (?P<v>\w+ in the \w+)",
    ),
)
_WORDING = {
    "price": ("The {e} costs {v} dollars.", "What does the {e} cost?", "How much is the {e}?", "Price of the {e}?",
              "Tell me the price of the {e}."),
    "warranty": ("The {e} has a warranty of {v} months.", "How long is the warranty of the {e}?",
                 "How many months of warranty does the {e} have?", "{e} warranty?", "What warranty comes with the {e}?"),
    "material": ("The {e} is made of {v}.", "What is the {e} made of?", "Which material is the {e} made of?", "{e} material?",
                 "Tell me the material of the {e}."),
    "origin": ("The {e} is made in {v}.", "Where is the {e} made?", "In which country is the {e} made?", "{e}: made where?",
               "Which country does the {e} come from?"),
    "leader": ("{v} leads the store at {e}.", "Who leads the store at {e}?", "Who is the leader of the {e} store?",
               "{e} store leader?", "Tell me who runs the store at {e}."),
    "opens": ("The store at {e} opens at {v}.", "When does the store at {e} open?", "At what time does the {e} store open?",
              "{e} store, opening time?", "Tell me when the store at {e} opens."),
    "closes": ("The store at {e} closes at {v}.", "When does the store at {e} close?", "At what time does the {e} store close?",
               "{e} store, closing time?", "Tell me when the store at {e} closes."),
}  # fmt: skip
"""The answer, then the questions: the first one is asked, the others are its paraphrases."""
_MISSING = (
    ("weight", "How heavy is the {e}?"), ("colour", "Which colour is the {e}?"), ("power", "How much power does the {e} use?"),
    ("size", "How tall is the {e}?"), ("designer", "Who designed the {e}?"), ("stock", "How many of the {e} are in stock?"),
    ("cleaning", "How do I clean the {e}?"), ("delivery", "How many days does the delivery of the {e} take?"),
)  # fmt: skip
_MISSING_STORE = (
    ("phone", "What is the phone number of the store at {e}?"), ("parking", "Where can I park at the {e} store?"),
    ("staff", "How many people work in the store at {e}?"), ("age", "In which year was the store at {e} founded?"),
)  # fmt: skip
_OTHERS = (
    "Zorvan heater",
    "Calder lamp",
    "Mistral fan",
    "Tolland desk",
    "Brisk kettle",
    "Arbor chair",
    "Nimbus clock",
    "Pell radio",
)


@dataclass(frozen=True)
class _Fact:
    kind: str
    entity: str
    value: str
    quote: str

    @property
    def answer(self) -> str:
        return _WORDING[self.kind][0].format(e=self.entity, v=self.value)

    def question(self, wording: int) -> str:
        return _WORDING[self.kind][wording].format(e=self.entity)


def answer(prompt: str) -> str:
    """What the teacher says to a prompt of the recipes `questions`, `unanswerable` and `paraphrases`, and of the judge."""
    passage = match[1] if (match := _PASSAGE.search(prompt)) else ""
    facts = list(_facts(passage))
    if prompt.startswith("Judge this answer"):
        return json.dumps({"reason": "It says what the passage says.", "right": 5, "complete": 5, "grounded": 5})
    count = int(found[0]) if (found := re.findall(r"\d+", prompt)) else 1
    if "that this passage answers" in prompt:
        rows = [{"question": fact.question(1), "answer": fact.answer, "quote": fact.quote} for fact in facts[:count]]
    elif "and that it does not answer" in prompt:
        rows = list(_unanswered(passage, facts))[:count]
    elif prompt.startswith("Put this question"):
        asked = match[1] if (match := re.search(r"^Question: (.*)$", prompt, re.MULTILINE)) else ""
        rows = [{"question": wording} for wording in _other_wordings(asked)]
    else:
        rows = []
    return json.dumps({"rows": rows})


def _facts(passage: str) -> Iterator[_Fact]:
    for kind, pattern in _FACTS:
        if match := re.search(pattern, passage):
            yield _Fact(kind, match["e"], match["v"], match[0])


def _unanswered(passage: str, facts: list[_Fact]) -> Iterator[dict[str, str]]:
    """In turn: a detail that is not there, and a thing that does not exist."""
    if not facts:
        return
    turn = int(hashlib.sha256(passage.encode()).hexdigest(), 16)
    entity = facts[0].entity
    kinds = _MISSING_STORE if facts[0].kind in ("leader", "opens", "closes") else _MISSING
    other = _OTHERS[turn % len(_OTHERS)]
    fact = ("price", "warranty", "material", "origin")[turn % 4]
    details = [kinds[(turn + step) % len(kinds)] for step in range(4)]
    yield {"question": details[0][1].format(e=entity), "missing": details[0][0], "refusal": REFUSAL}
    yield {"question": _WORDING[fact][1].format(e=other), "missing": f"the {other}", "refusal": REFUSAL}
    for missing, question in details[1:]:
        yield {"question": question.format(e=entity), "missing": missing, "refusal": REFUSAL}


def _other_wordings(question: str) -> list[str]:
    for wordings in _WORDING.values():
        pattern = re.escape(wordings[1]).replace(r"\{e\}", "(.+)")
        if match := re.fullmatch(pattern, question):
            return [wording.format(e=match[1]) for wording in wordings[2:]]
    return [f"Tell me: {question[:1].lower()}{question[1:]}"]


@contextmanager
def serve(port: int = 0) -> Iterator[str]:
    """The teacher behind an OpenAI-compatible API on this machine, for as long as the block runs; its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.05), daemon=True, name="canned-teacher")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def do_POST(self) -> None:
        """A chat completion."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        prompt = str(body["messages"][-1]["content"])
        text = answer(prompt)
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        content = json.dumps({"object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
