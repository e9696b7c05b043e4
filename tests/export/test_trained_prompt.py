"""What an application is told to ask is what was trained, the system prompt and the date, in every kind of export."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest

from studio.export.artifacts import deploy
from studio.export.artifacts.card import card
from studio.export.llamacpp import modelfile
from studio.export.merging.run_info import RunInfo
from studio.export.merging.source import Source
from studio.export.targets import AnyTarget
from studio.export.targets.executorch import write as executorch
from studio.export.targets.litert import write as litert
from studio.export.targets.onnx import write as onnx
from studio.models.chat import fix_date, render, with_system, write_day
from tests.export import made
from tests.export.test_deploy import source as bare_source
from tests.tiny import make_tokenizer

SYSTEM = """/no_think Answer "in verse", it's $HOME.\nNo `prose`."""
DAY = date(2024, 3, 7)
USER = {"role": "user", "content": "Hello!"}
SAID = [{"role": "system", "content": SYSTEM}, USER]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A run that was trained under a system prompt full of quotes."""
    return replace(bare_source(tmp_path), about=RunInfo(spec={"data": {"system": SYSTEM}}), day=DAY)


def asked_by_executorch(source: Source, folder: Path) -> str:
    return executorch.example(make_tokenizer(folder / "words"), source)


def asked_by_onnx(source: Source, folder: Path) -> str:
    onnx.write_messages(source, folder)
    command = onnx.serve(folder, "cpu")[0].partition("&& ")[2].replace("python", "printf %s", 1)
    code = subprocess.run(["sh", "-c", command.replace(" -c ", " ")], capture_output=True, text=True, check=True).stdout
    place = re.search(r"apply_chat_template\(open\('(.*?)'\)", code)
    assert place, code
    return "".join(message["content"] for message in json.loads(Path(place[1]).read_text("utf-8")))


def asked_by_litert(source: Source, folder: Path) -> str:
    litert.write_preset(source, folder)
    (folder / "bot.litertlm").touch()
    place = re.search(r"--preset (\S+)", litert.serve(source, folder)[0])
    assert place
    found: dict[str, Any] = {}
    exec(Path(place[1]).read_text("utf-8"), found)
    return found["system_instruction"]


def asked_by_ollama(source: Source, folder: Path) -> str:
    return modelfile.write("x.gguf", make_tokenizer(folder / "words"), [2], False, source.system)


ASKED: dict[str, Callable[[Source, Path], str]] = {
    "executorch": asked_by_executorch,
    "onnx": asked_by_onnx,
    "litert": asked_by_litert,
    "gguf": asked_by_ollama,
    "gguf_adapter": asked_by_ollama,
}
"""The kinds that come with a prompt of their own, and how it is read."""
KINDS = [target.model_fields["kind"].default for target in get_args(get_args(AnyTarget)[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_every_export_is_asked_under_the_trained_system_prompt(kind: str, source: Source, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    if kind in ASKED:
        assert SYSTEM in ASKED[kind](source, tmp_path / "own"), "its own example has the whole prompt"
    like = kind if kind in made.FILES else "merged"
    artifact = deploy.write(source, made.make(tmp_path / "exports", like).with_values(kind=kind))
    text = card(source, artifact)
    assert [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)] == [SAID]
    assert "\n".join(f"> {line}" for line in SYSTEM.splitlines()) in text
    asked = re.findall(r"-d '(\{.*?\})'\n", (artifact.path / "deploy" / "README.md").read_text("utf-8"), re.DOTALL)
    assert all(json.loads(body.replace("'\\''", "'"))["messages"] == SAID for body in asked)
    assert asked or "no server loads this kind" in (artifact.path / "deploy" / "README.md").read_text("utf-8").lower()


def test_without_a_system_prompt_nothing_is_said_of_one(tmp_path: Path) -> None:
    plain = bare_source(tmp_path)
    assert plain.first_messages == [USER]
    litert.write_preset(plain, tmp_path)
    (tmp_path / "bot.litertlm").touch()
    assert "preset" not in litert.serve(plain, tmp_path)[0]
    assert "system prompt" not in card(plain, made.make(tmp_path / "exports"))


def test_a_secret_in_the_system_prompt_is_in_no_example(tmp_path: Path) -> None:
    token = "hf_" + "a" * 30
    secret = replace(bare_source(tmp_path), about=RunInfo(spec={"data": {"system": f"Use {token}."}}))
    assert secret.first_messages[0]["content"] == "Use [hidden]."


HEAD = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
DATED = {
    "a text": ("{{ strftime_now('%d %b %Y') }}", "07 Mar 2024"),
    "where it is there": (
        '{% if strftime_now is defined %}{{ strftime_now("%d %B %Y") }}{% else %}no{% endif %}',
        "07 March 2024",
    ),
    "a variable": ("{% set form = '%Y-%m-%d' %}{{ strftime_now(form) }}", "2024-03-07"),
    "another name": ("{% set now = strftime_now %}{{ now('%B %d, %Y') }}", "March 07, 2024"),
    "a default": ("{{ strftime_now(form | default('%d/%m/%y')) }}", "07/03/24"),
    "both": ("{% set f = '%A' %}{{ strftime_now(f) }} {{ strftime_now('%j') }}", "Thursday 067"),
}


@pytest.mark.parametrize("way", DATED)
def test_however_a_template_asks_for_the_day_it_is_told_that_of_the_run(way: str, tmp_path: Path) -> None:
    asks, said = DATED[way]
    words = make_tokenizer(tmp_path, f"\n  {asks}\n{HEAD}")
    fix_date(words, DAY)
    rendered = render(words, [USER]).text
    assert said in rendered
    fix_date(words, None)
    write_day(words, DAY)
    elsewhere = words.apply_chat_template([USER], tokenize=False)
    assert elsewhere == rendered, "the template that is exported, in an engine that knows nothing of the run"


def test_a_template_for_servers_puts_the_trained_system_prompt_before_conversations_without_one(tmp_path: Path) -> None:
    words = make_tokenizer(tmp_path, f"\n  {HEAD}")
    plain, own = words.apply_chat_template(SAID, tokenize=False), [{"role": "system", "content": "Be brief."}, USER]
    brief = words.apply_chat_template(own, tokenize=False)
    words.chat_template = with_system(words.chat_template, SYSTEM)
    assert words.apply_chat_template([USER], tokenize=False) == plain
    assert words.apply_chat_template(own, tokenize=False) == brief
