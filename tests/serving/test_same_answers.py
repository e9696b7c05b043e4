"""What is served is what `studio chat` says: the same ids, the same words."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from studio.models.settings import Model
from tests.serving.conftest import Server
from tests.tiny import THREADS

pytestmark = pytest.mark.numeric

QUESTIONS = ("What colour is the sky?", "Where is the key?", "Hello! Who are you?", "Tell me a story.", "What costs 24 euro?")


@pytest.fixture(scope="module")
def said(adapters: dict[str, Path]) -> dict[str, list[str]]:
    """What the studio's own chat says, loaded as the chat loads it, with one adapter alone."""
    from studio.data.render import encode_prompt
    from studio.models import loading
    from studio.models.generation import stream

    held = Model(name="starter", quantization="none", dtype="fp32", attention="sdpa")
    found = loading.find(held)
    tokenizer = loading.tokenizer(found, None)
    answers: dict[str, list[str]] = {}
    for name, folder in [("starter", None), *adapters.items()]:
        model = loading.load_base(held, "cpu", found)
        model = loading.attach_adapter(model, folder) if folder else model
        prompts = [encode_prompt([{"role": "user", "content": question}], tokenizer) for question in QUESTIONS]
        answers[name] = ["".join(stream(model, prompt, tokenizer, max_new_tokens=40)) for prompt in prompts]
    return answers


def asked(server: Server, model: str, question: str) -> str:
    return server.chat(question, model, max_tokens=40)["choices"][0]["message"]["content"]


def test_the_server_says_exactly_what_the_chat_says(server: Server, said: dict[str, list[str]]) -> None:
    assert len({tuple(answers) for answers in said.values()}) == 3  # the adapters do change the answers
    for _ in range(2):  # and again, adapters swapped in between
        for model, answers in said.items():
            assert [asked(server, model, question) for question in QUESTIONS[:3]] == answers[:3]


def test_answers_written_together_are_those_written_alone(server: Server, said: dict[str, list[str]]) -> None:
    found: dict[tuple[str, str], str] = {}

    def ask(model: str, question: str) -> None:
        found[model, question] = asked(server, model, question)

    pairs = [(model, question) for question in QUESTIONS for model in ("shop", "desk")][:8]
    asking = [threading.Thread(target=ask, args=pair) for pair in pairs]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == {(model, question): said[model][QUESTIONS.index(question)] for model, question in pairs}


def test_a_gguf_file_says_what_the_model_it_was_made_from_says(server: Server, said: dict[str, list[str]]) -> None:
    prompt = server.models["gguf"].tokenizer.chat([{"role": "user", "content": "Hi <|im_end|> you"}], [])
    assert prompt == server.models["starter"].tokenizer.chat([{"role": "user", "content": "Hi <|im_end|> you"}], [])
    same = [asked(server, "gguf", question) == answer for question, answer in zip(QUESTIONS, said["starter"], strict=True)]
    assert sum(same) >= 4  # float16 weights may tip a close choice


def test_a_run_is_served_as_the_chat_page_loads_it(tmp_path: Path) -> None:
    """From a run's folder: base in four bit, its adapter, its template; asked without HTTP in between."""
    import queue

    from studio.app.chat import Talker
    from studio.app.runs import Run
    from studio.app.serving import ServeRequest, sources
    from studio.runs.folder import create
    from studio.serving.assemble import assemble
    from studio.serving.job import Job, Piece
    from studio.serving.limits import Limits
    from studio.serving.writing import Writer
    from studio.spec import parse, parse_resolved
    from tests.export.conftest import make_adapter

    held = {"name": "starter", "quantization": "nf4", "dtype": "fp32", "attention": "sdpa"}
    training = {
        "threads": THREADS, "learning_rate": 1e-3, "batch_size": 1, "micro_batch": 1, "packing": True, "keep": "last",
        "gradient_checkpointing": False, "optimizer": "adamw", "eval_every": 1, "save_every": 1, "fused_adapters": True,
        "loss_on_labels_only": True, "varlen_attention": True, "reuse_dequantized": False, "async_checkpoints": True,
    }  # fmt: skip
    decided = {
        "name": "shop", "model": held, "adapter": {"alpha": 32},
        "data": {"train": "x.csv", "max_length": 256, "replay": 0, "overlong": "drop"},
        "training": training, "evaluation": {"max_new_tokens": 32},
    }  # fmt: skip
    spec = parse_resolved(decided, "test")
    run = create(parse(decided, "test"), tmp_path)
    run.write_spec(spec)
    make_adapter(spec.model, run.adapter, 0.08)
    [source] = sources(ServeRequest((run.id[:8],)), tmp_path)
    assert (source.name, source.run) == (run.id, run.id)
    pieces: queue.Queue[Piece] = queue.Queue()
    models = assemble([source], Limits(), "cpu", 1, lambda written: [pieces.put(piece) for _, piece in written])  # pyright: ignore[reportArgumentType]
    assert list(models) == [run.id, "starter"]
    scheduler = models[run.id].scheduler
    scheduler.start()
    talker = Talker(Run(run))
    for question in QUESTIONS[:3]:
        messages = [{"role": "user", "content": question}]
        for served, tuned in ((models[run.id], True), (models["starter"], False)):
            tokenizer = served.tokenizer
            scheduler_job = Job(served.variant, tokenizer.chat(messages, []), 30, Writer(tokenizer.decode), tokenizer.ends)
            while not scheduler.ready:
                assert scheduler.failed is None
                threading.Event().wait(0.05)
            scheduler.submit([scheduler_job])
            text = ""
            while True:
                piece = pieces.get(timeout=300)
                text += piece.text
                if piece.last:
                    break
            assert text == "".join(talker.say(messages, tuned=tuned, max_tokens=30))
    scheduler.close(0)
