"""Core ML packages: converted here, their structure checked and their weights read back, where the exporter is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studio.core.errors import ExportError
from studio.core.files import read_json
from studio.export import toolchains as environments
from studio.export.make import Probe, Source, export
from studio.export.targets.coreml.settings import CoremlTarget
from studio.export.targets.coreml.verify import _rounding
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source
from tests.tiny import make_model

needs_coreml = pytest.mark.skipif(not environments.ready("coreml"), reason=str(environments.missing("coreml")))


@pytest.mark.torch
@needs_coreml
@pytest.mark.torch
@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac runs it")
def test_a_package_says_what_was_checked_and_that_it_was_not_run(source: Source, probe: Probe) -> None:
    made = export(CoremlTarget(), source, probe, Silent())
    found = made.verification
    assert read_json(made.path / "artifact.json")["status"] == "structure checked, not run"
    assert "Apple devices only" in found.note
    assert found.value("inputs") is found.value("outputs") is found.value("states") is found.value("weights_complete") is True
    assert found.value("prompt_ids_identical") == 1
    assert found.value("kl_mean") < 0.2  # type: ignore[operator]
    assert 0.01 < found.value("rounding_int4") < 0.08  # type: ignore[operator]
    assert found.value("rounding_fp16") < 1e-3, "positions are not rounded to 4 bit"  # type: ignore[operator]
    assert {"tokenizer.json", "tokenizer_config.json", "config.json"} <= {file.path for file in made.files}
    assert made.bytes < source.parameters


def test_a_weight_that_is_missing_or_rounded_too_far_fails() -> None:
    failed = [check.name for check in _rounding({"missing": ["norm.weight"], "error": {"fp16": 1e-4, "int4": 0.5, "int2": 0}})]
    passed = [
        check.passed for check in _rounding({"missing": ["norm.weight"], "error": {"fp16": 1e-4, "int4": 0.5, "int2": 0}})
    ]
    assert dict(zip(failed, passed, strict=True)) == {
        "weights_complete": False, "rounding_fp16": True, "rounding_int2": False, "rounding_int4": False,
    }  # fmt: skip


@pytest.mark.torch
def test_an_architecture_that_is_not_computed_is_refused_before_it_is_merged(tmp_path: Path, probe: Probe) -> None:
    make_model(tmp_path / "base", "olmo2")
    source = make_source(Model(name=str(tmp_path / "base"), quantization="none", dtype="fp32"), tmp_path)
    with pytest.raises(ExportError, match="`olmo2` is not among those"):
        export(CoremlTarget(), source, probe, Silent())


@pytest.mark.torch
def test_the_norm_of_large_numbers_does_not_leave_float16() -> None:
    import torch

    from studio.export.decoder.modules import Norm
    from studio.export.targets.coreml.stateful import HalfNorm

    norm = Norm(torch.rand(64), 1e-6)
    for scale in (1e-4, 1.0, 1e4):
        x = torch.randn(1, 3, 64) * scale
        torch.testing.assert_close(HalfNorm(norm)(x), norm(x), rtol=1e-4, atol=1e-5)
    half = HalfNorm(norm)(x).detach()
    torch.testing.assert_close(HalfNorm(norm).half()(x.half()).float(), half, rtol=2e-2, atol=2e-2)
