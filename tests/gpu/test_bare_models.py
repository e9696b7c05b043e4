"""How a model is held that is only talked to: by what the GPU computes, on a driver that describes any GPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from studio.models import loading
from studio.models.settings import Model
from tests.gpu import nvml


@pytest.mark.parametrize(
    ("capability", "model_type", "dtype"),
    [((8, 9), "llama", "bf16"), ((7, 5), "llama", "fp16"), ((7, 5), "gemma3_text", "fp32")],
)
def test_a_bare_model_is_held_in_what_the_gpu_computes_and_the_family_bears(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], model_type: str, dtype: str
) -> None:
    nvml.install(monkeypatch, [nvml.FakeGpu(capability=capability)])
    monkeypatch.setattr(loading, "find", lambda model: SimpleNamespace(config={"model_type": model_type}))
    held = loading.as_loaded(Model(name="some/model"), "cuda")
    assert (held.dtype, held.quantization, held.attention) == (dtype, "none", "sdpa")
    assert loading.as_loaded(Model(name="some/model", dtype="bf16"), "cuda").dtype == "bf16"
    assert loading.as_loaded(Model(name="some/model"), "cpu").dtype == "fp32"
