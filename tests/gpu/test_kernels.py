"""Triton's kernels and fused norms: the numbers of what they replace, compiled for GPUs, and left where they do not serve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.test_training import base
from tests.training.kit import Memory, make_job, weights

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")
pytestmark = pytest.mark.numeric

DTYPES = ("float32", "float16", "bfloat16")
NEAR = {"float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}
"""One rounding, relative: Triton's interpreter cuts bfloat16 off where a GPU rounds it."""


@pytest.fixture
def gpu() -> Iterator[Counter[str]]:
    from tests.gpu.pretend import pretend_gpu

    with pretend_gpu() as seen:
        yield seen


@pytest.fixture
def kernels() -> Any:
    from studio.training import kernels

    return kernels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 30.0)])
def test_the_kernel_gives_the_losses_and_the_gradient_of_torch(
    kernels: Any, dtype: str, scale: float, cap: float | None
) -> None:
    import torch

    from studio.training import head

    torch.manual_seed(0)
    hidden = torch.randn(7, 32).to(getattr(torch, dtype))
    output = torch.nn.Linear(32, 5000, bias=False).to(hidden.dtype).requires_grad_(False)
    output.weight.data.mul_(10)
    targets, transform = torch.randint(0, 5000, (7,)), head.LogitTransform(scale, cap)
    found = []
    for kernel in (None, kernels.losses):
        given = hidden.clone().requires_grad_()
        losses = head.token_losses(given, output, targets, transform, kernel)
        (losses * torch.arange(1, 8)).sum().backward()
        assert given.grad is not None
        found.append((losses.detach(), given.grad.float()))
        assert torch.equal(losses.detach(), head.token_losses(hidden, output, targets, transform, kernel)), "without a gradient"
    (losses, gradient), (kernel_losses, kernel_gradient) = found
    torch.testing.assert_close(kernel_losses, losses, rtol=1e-6, atol=1e-5)
    assert (kernel_gradient - gradient).norm() <= NEAR[dtype] * gradient.norm()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("act", ["silu", "gelu_tanh"])
