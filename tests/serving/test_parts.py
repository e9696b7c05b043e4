"""The parts of the server that need no model."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.core.errors import ModelError, SpecError, StudioError
from studio.core.files import write_json
from studio.core.messages import chat_message
from studio.models.finding import FoundModel
from studio.models.settings import Model
from studio.serving import sampling, toolcalls, vllm
from studio.serving.access import require_keys
from studio.serving.job import Job, Sampling
from studio.serving.keys import Keys, new_key
from studio.serving.limits import Limits
from studio.serving.scheduler import Queue
from studio.serving.transformers_engine import Weights, _draw
from studio.serving.writing import Writer


def letters(ids) -> str:
    return bytes(ids).decode("utf-8", "replace")


def job(client: str = "", **values) -> Job:
    return Job("", [1], 5, Writer(letters), frozenset(), sampling=Sampling(**values), client=client)


def test_text_comes_in_whole_characters() -> None:
    writer = Writer(letters)
    assert [writer.add(byte) for byte in "aü€".encode()] == ["a", "", "ü", "", "", "€"]


def test_what_may_become_a_stop_string_is_held_back_until_it_does_not() -> None:
    writer = Writer(letters, ["END", "ENOUGH"])
    assert [writer.add(byte) for byte in b"xENENx"] == ["x", "", "", "EN", "", "ENx"]
    assert [writer.add(byte) for byte in b"END"] == ["", "", ""]
    assert writer.stopped
    assert writer.finish() == ""
    open_end = Writer(letters, ["END"])
    assert [open_end.add(byte) for byte in b"aEN"] == ["a", "", ""]
    assert open_end.finish() == "EN"


def test_clients_take_turns_in_the_queue() -> None:
    queue = Queue()
    jobs = [job("many") for _ in range(3)] + [job("one")]
    for item in jobs:
        queue.add(item)
    jobs[0].cancelled = True
    queue.sweep()
    assert [queue.take() for _ in range(4)] == [jobs[1], jobs[3], jobs[2], None]


def test_sampling_draws_by_the_model_s_shares_and_top_p_cuts_the_tail() -> None:
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    drawn = job(temperature=1.0, seed=1)
    counts = np.bincount([sampling.choose(row, drawn) for _ in range(4000)], minlength=4) / 4000
    assert np.abs(counts - [0.5, 0.3, 0.15, 0.05]).max() < 0.03
    cut = job(temperature=1.0, top_p=0.75, seed=1)
    assert {sampling.choose(row, cut) for _ in range(500)} == {0, 1}
    assert sampling.choose(row, job()) == 0


def test_top_k_and_min_p_cut_the_unlikely_tokens() -> None:
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))

    def drawn(**settings) -> set[int]:
        one = job(temperature=1.0, seed=1, **settings)
        return {sampling.choose(row, one) for _ in range(500)}

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=2) == {0, 1}
    assert drawn(top_k=9) == {0, 1, 2, 3}
    assert drawn(min_p=0.4) == {0, 1}  # 0.3 is 0.6 of the likeliest, 0.15 is 0.3 of it


def test_a_repetition_penalty_lowers_what_prompt_and_answer_have_said() -> None:
    row = np.array([0.0, 2.0, 1.5, -1.0], np.float32)
    penalised = job(repetition=2.0)  # its prompt is token 1
    penalised.written.append(3)
    assert sampling.adjusted(row, penalised).tolist() == [0.0, 1.0, 1.5, -2.0]
    assert sampling.choose(row, penalised) == 2


@pytest.mark.torch
def test_sampling_on_the_device_draws_the_same_tokens() -> None:
    import torch

    rows = np.random.default_rng(0).normal(size=(20, 500)).astype(np.float32) * 2
    settings = [{"temperature": 0.5 + place / 10, "top_p": 0.7 + place / 100, "seed": place} for place in range(20)]
    one_by_one = [sampling.choose(row, job(**values)) for row, values in zip(rows, settings, strict=True)]
    assert _draw(torch.from_numpy(rows), [job(**values) for values in settings]) == one_by_one


@pytest.mark.parametrize(
    ("sample", "answer", "content"),
    [
        (
            '<|im_start|>assistant\n<tool_call>\n{"name": "qzlookup", "arguments": {"key": "qzvalue"}}\n</tool_call><|im_end|>',
            'Let me see.\n<tool_call>\n{"name": "find", "arguments": {"a": 1}}\n</tool_call>',
            "Let me see.",
        ),
        (
            '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "qzlookup", "parameters": {"key": "qzvalue"}}<|eot_id|>',
            '{"name": "find", "parameters": {"a": 1}}',
            "",
        ),
        (
            '[TOOL_CALLS] [{"name": "qzlookup", "arguments": {"key": "qzvalue"}, "id": "qz1234567"}]</s>',
            '[TOOL_CALLS] [{"name": "find", "arguments": {"a": 1}}]',
            "",
        ),
        (
            '<|assistant|><|tool_call|>[{"name": "qzlookup", "arguments": {"key": "qzvalue"}}]<|/tool_call|><|end|>',
            '<|tool_call|>[{"name": "find", "arguments": {"a": 1}}]<|/tool_call|>',
            "",
        ),
    ],
    ids=["hermes and qwen", "llama", "mistral", "phi"],
)
def test_calls_are_read_in_the_form_the_template_writes_them(sample: str, answer: str, content: str) -> None:
    form = toolcalls.form_of(sample)
    assert form is not None
    said, calls = toolcalls.read(answer, form, frozenset({"find"}))
    assert (said, [(call.name, call.arguments) for call in calls]) == (content, [("find", '{"a": 1}')])
    assert toolcalls.read(answer, form, frozenset({"other"}))[1] == []
    hold = toolcalls.ToolCallBuffer(form)
    shown = "".join(hold.add(letter) for letter in answer)
    assert shown.strip() == content
    assert shown + hold.rest() == answer


def test_a_forced_call_that_was_cut_is_given_as_far_as_it_goes() -> None:
    form = toolcalls.Form("<tool_call>", "</tool_call>", ("\n", "\n"))
    call = toolcalls.read_partial('<tool_call>\n{"name": "find", "arguments": {"a": [1, 2', form, frozenset({"find"}))
    assert call is not None
    assert (call.name, call.arguments) == ("find", '{"a": [1, 2')
    assert toolcalls.read_partial('<tool_call>\n{"name": "fi', form, frozenset({"find"})) is None


def test_a_broken_call_stays_text() -> None:
    form = toolcalls.Form("<tool_call>", "</tool_call>")
    text = '<tool_call>\n{"name": "find", "argum'
    assert toolcalls.read(text, form, frozenset({"find"})) == (text, [])


def test_keys_are_kept_as_hashes_and_end_when_their_line_goes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key, other = new_key(file, "ada"), new_key(file, "bob")
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    keys = Keys(file)
    assert keys.name_of(f"Bearer {key}") == "ada"
    assert keys.name_of(f"Bearer {key}x") is None
    assert keys.name_of(key) is None
    lines = file.read_text().splitlines()
    file.write_text(lines[1] + "\n")
    os.utime(file, ns=(1, 1))
    assert keys.name_of(f"Bearer {key}") is None
    assert keys.name_of(f"Bearer {other}") == "bob"
    with pytest.raises(SpecError, match="already"):
        new_key(file, "bob")


def test_no_key_is_good_once_the_key_file_is_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = new_key(file, "ada")
    keys = Keys(file)
    assert keys.name_of(f"Bearer {key}") == "ada"
    file.unlink()
    assert keys.name_of(f"Bearer {key}") is None


def test_a_key_in_clear_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("sk-studio-secret\n")
    with pytest.raises(SpecError) as refused:
        Keys(file)
    assert "secret" not in str(refused.value)


def test_other_machines_are_let_in_with_keys_only() -> None:
    require_keys("127.0.0.1", None)
    with pytest.raises(SpecError, match="no API keys"):
        require_keys("0.0.0.0", None)


def plan(tmp_path: Path, quantization: str = "none", **settings) -> vllm.Plan:
    write_json(tmp_path / "shop" / "adapter_config.json", {"r": 12, **settings})
    held = Model(name="Qwen/Qwen2.5-0.5B-Instruct", quantization=quantization, dtype="bf16")  # type: ignore[arg-type]
    found = FoundModel(held.name, held.name, "abc123", False)
    return vllm.Plan(Weights(found, held, "cuda"), held.name, {"shop": tmp_path / "shop"}, mark="<tool_call>")


def test_vllm_gets_the_base_as_it_was_held_and_its_adapters(tmp_path: Path) -> None:
    words = vllm.command(["vllm", "serve"], plan(tmp_path), Limits(context=4096), "127.0.0.1", 9000)
    text = " ".join(words)
    assert text.startswith("vllm serve Qwen/Qwen2.5-0.5B-Instruct --served-model-name Qwen/Qwen2.5-0.5B-Instruct")
    for part in (
        "--port 9000", "--revision abc123", "--dtype bfloat16", "--max-model-len 4096",
        "--enable-lora --max-lora-rank 16", '"name": "shop"', "--enable-auto-tool-choice --tool-call-parser hermes",
    ):  # fmt: skip
        assert part in text


def test_vllm_is_not_given_what_it_cannot_load(tmp_path: Path) -> None:
    for settings in ({"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"trainable_token_indices": [1]}):
        with pytest.raises(ModelError, match="cannot load by name"):
            vllm.command(["vllm"], plan(tmp_path, **settings), Limits(), "127.0.0.1", 9000)  # pyright: ignore[reportArgumentType]
    for quantization in ("nf4", "int8"):
        with pytest.raises(ModelError, match="no bitsandbytes") as refused:
            vllm.command(["vllm"], plan(tmp_path, quantization), Limits(), "127.0.0.1", 9000)
        assert "merged_4bit" in refused.value.hint


@pytest.mark.torch
def test_a_4_bit_export_is_served_by_vllm_alone(tmp_path: Path) -> None:
    import shutil

    from studio.app.serving import ServeRequest, sources
    from studio.core.files import read_json
    from studio.models.starter import folder as starter
    from studio.serving.assemble import vllm_plan

    shutil.copytree(starter(), tmp_path / "merged_4bit")
    write_json(tmp_path / "merged_4bit" / "artifact.json", {"kind": "merged_4bit"})
    settings = read_json(tmp_path / "merged_4bit" / "config.json")
    packed = {**settings, "quantization_config": {"quant_method": "compressed-tensors"}}
    write_json(tmp_path / "merged_4bit" / "config.json", packed)
    given = (str(tmp_path / "merged_4bit"),)
    words = vllm.command(
        ["vllm", "serve"], vllm_plan(sources(ServeRequest(given, engine="vllm"), tmp_path), tmp_path), Limits(), "127.0.0.1", 1
    )
    assert words[2:5] == [given[0], "--served-model-name", "merged_4bit"]
    with pytest.raises(ModelError, match="quantised for vLLM") as refused:
        sources(ServeRequest(given), tmp_path)
    assert "--engine vllm" in refused.value.hint


@pytest.mark.torch
def test_an_export_is_named_by_its_run(tmp_path: Path, gguf: Path) -> None:
    import shutil

    from studio.app.serving import ServeRequest, sources
    from studio.core.errors import JobError
    from studio.runs.folder import create
    from studio.spec import parse

    run = create(parse({"name": "shop", "data": {"train": "a.csv"}}), tmp_path)
    there = run.exports / "gguf-f16"
    write_json(there / "artifact.json", {"kind": "gguf"})
    shutil.copy(gguf, there / "shop-f16.gguf")
    assert [one.gguf for one in sources(ServeRequest(("last:gguf-f16",)), tmp_path)] == [there / "shop-f16.gguf"]
    with pytest.raises(JobError, match="no export `merged`") as refused:
        sources(ServeRequest(("last:merged",)), tmp_path)
    assert "gguf-f16" in refused.value.hint


@pytest.mark.torch
def test_an_adapter_whose_base_is_named_otherwise_is_served_and_asked_on_the_base_that_is_given(
    tmp_path: Path, adapters: dict[str, Path]
) -> None:
    import shutil

    from studio.app.serving import ServeRequest, sources
    from studio.core.files import read_json

    foreign = tmp_path / "foreign"
    shutil.copytree(adapters["shop"], foreign)
    named = {**read_json(foreign / "adapter_config.json"), "base_model_name_or_path": "/home/someone/starter-bnb-4bit"}
    write_json(foreign / "adapter_config.json", named)
    with pytest.raises(ModelError, match="base model of this adapter") as refused:
        sources(ServeRequest((str(foreign),)), tmp_path)
    assert "--base" in refused.value.hint
    [source] = sources(ServeRequest((str(foreign),), base="starter"), tmp_path)
    assert source.model is not None
    assert (source.model.name, source.adapter) == ("starter", foreign)
    with pytest.raises(SpecError, match="no adapter folder"):
        sources(ServeRequest(("starter",), base="starter"), tmp_path)


@pytest.mark.torch
def test_chat_takes_an_adapter_folder_and_names_the_program_for_a_file(
    tmp_path: Path, adapters: dict[str, Path], gguf: Path
) -> None:
    from studio.app.chat import open_talker

    talker = open_talker(str(adapters["shop"]), tmp_path)
    questions = ("What colour is the sky?", "Where is the key?", "Tell me a story.")
    answers = [talker.ask(question, max_tokens=40) for question in questions]
    assert any(answer.base != answer.tuned for answer in answers)
    with pytest.raises(ModelError, match="another engine") as refused:
        open_talker(str(gguf), tmp_path)
    assert "studio serve" in refused.value.hint


def test_the_system_prompt_of_the_training_is_served_unless_a_conversation_has_its_own(tmp_path: Path) -> None:
    from studio.app.serving import ServeRequest, sources
    from studio.runs.folder import create
    from studio.serving.scheduler import Scheduler
    from studio.serving.served import Served
    from studio.spec import parse

    spec = parse({"name": "shop", "data": {"train": "a.csv", "system": "Answer in verse."}})
    run = create(spec, tmp_path)
    run.write_spec(spec)  # pyright: ignore[reportArgumentType]
    write_json(run.adapter / "adapter_config.json", {"r": 2})
    copied = tmp_path / "elsewhere" / "gguf-q8_0"
    write_json(copied / "artifact.json", {"kind": "gguf", "details": {"system": "Answer in verse."}})
    (copied / "shop.gguf").touch()
    [source, export, file] = sources(ServeRequest((run.id, str(copied), f"{copied}/shop.gguf"), {"f": str(copied)}), tmp_path)
    assert source.system == export.system == file.system == "Answer in verse.", "an export keeps it outside its run too"
    scheduler: Scheduler = object.__new__(Scheduler)
    served = Served("shop", scheduler, None, system=source.system)  # type: ignore[arg-type]
    question = [chat_message("user", "Hi")]
    assert served.with_system(question) == [{"role": "system", "content": "Answer in verse."}, *question]
    own = [chat_message("system", ""), *question]
    assert served.with_system(own) == own


@pytest.mark.torch
def test_a_template_that_writes_the_date_writes_the_day_of_the_run_in_chat_server_and_export(
    tmp_path: Path, adapters: dict[str, Path]
) -> None:
    from datetime import date

    from studio import pipeline, planner
    from studio.app.chat import Talker
    from studio.app.runs import find
    from studio.app.serving import ServeRequest, sources
    from studio.data.render import encode_prompt
    from studio.export.merging.source import source_tokenizer
    from studio.hardware.machine import probe
    from studio.models import loading
    from studio.runs.folder import create
    from studio.serving.assemble import Source, assemble, vllm_plan
    from studio.spec import parse

    words = loading.tokenizer(loading.find(Model(name="starter"))).chat_template
    file = tmp_path / "dated.jinja"
    file.write_text("<|im_start|>system\nToday is {{ strftime_now('%d %b %Y') }}.<|im_end|>\n" + words)
    model = {"name": "starter", "quantization": "none", "dtype": "fp32", "attention": "sdpa", "chat_template": str(file)}
    asked_for = parse({"name": "shop", "model": model, "data": {"train": "a.csv"}})
    lengths = np.full(40, 30)
    rows = planner.Rows(lengths, 400, lengths[:4], answer=12)
    spec = planner.resolve(asked_for, probe(), loading.find(asked_for.model), rows).spec
    run = create(asked_for, tmp_path)
    run.write_spec(spec)
    shutil.copytree(adapters["shop"], run.adapter)
    planner.lock(spec, loading.find(spec.model), probe(), day=date(2024, 3, 7)).write(run.lock)
    asked = [{"role": "user", "content": "Hello"}]

    [source] = sources(ServeRequest((run.id,)), tmp_path)
    whole = Source("merged", "merged", spec.model, system="Answer in verse.")
    beside = assemble([source, whole], Limits(), "cpu", 1, lambda written: None)
    assert beside["merged"].system == "Answer in verse.", "a merged model is asked with the prompt of its training"
    served = assemble([source], Limits(), "cpu", 1, lambda written: None)
    assert set(served) == {source.name, "starter"}
    folder = find(run.id, tmp_path).folder
    exported = source_tokenizer(pipeline.export_source(folder, pipeline.reopen(folder)))
    plan = vllm_plan([replace(source, system="Answer in verse.")], tmp_path)
    assert plan.template, "vLLM adds neither day nor system prompt: its template does"
    told = exported.apply_chat_template(asked, tokenize=False, chat_template=Path(plan.template).read_text())
    assert "Answer in verse." in told
    with pytest.raises(SpecError, match="different system prompts"):
        vllm_plan([source, replace(source, name="other", system="Be brief.")], tmp_path)
    models = [served[source.name], served["starter"], beside["merged"]]
    prompts = [model.tokenizer.decode(model.tokenizer.chat(asked, ()), special=True) for model in models]
    prompts += [told, exported.apply_chat_template(asked, tokenize=False)]  # as another runtime renders it
    talker = Talker(find(run.id, tmp_path))
    prompts.append(talker.tokenizer.decode(encode_prompt(asked, talker.tokenizer)))
    assert ["Today is 07 Mar 2024." in prompt for prompt in prompts] == [True] * 6, prompts


@pytest.mark.torch
def test_what_is_served_is_found_by_what_it_is(tmp_path: Path, adapters: dict[str, Path], gguf: Path) -> None:
    from studio.app.serving import ServeRequest, sources

    shop, desk = str(adapters["shop"]), str(adapters["desk"])
    found = sources(ServeRequest((shop, desk, "starter", str(gguf)), {"support": desk}), tmp_path)
    assert {one.name for one in found} == {"shop", "support", "starter", "starter-f16"}
    assert {one.model.name for one in found if one.model} == {"starter"}
    with pytest.raises(SpecError, match="not among"):
        sources(ServeRequest((shop,), {"x": "y"}), tmp_path)
    with pytest.raises(SpecError, match="two of them are called shop"):
        sources(ServeRequest((shop, desk), {"shop": desk}), tmp_path)
    with pytest.raises(SpecError, match="nothing to serve"):
        sources(ServeRequest(()), tmp_path)
    with pytest.raises(StudioError, match="no run `nobody`"):
        sources(ServeRequest(("nobody",)), tmp_path)
    with pytest.raises(SpecError, match="serves GGUF files"):
        sources(ServeRequest((str(gguf), shop), engine="llama.cpp"), tmp_path)
    with pytest.raises(SpecError, match=r"served by llama\.cpp"):
        sources(ServeRequest((shop, str(gguf)), engine="transformers"), tmp_path)
