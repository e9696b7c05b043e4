"""A PEFT adapter as a GGUF file: the same sum in llama.cpp as in peft, in every layout, with its own scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import ExportError
from studio.core.files import read_json
from studio.export.llamacpp import runtime, writer
from studio.export.make import Probe, Source, export
from studio.export.targets.gguf_adapter import lora
from studio.export.targets.gguf_adapter.settings import GgufAdapterTarget
from studio.export.verification import limits
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source
from tests.export.test_llamacpp import KINDS, TEXT, lively
from tests.tiny import make_model

pytestmark = pytest.mark.torch

pytest.importorskip("cyllama")

SETTINGS: dict[str, dict[str, Any]] = {
    "llama": {"use_rslora": True},
    "qwen3": {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"q_proj": 9, "layers.1.mlp.down_proj": 1}},
    "gemma3": {},
    "phi3": {},
    "granite": {"target_modules": ["q_proj", "k_proj"]},
}


def adapted(model: Any, out: Path, **settings: Any) -> Any:
    """The model with a lively random adapter, saved in `out`."""
    import torch
    from peft import LoraConfig, get_peft_model

    values = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
    torch.manual_seed(2)
    tuned = get_peft_model(model, LoraConfig(**values))
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    tuned.save_pretrained(out)  # pyright: ignore[reportArgumentType]
    return tuned.eval()


@pytest.mark.parametrize("kind", SETTINGS)
def test_llama_cpp_adds_what_peft_adds(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import PreTrainedTokenizerFast

    arch, changes = KINDS[kind]
    make_model(tmp_path, arch, **changes)
    model, tokenizer = lively(tmp_path), PreTrainedTokenizerFast.from_pretrained(tmp_path)
    config = model.config.get_text_config()
    base, file = tmp_path / "base.gguf", tmp_path / "adapter.gguf"
    writer.write(tmp_path, base, "f32", name="x", ending=writer.Ending(None, 3, 2, (2,), False), template=None)
    ids = tokenizer(TEXT).input_ids
    with torch.no_grad():
        before = model(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
        tuned = adapted(model, tmp_path / "adapter", **SETTINGS[kind])
        expected = tuned(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    changed = lora.write(tmp_path / "adapter", config, file, "x")
    assert changed == sum("lora_A" in name for name, _ in tuned.named_modules() if name.endswith("lora_A.default"))
    assert runtime.adapter_problem(base, file) == ""
    lora.add_to(base, file)
    with runtime.opened(base, 256) as asked:
        found = torch.tensor(asked.logits(ids, range(len(ids)))).log_softmax(-1).numpy()

    def kl(other: np.ndarray) -> float:
        return float((np.exp(expected) * (expected - other)).sum(-1).max())

    assert kl(found) < 1e-5
    assert kl(before) > 1e-2, "an adapter that changes nothing would prove nothing"


def test_an_adapter_of_another_base_is_not_taken(tmp_path: Path) -> None:
    small = lively(make_model(tmp_path / "small", "llama"))
    make_model(tmp_path / "large", "llama", hidden_size=128)
    adapted(small, tmp_path / "adapter")
    lora.write(tmp_path / "adapter", small.config, tmp_path / "adapter.gguf", "x")
    ending = writer.Ending(None, 3, 2, (2,), False)
    writer.write(tmp_path / "large", tmp_path / "large.gguf", "f16", name="x", ending=ending, template=None)
    assert "adapter" in runtime.adapter_problem(tmp_path / "large.gguf", tmp_path / "adapter.gguf").lower()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole layers"),
        ({"bias": "all"}, "biases of the base"),
        ({"peft_type": "IA3"}, "IA3"),
    ],
)
def test_what_a_gguf_adapter_cannot_hold_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ExportError, match=says) as refused:
        lora.refuse_unfit({"peft_type": "LORA", **settings})
    assert "gguf" in refused.value.hint


def test_dora_is_refused_before_anything_is_written(tmp_path: Path, probe: Probe) -> None:
    source = make_source(Model(name="starter", quantization="none", dtype="fp32"), tmp_path, use_dora=True)
    with pytest.raises(ExportError, match="DoRA"):
        export(GgufAdapterTarget(), source, probe, Silent())
    assert not list(source.exports.glob("gguf*"))


def test_a_run_s_adapter_answers_in_llama_cpp_as_on_the_base_s_own_weights(source: Source, probe: Probe) -> None:
    artifact = export(GgufAdapterTarget(), source, probe, Silent())
    found = artifact.verification
    assert found.passed
    assert found.value("adapter_loads") is True
    assert float(found.value("kl_to_adapter") or 0) < 1e-5
    assert float(found.value("kl_mean") or 0) > limits.CONVERSION, "it was trained on the base in 4 bit, and that is told"
    assert "the sum that llama.cpp computes" in found.note
    assert "trained on quantized to nf4" in artifact.details["statement"]
    assert artifact.bytes < 4 << 20
    assert not list(artifact.path.glob("*BASE*")), "the base of the check is not shipped"


def test_it_serves_with_the_template_and_stop_word_that_were_trained(source: Source, probe: Probe) -> None:
    artifact = export(GgufAdapterTarget(), source, probe, Silent())
    text = (artifact.path / "Modelfile").read_text()
    assert text.startswith("FROM ./BASE.gguf\nADAPTER ./support-bot-adapter.gguf\n")
    assert '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "endgeneration" not in (artifact.path / "chat_template.jinja").read_text()
    assert artifact.serve[0] == (
        "llama-server -m BASE.gguf --lora support-bot-adapter.gguf --jinja --chat-template-file chat_template.jinja --temp 0"
    )
    assert {file["path"] for file in read_json(artifact.path / "artifact.json")["files"]} == {
        "Modelfile",
        "README.md",
        "chat_template.jinja",
        "support-bot-adapter.gguf",
    }