@pytest.mark.parametrize("joined", [False, True])
def test_the_kernel_opens_a_gate_as_torch_does_and_goes_back(kernels: Any, dtype: str, act: str, joined: bool) -> None:
    import torch

    from studio.training.fused import Gate, _halves

    torch.manual_seed(0)
    outputs = [torch.randn(5, 3000).mul(4).to(getattr(torch, dtype)) for _ in range(2)]
    outputs = [torch.cat(outputs, 1)] if joined else outputs
    slope = torch.randn(5, 3000).to(outputs[0].dtype)
    found = []
    for gate in (Gate(act), Gate(act, kernels)):
        room = [torch.empty_like(output) for output in outputs]
        opened, middle = _halves(room)
        inner, up = _halves(outputs)
        gate.open(inner, up, opened, middle)
        forward = middle.float().clone()
        gate.back(slope, inner, up, opened, middle)
        found.append((forward, opened.float().clone(), middle.float().clone()))
    for expected, given in zip(*found, strict=True):
        torch.testing.assert_close(given, expected, rtol=2 * NEAR[dtype], atol=max(2e-5, 2 * NEAR[dtype]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kernel_turns_queries_and_keys_as_transformers_does_and_goes_back(kernels: Any, dtype: str) -> None:
    import torch
    from transformers.models.llama import modeling_llama as llama

    from studio.training import rotary

    torch.manual_seed(0)
    own = llama.apply_rotary_pos_emb
    kind = getattr(torch, dtype)
    cos, sin = (torch.randn(1, 5, 48).to(kind) for _ in range(2))
    made = [torch.randn(2, 5, heads, 48).to(kind) for heads in (6, 2)]  # as projections lay them out: tokens before heads
    outer = [torch.randn(2, heads, 5, 48).to(kind) for heads in (6, 2)]
    found = []
    for rotate in (own, rotary._by_kernel(own, kernels)):
        given = [part.clone().requires_grad_() for part in made]
        q, k = (part.transpose(1, 2) for part in given)
        turned = rotate(q, k, cos, sin)
        torch.autograd.backward(turned, outer)
        found.append([*turned, *(part.grad for part in given)])
    for expected, actual in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=2 * NEAR[dtype], atol=2 * NEAR[dtype])


def test_rotary_embeddings_are_known_by_what_they_give_and_put_back(kernels: Any, tmp_path: Path) -> None:
    from transformers.models.cohere import modeling_cohere as cohere
    from transformers.models.llama import modeling_llama as llama
    from transformers.models.phi import modeling_phi as phi

    from studio.training import rotary

    assert rotary._gives_the_formula(llama.apply_rotary_pos_emb)
    assert rotary._gives_the_formula(phi.apply_rotary_pos_emb)
    assert not rotary._gives_the_formula(cohere.apply_rotary_pos_emb), "it turns neighbours against each other"
    own = llama.apply_rotary_pos_emb
    from transformers import AutoModelForCausalLM

    from tests.tiny import make_model

    model = AutoModelForCausalLM.from_pretrained(make_model(tmp_path / "model"))
    fused = rotary.fuse(model, kernels)
    assert llama.apply_rotary_pos_emb is not own
    fused.undo()
    assert llama.apply_rotary_pos_emb is own


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from studio.training import kernels

numbers = {"losses": "*fp32", "targets": "*i64", "scale": "fp32", "cap": "fp32"}
constants = {"CAPPED": True, "WANTED": True, "KIND": 1, "BLOCK": 1024, "BACK": True, "HEADS": 32, "HALF": 64}
sizes = {"words", "width", "stride", "out_stride", "tokens", "heads", "half"}
sizes |= {f"{name}_{part}" for name in ("x", "out", "turn") for part in ("batch", "token", "head")}
for capability in (75, 80, 86, 89, 90, 120):
    wide = "*fp16" if capability < 80 else "*bf16"
    for kernel in (kernels._loss, kernels._gate, kernels._gate_back, kernels._rotate):
        names = kernel.arg_names
        signature = {
            name: "constexpr" if name in constants else "i32" if name in sizes else numbers.get(name, wide) for name in names
        }
        fixed = {name: constants[name] for name in names if name in constants}
        source = ASTSource(kernel, signature=signature, constexprs=fixed)
        assert compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
print("compiled")
"""


def test_the_kernels_compile_to_machine_code_for_gpus_from_turing_to_blackwell(tmp_path: Path) -> None:
    env = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "compiled", done.stderr[-2000:]


@pytest.fixture
def trained(tiny_model: Path, tmp_path: Path, gpu: Counter[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train the tiny model on the pretend GPU; the adapter's weights, the losses, and what was said."""
    from transformers import AutoTokenizer

    from studio.training.fit import fit

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    monkeypatch.delenv("TRITON_INTERPRET")  # the kernels are interpreted as they are: that was decided when they were imported

    def run(name: str, **changes: Any) -> tuple[dict[str, Any], list[float], list[str]]:
        said = Memory()
        settings = {"held_out": None, "max_steps": 3, "quantized": True, "fused_norms": False, "dtype": "fp16", **changes}
        job = make_job(tmp_path / name, device="cuda", **settings)
        fit(base(tiny_model, settings["dtype"], "nf4"), tokenizer, job, said)
        notes = [getattr(event, "message", "") for event in said.events]
        return weights(job.adapter_out), list(said.series("loss").values()), notes

    return run


def _counted(own: Callable[..., Any], called: Counter[str], name: str) -> Callable[..., Any]:
    def call(*values: Any, **named: Any) -> Any:
        called[name] += 1
        return own(*values, **named)

    return call


@pytest.mark.parametrize("lever", ["triton_kernels", "fused_norms"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_with_either_goes_as_one_without(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kernels: Any, lever: str, checkpointing: bool
) -> None:
    import torch

    called: Counter[str] = Counter()
    for name in ("losses", "gated", "gated_back", "rotated"):
        monkeypatch.setattr(kernels, name, _counted(getattr(kernels, name), called, name))
    fused = torch.ops.aten._fused_rms_norm
    monkeypatch.setattr(torch.ops.aten, "_fused_rms_norm", _counted(fused, called, "norm"))
    _, plain, _ = trained("plain", gradient_checkpointing=checkpointing)
    assert not called
    _, losses, said = trained("lever", gradient_checkpointing=checkpointing, **{lever: True})
    assert losses == pytest.approx(plain, rel=5e-3)
    assert called.keys() == ({"losses", "gated", "gated_back", "rotated"} if lever == "triton_kernels" else {"norm"})
    assert not [line for line in said if lever in line]


def test_a_kernel_that_gives_another_gradient_is_left_with_a_note(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kernels: Any
) -> None:
    own = kernels.losses

    def wrong(logits: Any, *more: Any) -> Any:
        found = own(logits, *more)
        logits.mul_(2)
        return found

    monkeypatch.setattr(kernels, "losses", wrong)
    _, plain, _ = trained("plain")
    _, losses, said = trained("wrong", triton_kernels=True)
    (note,) = [line for line in said if "triton_kernels" in line]
    assert "training.triton_kernels is not used: its gradient differs" in note
    assert losses == plain


def test_kernels_that_would_be_interpreted_are_left(trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    *_, said = trained("interpreted", triton_kernels=True)
    assert "training.triton_kernels is not used: TRITON_INTERPRET is set, and interpreted kernels are slow" in said


def test_where_triton_cannot_compile_the_run_says_so_and_goes_on(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kernels: Any
) -> None:
    def no_compiler(*_: Any) -> Any:
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")

    monkeypatch.setattr(kernels, "losses", no_compiler)
    _, losses, said = trained("none", triton_kernels=True)
    assert "training.triton_kernels is not used: RuntimeError: Failed to find C compiler" in " ".join(said)
    assert len(losses) == 3


def test_a_norm_that_scales_by_one_plus_its_weight_keeps_its_own_forward(tmp_path: Path) -> None:
    import torch

    from studio.training import norms

    class Own(torch.nn.Module):
        def __init__(self, plus: float, trained: bool = False) -> None:
            super().__init__()
            self.weight, self.eps, self.plus = torch.nn.Parameter(torch.rand(8) + 0.5, requires_grad=trained), 1e-6, plus

        def forward(self, x: Any) -> Any:
            wide = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
            return (wide * (self.plus + self.weight)).type_as(x)

    plain, gemma, learned = Own(0.0), Own(1.0), Own(0.0, trained=True)
    fused = norms.fuse(torch.nn.ModuleList([plain, gemma, learned, torch.nn.LayerNorm(8).requires_grad_(False)]))
    assert fused.modules == [plain]
    fused.undo()
    assert "forward" not in plain.__dict__
