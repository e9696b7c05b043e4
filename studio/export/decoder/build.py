"""Building the decoder from a merged folder: every weight finds its module, and none is left over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ExportError
from studio.export.decoder.architecture import HINT, Architecture, architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from studio.export.decoder.modules import Decoder, Layer, Norm

_NORMS = ("input_layernorm", "post_attention_layernorm")
_MORE_NORMS = ("pre_feedforward_layernorm", "post_feedforward_layernorm")


def build(
    folder: Path, context: int, *, last: bool = False, cache: Callable[[int, int, int], nn.Module] | None = None
) -> Decoder:
    """The model in a merged folder (config.json, safetensors) as a decoder in float32 and evaluation mode.

    context: places of the cache. last: give the logits of the last token only.
    cache: (kv_heads, context, head_size) -> a module as `modules.Cache`, for a runtime that keeps it otherwise.
    Raises ExportError for an architecture or a context that is not computed here, and if a weight is missing or left over.
    """
    from torch import nn
    from transformers import AutoConfig

    from studio.export.decoder import modules

    config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    shape = architecture(config)
    if context > shape.reach:
        raise ExportError(
            f"a context of {context} exceeds the {shape.reach} tokens the model takes here", hint="Choose a shorter context."
        )
    weights = _Weights(folder, shape)
    make_cache = cache or modules.Cache
    caches = [make_cache(shape.kv_heads, context, shape.head_size) for _ in shape.layers]
    layers = [_layer(weights, shape, place, held) for place, held in enumerate(caches)]
    embedding = nn.Embedding.from_pretrained(weights.take("model.embed_tokens.weight"))
    head = None if shape.tied else weights.linear("lm_head")
    if head is None:
        head = nn.Linear(shape.hidden, shape.vocabulary, bias=False, device="meta")
        head.weight = embedding.weight
    norm = weights.norm("model.norm")
    weights.refuse_left_over()
    ropes = {name: rope_tables(shape, name, context) for name in shape.kinds}
    return modules.Decoder(shape, context, embedding, layers, norm, head, ropes, last).eval().requires_grad_(False)


def rope_tables(shape: Architecture, kind: str, context: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the positions below `context`, [context, rotated / 2] float32, by transformers' own scaling.

    The angle is computed in float32, as transformers does.
    """
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = shape.kinds[kind].rope
    rope_type = rope.get("rope_type", "default")
    if rope_type == "default":
        rotated = int(shape.head_size * rope.get("partial_rotary_factor", 1.0))
        frequencies = 1.0 / (rope["rope_theta"] ** (torch.arange(0, rotated, 2, dtype=torch.float) / rotated))
        stretch = 1.0
    elif rope_type in ROPE_INIT_FUNCTIONS:
        layered = kind in shape.config.rope_parameters
        frequencies, stretch = ROPE_INIT_FUNCTIONS[rope_type](shape.config, layer_type=kind if layered else None)
    else:
        raise ExportError(f"RoPE scaling `{rope_type}` is not computed here", hint=HINT)
    angles = torch.arange(context, dtype=torch.float)[:, None] * frequencies[None, :]
    return angles.cos() * stretch, angles.sin() * stretch


def _layer(weights: _Weights, shape: Architecture, index: int, cache: nn.Module) -> Layer:
    from studio.export.decoder import modules

    at = f"model.layers.{index}"
    parts = weights.linears(f"{at}.self_attn", "qkv_proj", ("q_proj", "k_proj", "v_proj"), "o_proj")
    parts |= weights.norms(f"{at}.self_attn", ("q_norm", "k_norm"))
    mlp = modules.Mlp(weights.linears(f"{at}.mlp", "gate_up_proj", ("gate_proj", "up_proj"), "down_proj"), shape.activation)
    norms = {name: weights.norm(f"{at}.{name}") for name in _NORMS} | weights.norms(at, _MORE_NORMS)
    return modules.Layer(modules.Attention(parts, shape, cache), mlp, norms, shape.layers[index], shape.residual_scale)


class _Weights:
    """The tensors of a folder in float32, each taken once."""

    def __init__(self, folder: Path, shape: Architecture) -> None:
        from safetensors.torch import load_file

        self.shape = shape
        self.left: dict[str, Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            self.left |= {name: tensor.float() for name, tensor in load_file(file).items()}
        if shape.tied:
            self.left.pop("lm_head.weight", None)

    def take(self, name: str) -> Tensor:
        if name not in self.left:
            raise ExportError(f"the merged model has no weight `{name}`", hint="It does not fit its config.json.")
        return self.left.pop(name)

    def linear(self, name: str) -> nn.Linear:
        from torch import nn

        weight, bias = self.take(f"{name}.weight"), self.left.pop(f"{name}.bias", None)
        made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        made.weight = nn.Parameter(weight, requires_grad=False)
        if bias is not None:
            made.bias = nn.Parameter(bias, requires_grad=False)
        return made

    def norm(self, name: str) -> Norm:
        from studio.export.decoder.modules import Norm

        return Norm(self.take(f"{name}.weight") + self.shape.norm_offset, self.shape.eps)

    def linears(self, at: str, fused: str, apart: tuple[str, ...], *others: str) -> dict[str, nn.Module]:
        """`fused` if it is there, else those it would be made of; and the others."""
        names = (fused,) if f"{at}.{fused}.weight" in self.left else apart
        return {name: self.linear(f"{at}.{name}") for name in (*names, *others)}

    def norms(self, at: str, names: tuple[str, ...]) -> dict[str, nn.Module]:
        """Those of `names` that are there."""
        return {name: self.norm(f"{at}.{name}") for name in names if f"{at}.{name}.weight" in self.left}

    def refuse_left_over(self) -> None:
        if self.left:
            raise ExportError(f"weights this format has no place for: {', '.join(sorted(self.left)[:3])}", hint=HINT)
