"""In vLLM itself, where its environment is installed: merged, adapter and 4 bit answer as base + adapter did.

`studio exporters install vllm` (1.3 GB) opts in; each model takes vLLM half a minute to start.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from studio.export import toolchains as environments
from studio.export.artifacts.manifest import Artifact
from studio.export.make import Probe, Source, export
from studio.export.targets.adapter.settings import AdapterTarget
from studio.export.targets.merged.settings import MergedTarget
from studio.export.targets.merged_4bit.settings import Merged4BitTarget
from studio.export.verification import answers
from studio.export.verification.reference import reference
from studio.models.settings import Model
from studio.serving import vllm
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not environments.ready("vllm"), reason=str(environments.missing("vllm"))),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A run on the starter without quantisation, in float32: what vLLM can compute exactly."""
    return make_source(Model(name="starter", quantization="none", dtype="fp32"), tmp_path_factory.mktemp("plain"))


def opened(source: Source, folder: Path, known: answers.Reference, **more: Any) -> environments.Remote:
    from studio.export.merging.source import source_tokenizer

    ends = [source_tokenizer(source).convert_tokens_to_ids("<|im_end|>")]
    settings = {"folder": str(folder), "dtype": "float32", "context": known.longest + 1, "ends": ends, **more}
    return environments.Remote("vllm", "studio.export.toolchains.vllm.runtime:opened", settings)


def near(runtime: Any, known: answers.Reference) -> None:
    far = answers.distances([known.forced], runtime, known.cases, Silent())[0]
    assert far.kl < 5e-3
    assert far.top1 > 0.97
    said = runtime.greedy([case.prompt for case in known.cases], answers.LONGEST_ANSWER)
    same = [ids == answer.ids and ended == answer.ended for (ids, ended), answer in zip(said, known.answers, strict=True)]
    assert sum(same) >= len(same) - 1, "one may fork at a near tie"


def test_the_merged_export_answers_in_vllm(plain: Source, probe: Probe) -> None:
    made = export(MergedTarget(), plain, probe, Silent())
    known, _ = reference(plain, probe, Silent())
    with opened(plain, made.path, known) as runtime:
        near(runtime, known)


def test_the_adapter_answers_in_vllm_by_name_on_its_base(plain: Source, probe: Probe) -> None:
    made = export(AdapterTarget(), plain, probe, Silent())
    known, _ = reference(plain, probe, Silent())
    assert plain.base.folder
    with opened(plain, plain.base.folder, known, lora=str(made.path), rank=8) as runtime:
        near(runtime, known)


@pytest.mark.skipif(not environments.ready("compress"), reason=str(environments.missing("compress")))
def test_the_4_bit_export_is_verified_in_vllm(trained: Source, probe: Probe, merged: Artifact) -> None:
    made = export(Merged4BitTarget(merge_into="dequantized"), trained, probe, Silent())
    assert made.verification.passed
    assert made.verification.runtime.startswith("vLLM 0.32")


def test_a_server_from_the_environment_gives_the_reference_answer(
    plain: Source, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export(MergedTarget(), plain, probe, Silent())
    known, _ = reference(plain, probe, Silent())
    start = vllm.program()
    assert start[0] == str(environments.python("vllm"))
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    port = free_port()
    words = [*start, "--model", str(made.path), "--served-model-name", "tuned", "--port", str(port), "--enforce-eager"]
    server = subprocess.Popen([*words, "--dtype", "float32", "--max-model-len", "256"], start_new_session=True)
    try:
        said = asked(server, port, {"messages": [{"role": "user", "content": known.cases[0].shown}], "max_tokens": 64})
        assert said["usage"]["prompt_tokens"] == len(known.cases[0].prompt)
        assert said["choices"][0]["message"]["content"] == known.answers[0].text
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def asked(server: subprocess.Popen[bytes], port: int, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of a server that may still be starting."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps({"model": "tuned", "temperature": 0, **body}).encode(),
        {"Content-Type": "application/json"},
    )
    for _ in range(300):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(1)
    raise AssertionError("no answer in five minutes")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_vllm_writes_the_answers_of_a_training_with_the_adapter_as_it_is(plain: Source) -> None:
    """Its log p of what it sampled is the trained model's, for one adapter after another."""
    import shutil

    import torch

    from studio.export.merging.source import source_tokenizer
    from studio.export.toolchains.vllm import engine
    from studio.models.loading import attach_adapter, load_base

    tokenizer = source_tokenizer(plain)
    ends = [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    prompts = [
        tokenizer.encode(f"<|im_start|>user\nWhat is {n} plus {n}?<|im_end|>\n<|im_start|>assistant\n") for n in (2, 3, 4)
    ]
    assert plain.base.folder
    settings = engine.Settings(str(plain.base.folder), None, "float32", 128, 8, 4, 0.0)
    with engine.opened(settings, Silent()) as sampler:
        for scale in (1.0, 0.0):
            folder = sampler.new_folder()
            shutil.copytree(plain.adapter, folder, dirs_exist_ok=True)
            scaled(folder / "adapter_model.safetensors", scale)
            model = attach_adapter(load_base(plain.model, "cpu", plain.base), folder)
            for prompt, (ids, logps) in zip(prompts, sampler.sample(prompts, ends, 16, 1.0, [7, 8, 9]), strict=True):
                with torch.no_grad():
                    own = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
                assert logps == pytest.approx([own[at, token].item() for at, token in enumerate(ids)], abs=1e-3)


def scaled(file: Path, factor: float) -> None:
    """The adapter's weights times a factor."""
    from safetensors.torch import load_file, save_file

    save_file({name: weights * factor for name, weights in load_file(file).items()}, file, {"format": "pt"})
