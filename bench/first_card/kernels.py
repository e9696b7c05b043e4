"""Part 2: attention, fused layers, loss and norm on the GPU against plain 32-bit formulas: outputs, gradients, milliseconds."""

from __future__ import annotations

from typing import Any

from bench.first_card.bench import TINY, Bench, Steps, build, job, milliseconds, rows

TOLERANCE = {"bf16": 3e-2, "fp16": 6e-3, "fp32": 1e-4}
"""How far results may be from the exact ones, relative to the largest."""


def measure(bench: Bench) -> None:
    """Every shape and number format that the studio's models have."""
    for head in bench.sizes((64, 80, 96, 128, 256), (80,)):
        for group in bench.sizes((1, 4, 7, 8), (1, 4)):
            with bench.check(f"attention, heads of {head}, {group} to one key head") as values:
                values |= _attention(bench, head, group, rows=8, window=None)
    for count in bench.sizes((1, 300), (1, 12)):
        with bench.check(f"attention over {count} rows") as values:
            values |= _attention(bench, 128, 4, count, window=None)
    with bench.check("attention with a sliding window") as values:
        values |= _attention(bench, 128, 4, 4, window=bench.sizes(64, 8))
    for dtype in ("bf16", "fp16"):
        with bench.check(f"fused layers and gate in {dtype}") as values:
            values |= _fused(bench, dtype)
    with bench.check("loss in tiles") as values:
        values |= _loss(bench)
    for name in bench.sizes(("fused_norms", "triton_kernels"), ("fused_norms",)):  # Triton has no pretend GPU
        with bench.check(f"a step with {name} and without") as values:
            values |= _with_and_without(bench, name)
    with bench.check("two runs of one step") as values:
        values |= _twice(bench)


def _relative(actual: Any, exact: Any) -> float:
    actual, exact = actual.detach(), exact.detach()
    return float((actual.float() - exact.float()).abs().max() / exact.float().abs().max().clamp_min(1e-9))


def _attention(bench: Bench, head: int, group: int, rows: int, window: int | None) -> dict[str, Any]:
    """Both attentions of the studio against softmax(q k') v in 32 bit, row by row; gradients too."""
    import torch

    from studio.training import attention

    torch.manual_seed(rows)
    lengths = tuple(bench.sizes(160, 12) + 7 * (row % 5) for row in range(rows))
    heads, tokens = 2 * group, sum(lengths)
    ends = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32, device="cuda")
    made = [torch.randn(1, count, tokens, head, device="cuda", dtype=torch.bfloat16) for count in (heads, 2, 2)]
    outer = torch.randn(1, tokens, heads, head, device="cuda")
    more: dict[str, Any] = {"row_lengths": lengths, "sliding_window": window, "cu_seq_lens_q": ends}

    def run(attend: Any, dtype: Any) -> list[Any]:
        parts = [part.detach().clone().to(dtype).requires_grad_() for part in made]
        out = attend(None, *parts, None, **more)[0]
        (out.float() * outer).sum().backward()
        return [out, *(part.grad for part in parts)]

    exact = run(_exact, torch.float32)
    values: dict[str, Any] = {}
    for name, attend in (("one kernel", attention.attend_varlen), ("row by row", attention.attend_by_row)):
        found = run(attend, torch.bfloat16)
        values[name] = {
            "error": round(max(_relative(part, true) for part, true in zip(found, exact, strict=True)), 5),
            "ms": milliseconds(lambda attend=attend: run(attend, torch.bfloat16), bench.sizes(5, 1)),
        }
        assert values[name]["error"] <= TOLERANCE["bf16"], f"{name}: {values[name]['error']:.3g} off"
    return values


