"""ExecuTorch programs: lowered and asked in ExecuTorch's own runtime and in the runner that phones use."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core import extras
from studio.core.errors import ExportError
from studio.export.make import Probe, Source, export
from studio.export.targets.executorch.convert import PREFILL
from studio.export.targets.executorch.graphs import in_order
from studio.export.targets.executorch.settings import ExecutorchTarget
from studio.export.toolchains import Remote, call
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source
from tests.export.made import LARGE
from tests.export.test_llamacpp import lively
from tests.tiny import make_model

CONTEXT = 192


@pytest.mark.slow
def test_executorch_answers_as_what_was_evaluated(source: Source, probe: Probe, merged: Any) -> None:
    made = export(ExecutorchTarget(quant="fp32"), source, probe, Silent())
    found = made.verification
    assert found.passed
    assert found.runtime.startswith("ExecuTorch 1.5")
    assert float(found.value("kl_to_merged") or 0) < 1e-6
    assert found.value("prompt_ids_identical") == 1
    assert found.value("runner_answers") == 1, "the runner for phones gives the very answers"
    assert made.details["context"] == made.settings["context"] == 512
    assert made.details["facts"]["get_eos_ids"] == [2]
    assert {file.path for file in made.files} == {
        "README.md", "support-bot-fp32.pte", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "prompt.txt",
    }  # fmt: skip
    assert {"executorch", "torchao"} <= set(made.versions)
    assert "TextLLMRunner" in made.serve[0]


@pytest.mark.slow
def test_four_bit_is_near_and_prompts_longer_than_a_part_are_taken_in(tmp_path: Path) -> None:
    import torch

    from studio.export.decoder.build import build

    model = make_model(tmp_path / "model", num_hidden_layers=1, intermediate_size=120)
    lively(model)
    file = tmp_path / "x.pte"
    request = {"merged": model, "file": file, "quant": "8da4w", "context": CONTEXT, "ends": [2], "bos": 2}
    call("executorch", "studio.export.targets.executorch.convert:convert", request, Silent())
    assert file.stat().st_size < (model / "model.safetensors").stat().st_size
    ids = torch.randint(4, 500, (1, PREFILL + 30))
    places = range(PREFILL + 10, PREFILL + 30)
    expected = build(model, CONTEXT)(ids, torch.arange(PREFILL + 30))[0, list(places)].log_softmax(-1)
    settings = {"file": file, "context": CONTEXT, "prefill": PREFILL, "ends": [2]}
    with Remote("executorch", "studio.export.targets.executorch.runtime:open_program", settings) as asked:
        found = torch.tensor(asked.logits(ids[0].tolist(), places)).log_softmax(-1)
        ((said, _),) = asked.greedy([ids[0].tolist()], 500)
    assert float((expected.exp() * (expected - found)).sum(-1).mean()) < 0.5
    assert len(said) <= CONTEXT - len(ids[0]), "an answer ends where the cache does"


@pytest.mark.slow
def test_lowering_with_less_work_writes_the_very_same_program(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", num_hidden_layers=1)
    request = {"merged": str(model), "quant": "8da4w", "context": CONTEXT, "ends": [2], "bos": 2}
    convert = (
        "from studio.export.targets.executorch import convert, graphs, shapes; from studio.tracking.reporter import Silent; "
    )
    whole = "shapes.speed_up = lambda on_part: None; graphs.write_when_called = lambda: None; "
    for name, before in (("less", ""), ("all", whole)):
        wanted = {**request, "file": str(tmp_path / name)}
        subprocess.run([sys.executable, "-c", f"{convert}{before}convert.convert({wanted!r}, Silent())"], check=True)
    assert (tmp_path / "less").read_bytes() == (tmp_path / "all").read_bytes()


@pytest.mark.torch
def test_a_graph_is_sorted_only_where_a_node_stands_before_what_it_reads() -> None:
    from torch import fx

    graph = fx.Graph()
    x = graph.placeholder("x")
    first = graph.call_function(abs, (x,))
    second = graph.call_function(abs, (first,))
    graph.output(second)
    module = fx.GraphModule({}, graph)
    assert in_order(module)
    second.append(first)
    assert not in_order(module)


@pytest.mark.torch
def test_an_architecture_that_is_not_computed_is_refused_before_work_begins(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", "olmo2")
    source = make_source(Model(name=str(base), quantization="none", dtype="fp32"), tmp_path)
    with pytest.raises(ExportError, match="`olmo2` is not among"):
        export(ExecutorchTarget(), source, Probe([]), Silent())
    assert not list(source.exports.glob("*executorch*"))


@pytest.mark.torch
def test_the_size_is_known_before_and_the_file_is_of_it(source: Source) -> None:
    sizes = [ExecutorchTarget(quant=quant).size(LARGE) for quant in ("fp32", "8da8w", "8da4w")]
    assert sizes == sorted(sizes, reverse=True)
    need = ExecutorchTarget().estimate(replace(source, exports=source.exports / "none"))
    assert need.disk > ExecutorchTarget().size(source.dims)


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    assert ExecutorchTarget().missing() is None
    assert extras.missing("onnx", ["numpy", "no_such_module"]) == f"no_such_module not installed: {extras.command('onnx')}"
    with pytest.raises(ExportError, match="no_such_module not installed") as refused:
        extras.refuse_if_missing("target onnx", "onnx", ["no_such_module"], ExportError)
    assert 'pip install "slm-studio[onnx]"' in refused.value.hint
