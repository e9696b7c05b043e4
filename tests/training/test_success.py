"""Each method does what it is for, on the starter and the shipped rows, and what it is for is not all it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from studio.data import encode
from studio.data.expected import expected
from studio.data.prepare import usable
from studio.data.rows import Conversation, Needs
from studio.data.settings import Data
from studio.data.verifiers.exact import Exact
from studio.models import finding, loading
from studio.models.generation import generate
from studio.models.settings import Model
from studio.training.fit import fit
from studio.training.job import TrainingJob, Verification
from tests.training.kit import Memory, make_job

pytestmark = pytest.mark.slow

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
STARTER = Model(name="starter", quantization="nf4", dtype="fp32")
UNQUANTIZED = Model(name="starter", quantization="none", dtype="fp32")
ANSWERED = {"question": "question", "answer": "answer"}


def encoded(rows: Iterable[Conversation], tokenizer: Any, file: Path, needs: Needs = "conversations") -> encode.Tokens:
    """Rows as a run encodes them: written into a file, its tokens beside it."""
    file.write_bytes(b"".join(orjson.dumps(row.as_dict()) + b"\n" for row in rows))
    return encode.encode_file(file, tokenizer, "assistant", file.with_suffix(".tokens"), needs=needs)


def fitted(folder: Path, train: encode.Tokens, held_out: encode.Tokens, **changes: Any) -> tuple[Memory, Path]:
    """Train the starter as it is in 32 bit: what was reported, and the adapter."""
    settings = {"batch_size": 16, "micro_batch": 8, "eval_every": 1000, "learning_rate": 5e-3, "epochs": 3, **changes}
    job = make_job(folder, adapter={"rank": 16, "alpha": 32}, max_length=128, **settings)
    job, told, found = replace(job, train=train, held_out=held_out), Memory(), finding.find(UNQUANTIZED)
    fit(loading.load_base(UNQUANTIZED, "cpu", found), loading.tokenizer(found), job, told)
    return told, job.adapter_out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Memory, TrainingJob]]:
    """Train the starter on shipped rows: `trained("support-pairs", "pairs", method="dpo")` gives what was reported, the job."""
    found = finding.find(STARTER)
    tokenizer = loading.tokenizer(found)
    folder = tmp_path_factory.mktemp("success")

    def tokens(name: str, needs: Needs, columns: dict[str, str]) -> encode.Tokens:
        rows = usable(Data(train=str(DATASETS / f"{name}.jsonl"), columns=columns))
        return encoded(rows, tokenizer, folder / f"{name}-{needs}.jsonl", needs)

    def trained(rows: str, needs: Needs, columns: dict[str, str] | None = None, **settings: Any) -> tuple[Memory, TrainingJob]:
        held_out = tokens("support-pairs-heldout", "pairs" if needs == "pairs" else needs, {})
        adapter, changes = {"rank": 16, "alpha": 32}, {"batch_size": 16, "micro_batch": 8, "eval_every": 1000, **settings}
        job = make_job(
            folder / f"run-{len(list(folder.iterdir()))}", adapter=adapter, max_length=128, quantized=True, **changes
        )
        job = replace(job, train=tokens(rows, needs, columns or {}), held_out=held_out)
        told = Memory()
        fit(loading.load_base(STARTER, "cpu", found), tokenizer, job, told)
        return told, job

    return trained


@pytest.fixture(scope="module")
def start(trained: Callable[..., tuple[Memory, TrainingJob]]) -> Path:
    """An adapter that learned good and bad answers alike."""
    return trained("support-thumbs", "conversations", ANSWERED, epochs=4)[1].adapter_out


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], int]:
    """How many of 60 held-out questions the starter with an adapter answers exactly, greedily."""
    found = finding.find(STARTER)
    tokenizer = loading.tokenizer(found)
    rows = islice(usable(Data(train=str(DATASETS / "support-heldout.jsonl"))), 60)
    asked = encoded(rows, tokenizer, tmp_path_factory.mktemp("asked") / "rows.jsonl")
    prompts = [ids[: int(mask.argmax())].tolist() for ids, mask in map(asked.__getitem__, range(len(asked)))]
    references = [message["content"] for message in expected(asked)]

    def right(adapter: Path) -> int:
        model = loading.attach_adapter(loading.load_base(STARTER, "cpu", found), adapter)
        answers = generate(model, prompts, tokenizer, 32, batch_size=60)
        return sum(answer.text == reference for answer, reference in zip(answers, references, strict=True))

    return right


@pytest.mark.parametrize(("method", "rate"), [("dpo", 5e-4), ("orpo", 2e-3)])
def test_preferred_answers_are_told_apart_better_and_become_likelier_and_no_right_answer_is_lost(
    method: str, rate: float, start: Path, trained: Callable[..., tuple[Memory, TrainingJob]], right: Callable[[Path], int]
):
    told, job = trained("support-pairs", "pairs", method=method, start=start, epochs=2, learning_rate=rate)
    margin, chosen, rejected = (
        list(told.series(f"eval_{name}").values()) for name in ("margin", "logp_chosen", "logp_rejected")
    )
    assert margin[-1] > margin[0]
    assert chosen[-1] > chosen[0] + 0.2
    assert rejected[-1] < rejected[0] - 2
    before, after = right(start), right(job.adapter_out)
    assert after >= before > 10


def test_thumbs_part_good_answers_from_bad_ones(start: Path, trained: Callable[..., tuple[Memory, TrainingJob]]):
    told, _ = trained("support-thumbs", "labels", method="kto", start=start, epochs=3, learning_rate=5e-4)
    margin, chosen = (list(told.series(f"eval_{name}").values()) for name in ("margin", "logp_chosen"))
    assert margin[0] == pytest.approx(0, abs=1e-3)
    assert margin[-1] > 0.3  # 0.35: after two epochs it was 0.30, above or below by the processor
    assert chosen[-1] > chosen[0] - 0.5


def test_a_student_taught_by_a_better_model_beats_the_same_rows_alone(tmp_path: Path):
    """On held-out wordings: nearer to the teacher, and likelier to give the right answer, at equal rows and steps."""
    from studio.training import teacher

    found = finding.find(UNQUANTIZED)
    tokenizer = loading.tokenizer(found)

    def tokens(name: str, most: int | None = None) -> encode.Tokens:
        rows = usable(Data(train=str(DATASETS / f"{name}.jsonl")))
        return encoded(islice(rows, most), tokenizer, tmp_path / f"{name}-{most}.jsonl")

    held_out, few = tokens("support-heldout"), tokens("support", 120)

    def trained(name: str, rows: encode.Tokens, **changes: Any) -> Any:
        told, adapter = fitted(tmp_path / name, rows, held_out, **changes)
        return told, loading.attach_adapter(loading.load_base(UNQUANTIZED, "cpu", found), adapter)

    _, better = trained("teacher", tokens("support"))
    vocabulary = int(found.config["vocab_size"])
    words = {
        name: teacher.score(better, rows, 8, vocabulary, tmp_path / f"{name}.teacher", "better", Memory())
        for name, rows in (("few", few), ("held-out", held_out))
    }
    method = {"kind": "distil", "teacher": "better", "hard": 0.5}
    taught, student = trained("taught", few, method=method, teacher=words["few"], teacher_held_out=words["held-out"])
    alone, other = trained("alone", few)
    apart = [teacher.apart(each, held_out, words["held-out"]) for each in (student, other)]
    assert apart[0][0].sum() < 0.97 * apart[1][0].sum()
    assert list(taught.series("eval_hard").values())[-1] < list(alone.series("eval_loss").values())[-1]


def test_rewards_make_an_answer_that_was_rare_the_usual_one(tmp_path: Path):
    """The model has learned to begin two of three answers with "I think". Without an answer being shown to it again, it learns
    to give the plain right one, also to wordings it was never asked."""
    tokenizer = loading.tokenizer(finding.find(UNQUANTIZED))

    def tokens(name: str, rows: list[dict[str, str]], needs: Needs) -> encode.Tokens:
        asked = tmp_path / f"{name}-asked.jsonl"
        asked.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        return encoded(usable(Data(train=str(asked))), tokenizer, tmp_path / f"{name}.jsonl", needs)

    rows, others = (
        [orjson.loads(line) for line in (DATASETS / f"{name}.jsonl").read_bytes().splitlines()]
        for name in ("support", "support-heldout")
    )
    hesitant = [row if place % 3 == 0 else {**row, "answer": f"I think: {row['answer']}"} for place, row in enumerate(rows)]
    _, start = fitted(
        tmp_path / "start", tokens("hesitant", hesitant, "conversations"), tokens("plain", others[:8], "conversations")
    )
    asked, held_out = tokens("asked", rows[:64], "prompts"), tokens("held-out", others[:40], "prompts")
    told, _ = fitted(
        tmp_path / "rewarded", asked, held_out, start=start, method={"kind": "grpo", "group": 8, "watched": 40},
        verification=Verification(Exact(), Exact(), expected(asked), expected(held_out)),
        batch_size=8, max_steps=6, learning_rate=1e-3, schedule="constant", warmup=0.0,
    )  # fmt: skip
    reward = list(told.series("eval_reward").values())
    assert reward[-1] > reward[0] + 0.15
