"""ONNX models: built by ONNX Runtime GenAI's own builder, asked in that runtime and compared with transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import ExportError
from studio.export.make import Probe, Source, export
from studio.export.targets.onnx.convert import convert
from studio.export.targets.onnx.runtime import Genai
from studio.export.targets.onnx.settings import OnnxTarget
from studio.export.targets.onnx.write import KNOWN, refuse
from studio.models.dims import model_dims
from studio.tracking.reporter import Silent
from tests.export.test_decoder import KINDS as ALL
from tests.export.test_llamacpp import lively
from tests.tiny import make_model

pytestmark = pytest.mark.torch

WIDE = {  # the runtime's kernel wants a multiple of 16 features rotated
    "head_dim": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "short_factor": [1.0 + place / 10 for place in range(8)],
        "long_factor": [1.5 + place / 2 for place in range(8)],
        "original_max_position_embeddings": 256,
    },
    "original_max_position_embeddings": 256,
}
NOT_BUILT = ("mistral, sliding window", "phi3, sliding window", "yarn", "phi-4 mini")
KINDS = {name: kind for name, kind in ALL.items() if name not in NOT_BUILT} | {"phi-4 mini, wider": ("phi3", WIDE)}


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_computes_what_transformers_computes(kind: str, tmp_path: Path) -> None:
    import torch

    arch, changes = KINDS[kind]
    make_model(tmp_path / "model", arch, **changes)
    model = lively(tmp_path / "model")
    refuse(model.config.to_dict())
    place = {"merged": tmp_path / "model", "out": tmp_path / "onnx", "cache": tmp_path / "cache"}
    convert({**place, "quant": "fp32", "provider": "cpu"}, Silent())
    ids = torch.randint(4, model.config.vocab_size, (1, 50))
    with torch.no_grad():
        expected = model(ids).logits[0, 25:].log_softmax(-1)
    found = torch.tensor(Genai(str(tmp_path / "onnx"), 128, [2]).logits(ids[0].tolist(), range(25, 50))).log_softmax(-1)
    assert (found - expected).abs().max() < 1e-3
    assert expected.std() > 0.3, "a flat model would prove nothing"


def test_heads_that_share_keys_are_answered_token_by_token_in_16_bit(tmp_path: Path) -> None:
    import torch

    make_model(tmp_path / "model", "llama", num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)
    model = lively(tmp_path / "model")
    place = {"merged": tmp_path / "model", "out": tmp_path / "onnx", "cache": tmp_path / "cache"}
    convert({**place, "quant": "fp16", "provider": "cpu"}, Silent())
    ids = torch.randint(4, model.config.vocab_size, (1, 50))
    with torch.no_grad():
        expected = model(ids).logits[0, 25:].log_softmax(-1)
    runtime = Genai(str(tmp_path / "onnx"), 128, [2])
    found = torch.tensor(runtime.logits(ids[0].tolist(), range(25, 50))).log_softmax(-1)
    assert (found - expected).abs().max() < 0.1
    assert runtime.greedy([ids[0].tolist()], 6)


@pytest.mark.parametrize("tied", [True, False])
def test_the_embedding_is_in_8_bit_too_and_a_tied_one_is_stored_once(tied: bool, tmp_path: Path) -> None:
    import torch

    make_model(tmp_path / "model", "llama", tie_word_embeddings=tied, vocab_size=4096)
    model = lively(tmp_path / "model")
    place = {"merged": tmp_path / "model", "out": tmp_path / "onnx", "cache": tmp_path / "cache"}
    with np.errstate(all="ignore"):  # blocks of equal weights
        done = convert({**place, "quant": "int8", "provider": "cpu"}, Silent())
    assert done["operators"]["GatherBlockQuantized"] == 1
    ids = torch.randint(4, 4000, (1, 50))
    with torch.no_grad():
        expected = model(ids).logits[0, 25:].log_softmax(-1)
    found = torch.tensor(Genai(str(tmp_path / "onnx"), 128, [2]).logits(ids[0].tolist(), range(25, 50))).log_softmax(-1)
    assert float((expected.exp() * (expected - found)).sum(-1).mean()) < 2e-3
    said = OnnxTarget().size(model_dims(model.config.to_dict())) - 72 * 4096  # its tokenizer is smaller than usual
    assert sum(file.stat().st_size for file in (tmp_path / "onnx").glob("model.onnx*")) == pytest.approx(said, rel=0.1)


def test_every_known_architecture_is_compared() -> None:
    assert {arch for arch, _ in KINDS.values()} == set(KNOWN)


def test_onnx_answers_as_what_was_evaluated(source: Source, probe: Probe, merged: Any) -> None:
    made = export(OnnxTarget(), source, probe, Silent())
    found = made.verification
    assert found.passed
    assert found.note == ""
    assert found.runtime.startswith("ONNX Runtime GenAI 0.18")
    assert float(found.value("kl_to_merged") or 0) < 5e-3
    assert found.value("prompt_ids_identical") == found.value("prompts_identical") == found.value("search_answers") == 1
    assert {"model.onnx", "model.onnx.data", "genai_config.json", "tokenizer.json"} <= {file.path for file in made.files}
    assert made.bytes == pytest.approx(OnnxTarget().size(source.dims), rel=0.1)
    assert made.details["operators"]["GatherBlockQuantized"] == 1, "the tied embedding reads the 8-bit output matrix"
    assert made.bytes < merged.bytes * 0.75
    assert {"onnxruntime", "onnxruntime-genai"} <= set(made.versions)


def test_a_model_for_another_device_is_run_on_the_cpu_and_says_what_was_not(source: Source, probe: Probe, merged: Any) -> None:
    made = export(OnnxTarget(quant="fp16", provider="webgpu"), source, probe, Silent())
    assert made.folder == "onnx-fp16-webgpu"
    assert made.verification.passed
    assert "for webgpu, which it is built for: structure checked, not run." in made.verification.note
    assert float(made.verification.value("kl_to_merged") or 0) < 1e-3


def test_four_bit_is_verified_and_smaller(source: Source, probe: Probe, merged: Any) -> None:
    made = export(OnnxTarget(quant="int4"), source, probe, Silent())
    assert made.verification.passed
    assert made.bytes < export(OnnxTarget(), source, probe, Silent()).bytes * 0.75
    assert made.details["operators"]["MatMulNBits"] > 0


@pytest.mark.parametrize(
    ("arch", "changes", "says"),
    [
        ("olmo2", {}, "`olmo2` is not known to be built exactly"),
        ("qwen3", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, "RoPE scaling `yarn`"),
        ("mistral", {"sliding_window": 7}, "slide over 7 tokens"),
    ],
)
def test_what_would_be_built_otherwise_is_refused(arch: str, changes: dict[str, Any], says: str) -> None:
    from transformers import AutoConfig

    with pytest.raises(ExportError, match=says):
        refuse(AutoConfig.for_model(arch, **changes).to_dict())