def _exact(module: Any, query: Any, key: Any, value: Any, mask: Any, *, row_lengths: Any, sliding_window: Any, **_: Any) -> Any:
    import torch

    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value))
    out, start = [], 0
    for length in row_lengths:
        q, k, v = (part[:, :, start : start + length] for part in (query, key, value))
        back = torch.arange(length, device=q.device)[:, None] - torch.arange(length, device=q.device)
        hidden = (back < 0) | (back >= (sliding_window or length))
        weights = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(hidden, float("-inf")).softmax(-1)
        out.append(weights @ v)
        start += length
    return torch.cat(out, 2).transpose(1, 2), None


def _fused(bench: Bench, dtype: str) -> dict[str, Any]:
    """One loss and the adapters' gradient, fused and by PEFT alone."""
    found = {}
    for fused in (True, False):
        asked = job(bench.folder, rows([48, 31], 512), dtype=dtype, fused_adapters=fused, gradient_checkpointing=False)
        steps = Steps(build(TINY, dtype=dtype), asked)
        assert bool(steps.model.fusion.gated) == fused, f"refused: {steps.model.fusion.refused}"
        found[fused] = (steps.step().item(), steps.path)
        steps.close()
    difference = abs(found[True][0] / found[False][0] - 1)
    assert difference < TOLERANCE[dtype], f"{difference:.3g} off"
    return {"path": found[True][1], "error": round(difference, 6)}


def _loss(bench: Bench) -> dict[str, Any]:
    """Losses in tiles, and their gradient, against cross-entropy of all logits in 32 bit."""
    import torch

    from studio.training.head import LogitTransform, token_losses

    tokens, width, words = bench.sizes((1024, 2048, 128_256), (40, 32, 500))
    head = torch.nn.Linear(width, words, bias=False, device="cuda", dtype=torch.bfloat16).requires_grad_(False)
    hidden = torch.randn(tokens, width, device="cuda", dtype=torch.bfloat16)
    targets = torch.randint(0, words, (tokens,), device="cuda")
    own, full = hidden.clone().requires_grad_(), hidden.float().requires_grad_()
    losses = token_losses(own, head, targets, LogitTransform())
    losses.sum().backward()
    exact = torch.nn.functional.cross_entropy(full @ head.weight.float().T, targets, reduction="none")
    exact.sum().backward()
    errors = (_relative(losses, exact), _relative(own.grad, full.grad))
    took = milliseconds(lambda: token_losses(own, head, targets, LogitTransform()).sum().backward(), bench.sizes(5, 1))
    assert max(errors) <= TOLERANCE["bf16"], f"{max(errors):.3g} off"
    return {"loss_error": round(errors[0], 6), "gradient_error": round(errors[1], 6), "ms": took}


def _with_and_without(bench: Bench, field: str) -> dict[str, Any]:
    """One loss with kernels and without them, and the milliseconds of a step."""
    found = {}
    for used in (True, False):
        settings: dict[str, Any] = {field: used, "gradient_checkpointing": False}
        steps = Steps(build(TINY), job(bench.folder, rows([48, 31], 512), **settings))
        reason = steps.model.left.get(field, "")
        assert not reason, reason
        found[used] = (steps.step().item(), milliseconds(steps.step, bench.sizes(20, 1)))
        steps.close()
    difference = abs(found[True][0] / found[False][0] - 1)
    assert difference < TOLERANCE["bf16"], f"{difference:.3g} off"
    return {"error": round(difference, 6), "ms": found[True][1], "ms_without": found[False][1]}


def _twice(bench: Bench) -> dict[str, Any]:
    """How far two computations of one step are apart: flash attention adds its gradient in any order."""
    import torch

    found = []
    for _ in range(2):
        torch.manual_seed(0)
        steps = Steps(build(TINY), job(bench.folder, rows([60, 40], 512)))
        found.append([steps.step() for _ in range(3)][-1].item())
        steps.close()
    apart = abs(found[0] - found[1])
    assert apart < 1e-2 * abs(found[0]), f"{apart:.3g} apart"
    return {"apart": apart, "bit_for_bit": apart == 0.0}
