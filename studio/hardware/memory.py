"""How many bytes a run needs, itemised, from the model's dimensions alone: nothing is downloaded, nothing is loaded.

Every formula is in the docstring of the function that computes it and in docs/memory.md, with where it was checked.
`MemoryConfig` is what decides memory; `studio.hardware.peak` adds the parts up.
"""

from __future__ import annotations

from collections.abc import Mapping

from studio.hardware.dims import ModelDims
from studio.hardware.memory_config import MemoryConfig

GIB = 1 << 30
MIB = 1 << 20
CONTEXT = 512 * MIB
"""CUDA context, kernels and cuBLAS workspaces of one process."""
CPU_PROCESS = 1024 * MIB
"""A training process without its model: 0.5 GiB of imports, and the libraries' own buffers. Runs of a model of a few megabytes
peaked at 0.75 to 1.33 GB, measured."""
VLLM = "vLLM"
"""The item of a training's memory that vLLM takes which writes its answers."""
VLLM_ANSWERS = 32
"""Answers that vLLM writes at once in training."""
FRAGMENTATION = 0.10
"""Share of the short-lived memory lost between the allocator's blocks."""
SHARED = {"k_proj": "q_proj", "v_proj": "q_proj", "qkv_proj": "q_proj", "up_proj": "gate_proj", "gate_up_proj": "gate_proj"}
SHARED |= dict.fromkeys(("in_proj_z", "in_proj_b", "in_proj_a"), "in_proj_qkv")
"""Linear layers that take the input of another."""
QUERY_KEY_VALUE = ("q_proj", "k_proj", "v_proj")
TRAINED_HEAD_LOGIT = 14
"""Bytes a logit takes where the head is trained: in 16 bit, then in 32 bit with its log-softmax and gradient."""
DELTA_CHUNK = 64
"""Tokens that a gated delta rule works on at once."""
STREAM = 3.5
"""Hidden states that a further stream keeps in a layer, to be predicted and corrected (Gemma 3n)."""
OFFLOADED = 3
"""Inputs of layers on the GPU at a time where they wait in RAM: the one in use, and those on their way."""
LOGITS_PER_CHUNK = {"cpu": 1 << 24, "cuda": 1 << 26}
"""Logits made at once: the head and its loss work through the scored tokens in chunks (as `studio.training.head`)."""


def width(dtype: str) -> int:
    """Bytes of one number: 4 for fp32, 2 for bf16 and fp16."""
    return 4 if dtype == "fp32" else 2


def nf4_bytes(weights: int, double: bool = True) -> int:
    """Bytes of a tensor in NF4 (QLoRA, Dettmers et al. 2023, section 3).

    Half a byte a weight and a scale for each block of 64: 4 bytes (4.5 bit a weight), or with double quantisation 1 byte
    and 4 for each 256 blocks (4.127 bit). Exact on bitsandbytes tensors, but for 1.1 kB of tables each.
    """
    blocks = -(-weights // 64)
    scales = blocks + 4 * -(-blocks // 256) if double else 4 * blocks
    return -(-weights // 2) + scales


def weight_bytes(dims: ModelDims, quantization: str, double: bool = True, dtype: str = "bf16", head: bool = False) -> int:
    """Bytes of the frozen base: what is quantised as it is quantised, everything else (embeddings, head, norms) in `dtype`.

    nf4 as `nf4_bytes`, fused experts included; int8 is one byte a weight and 4 for each row's scale (LLM.int8(), Dettmers
    et al. 2022), experts left out. head: the output matrix is quantised too.
    """
    if quantization == "nf4":
        held = dims.quantizable + dims.expert_parameters + (dims.head if head else 0)
        return nf4_bytes(held, double) + (dims.parameters - held) * width(dtype)
    if quantization == "int8":
        rows = dims.adapter_parameters(1, dora=True) - dims.lora_parameters(1)  # one row an output
        return dims.quantizable + 4 * rows + (dims.parameters - dims.quantizable) * width(dtype)
    return dims.parameters * width(dtype)


def loading_bytes(dims: ModelDims, quantization: str, double: bool = True, dtype: str = "bf16") -> int:
    """Bytes the base takes while it is loaded: with nf4, beside what is quantised already, the largest tensor of fused experts
    twice in `dtype`, for checkpoints hold experts one by one and these are joined before they are quantised."""
    held = weight_bytes(dims, quantization, double, dtype)
    if quantization != "nf4" or not dims.expert_parameters:
        return held
    return held + 2 * width(dtype) * dims.layer_experts * 2 // 3  # gate and up projection are one tensor


def expert_bytes(dims: ModelDims, config: MemoryConfig) -> tuple[int, int]:
    """Bytes of one layer's experts in 16 bit (32 in fp32), beside their weights: kept for its backward pass, and while it is at
    work besides.

    Of experts in nf4 what is unpacked is kept: each product needs its weight once more. Of adapted experts what is kept is the
    sum of weight and adapter, which peft makes as large as the weights; that adapter's product, as large too, and the unpacked
    weight are there while the layer computes, and later a gradient as large as either.
    """
    each = dims.layer_experts * width(config.dtype)
    adapted = dims.experts_adapted and config.targets == "all-linear"
    unpacked = config.quantization == "nf4"
    return each * (unpacked or adapted), each * adapted * (1 + unpacked)


def optimizer_bytes(trained: int, optimizer: str, each: int = 4) -> int:
    """Bytes of AdamW's two moments: 4 each; in 8 bit 1 each and a scale for each block of 256 (Dettmers et al. 2021)."""
    if optimizer == "adamw":
        return 2 * each * trained
    return round(2 * trained * (1 + 4 / 256))


def layer_bytes(dims: ModelDims, config: MemoryConfig, delta: bool = False) -> int:
    """Bytes one token leaves in one layer for the backward pass, without checkpointing. delta: in a layer with a gated delta
    rule (`delta_bytes`) in place of attention.

    h is the hidden size, q and k the widths of all query and all key heads, f the feed-forward width, a the heads. In 16 bit
    n (4 h + 4) + 4 a + 2 (2 q + 2 k + 3 f) and what adapters keep. A norm keeps its input and a root in 32 bit; attention
    queries, keys, values, its output (once more where rows attend one by one, not in one kernel) and a logarithm a head; the
    gated feed-forward three tensors. A frozen layer keeps nothing, an adapted one its input (which queries, keys and values
    share, and gate and up) and the rank's inner one; DoRA its output twice. A feed-forward that is one function keeps gate and
    up only, 2 f for 4 f with the last layer's input. Norms on queries and keys keep those in 32 bit; one layer for queries,
    keys and values keeps its output whole; with dropout each adapted layer keeps a copy of its input and a mask; eager
    attention keeps 6 bytes x heads x length. Experts keep their answers, too, before these are weighted: h for each one used.
    Embeddings of a layer's own take h + 2 p, and each further stream `STREAM` h, which was measured.

    Counted by saved-tensor hooks in our own training step, for Llama, Qwen 2 and 3, Gemma 3, Phi 3 and Mistral, in 16 and
    32 bit, with and without nf4, checkpointing, dropout and some of the adapters: equal to 0.3 % (DoRA is derived only).
    For Qwen 3 MoE, Mixtral and gpt-oss to 5 % with frozen experts; adapted ones keep 3 % more than this in 16 bit, and 15 %
    less with nf4.
    """
    q, k, ffn = dims.query_width, dims.key_width, dims.ffn * (dims.experts_used or 1)
    bytes_each = width(config.dtype)
    numbers = (
        (0 if delta else _attention_numbers(dims, config))
        + (dims.expert_tensors if dims.experts else 1 if _gated(dims, config) else 3 if dims.gated else 2) * ffn
        + dims.experts_used * dims.hidden
        + (dims.hidden + 2 * dims.per_layer if dims.per_layer else 0)
        + round(STREAM * (dims.streams - 1) * dims.hidden)
    )
    exact = dims.norms_per_layer * (4 * dims.hidden + 4) + (delta_bytes(dims, config) if delta else 4 * dims.heads)
    if dims.query_key_norms and not delta:
        exact += 4 * (q + k) + 4 * (dims.heads + dims.kv_heads)
    if config.quantization != "none":
        exact += config.trainer.inputs * sum(inputs for inputs, _ in _apart(dims.linears, config).values())
    return exact + numbers * bytes_each + _adapter_activations(dims, config)


def _attention_numbers(dims: ModelDims, config: MemoryConfig) -> int:
    """Numbers that a token leaves in attention, norms and adapters left out."""
    q, k = dims.query_width, dims.key_width
    numbers = (1 if config.varlen else 2) * q + (2 * q if config.trainer.repeated else 2 * k)
    if dims.fused or (config.trainer.joint and dims.kv_heads == dims.heads):
        numbers += q + k
    if config.attention == "eager":
        numbers += 3 * dims.heads * (config.row or config.length)
    return numbers + (3 * q if dims.gated_attention else 0)


def delta_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes that a token leaves in a gated delta rule (Yang et al. 2024) as transformers computes it in torch.

    v is the width of all value heads, c a chunk's tokens times the heads, s a state a chunk, w the width of what is convolved.
    In 16 bit 11 v + 2 c + s numbers in 32 bit, and 10 v + 3 c + 2 s + 2 w for the products; in 32 bit 15 v + 5 c + s + 2 w.
    Counted by saved-tensor hooks at three widths: to 3 % in 16 bit, and 10 % too low in 32 bit.
    """
    values, chunk = dims.delta_heads * dims.delta_head, dims.delta_heads * DELTA_CHUNK
    state = dims.delta_heads * dims.delta_head**2 // DELTA_CHUNK
    if config.dtype == "fp32":
        return 4 * (15 * values + 5 * chunk + state + 2 * dims.delta_width)
    return 4 * (11 * values + 2 * chunk + state) + 2 * (10 * values + 3 * chunk + 2 * state + 2 * dims.delta_width)


def _gated(dims: ModelDims, config: MemoryConfig) -> bool:
    """Whether the feed-forward is one function: then of what it makes only gate and up are kept."""
    layers = dims.adapted(config.targets)
    first = "gate_up_proj" in layers or {"gate_proj", "up_proj"} <= layers.keys()
    return config.fused and not dims.experts and first and "down_proj" in layers


def _adapter_activations(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes a token leaves in the adapters of one layer."""
    layers, bytes_each = dims.adapted("all-linear" if config.full else config.targets), width(config.dtype)
    rank = max((config.rank, *(own for _, own in config.ranks)))
    inner = 0 if config.full else rank * len(layers) * bytes_each
    if config.dora:
        inner += 2 * bytes_each * sum(outputs for _, outputs in layers.values())
    if config.trainer.joint:
        spread = [outputs for name, (_, outputs) in layers.items() if name in QUERY_KEY_VALUE]
        inner += bytes_each * sum(spread) * (len(spread) < len(QUERY_KEY_VALUE))
    own = config.trainer.own or (2 * bytes_each if config.dropout else 0)
    if own:
        return inner + own * sum(inputs for inputs, _ in _apart(layers, config).values())
    shared = {SHARED.get(name, name): inputs for name, (inputs, _) in layers.items()}
    if dims.experts and dims.experts_adapted and config.targets == "all-linear":
        shared |= {"gate_proj": dims.hidden * dims.experts_used, "down_proj": dims.ffn * dims.experts_used}
    return inner + bytes_each * sum(shared.values())


def _apart(layers: Mapping[str, tuple[int, int]], config: MemoryConfig) -> dict[str, tuple[int, int]]:
    """The layers that have an input of their own: without two of queries, keys and values where these are one layer."""
    first = next((name for name in layers if name in QUERY_KEY_VALUE), "")
    one = QUERY_KEY_VALUE if config.trainer.joint else ()
    return {name: size for name, size in layers.items() if name not in one or name == first}


def trained_parameters(dims: ModelDims, config: MemoryConfig) -> int:
    """Weights that are trained: the adapter's, or with full fine-tuning those of the linear layers, and whole modules'."""
    if config.full:
        return dims.quantizable + dims.whole_parameters(config.whole)
    adapter = dims.adapter_parameters(config.rank, config.targets, config.dora, config.ranks)
    return adapter + dims.whole_parameters(config.whole)


def input_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes of a layer's input a token."""
    each = 4 if config.trainer.prepared else width(config.dtype)
    return each * dims.hidden * dims.streams


def offloaded_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes of RAM that the inputs of layers take which wait there: pinned memory comes in powers of two."""
    if not (config.offloaded and config.checkpointing):
        return 0
    each = config.tokens * input_bytes(dims, config)
    return config.recomputed(dims.layers) * (1 << (each - 1).bit_length())


def activation_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes kept between forward and backward: tokens x layers x `layer_bytes`.

    With gradient checkpointing (Chen et al. 2016) a layer that is computed again keeps only its input, 2 h a token in 16 bit;
    where inputs wait in RAM, `OFFLOADED` of them are on the GPU at a time.
    Each stream counts, and the embeddings a layer has for itself, p of them, with the norm in 32 bit that they come from.
    Any other layer keeps its experts, too, if they are quantised or adapted (`expert_bytes`).
    """
    again = config.recomputed(dims.layers)
    here = 0 if config.trainer.offloaded else min(again, OFFLOADED) if config.offloaded else again
    inputs = here * input_bytes(dims, config)
    if dims.per_layer:
        inputs += dims.layers * (dims.per_layer * (width(config.dtype) + 4) + 8)
    whole = dims.layers - again
    experts = min(whole, dims.sparse_layers) * expert_bytes(dims, config)[0] if dims.experts else 0
    delta = whole * dims.delta_layers // dims.layers
    layers = (whole - delta) * layer_bytes(dims, config) + (delta * layer_bytes(dims, config, True) if delta else 0)
    return experts + config.tokens * (inputs + layers)


def head_bytes(dims: ModelDims, config: MemoryConfig, device: str = "cuda") -> int:
    """Bytes of logits and loss: the head runs over chunks of the scored tokens, never tokens x vocabulary at once.

    A chunk of `LOGITS_PER_CHUNK` holds the logits in 32 bit, their exponentials and a 16-bit copy (10 bytes each); the hidden
    states, those scored and their gradient take 6 h bytes a token in 16 bit, and 4 h what the last norm keeps in 32 bit.
    """
    if "lm_head" in config.whole and not config.trainer.logits:  # the tiled head needs a frozen one
        return config.tokens * (dims.vocab * TRAINED_HEAD_LOGIT + dims.hidden * 2 * width(config.dtype))
    if config.trainer.logits:
        whole = dims.vocab * dims.hidden * width(config.dtype) if config.trainer.head and config.quantization != "none" else 0
        return whole + config.tokens * (dims.vocab * config.trainer.logits + dims.hidden * 2 * width(config.dtype))
    rows = min(config.tokens, max(16, LOGITS_PER_CHUNK[device] // dims.vocab))
    return rows * dims.vocab * (8 + width(config.dtype)) + config.tokens * dims.hidden * (3 * width(config.dtype) + 4)


def work_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes of the one layer that is at work in the backward pass.

    The gradients of the feed-forward's inner tensors (6 f a token in 16 bit), the layer's largest weight in 16 bit if it is
    kept quantised (all its adapted ones if they are unpacked once), and with checkpointing the layer's activations, computed
    again (`layer_bytes` a token, and its experts: `expert_bytes`). Layers above the last that is computed again have given
    theirs back by then.
    """
    largest = max(inputs * outputs for inputs, outputs in dims.linears.values())
    each = width(config.dtype) if config.quantization != "none" else 0
    gradients = config.tokens * 3 * dims.ffn * (dims.experts_used or 1) * width(config.dtype)
    kept, besides = expert_bytes(dims, config) if dims.experts else (0, 0)
    if not config.checkpointing:
        return each * largest + gradients + besides
    unpacked = largest
    if not config.unpacked_again:
        unpacked = max(largest, sum(inputs * outputs for inputs, outputs in dims.adapted(config.targets).values()))
    above = (dims.layers - 1) % config.recompute_every
    again = each * unpacked + (1 - above) * config.tokens * layer_bytes(dims, config, dims.delta_layers > 0)
    return max(again + (1 - above) * kept, each * largest if above else 0) + gradients + besides


def answer_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes of generating `answer_rows` answers at once: keys and values of all layers for prompt and answer, one layer's
    working tensors for the prompt, its experts unpacked, and the last logits in 32 bit, twice."""
    tokens = config.answer_rows * config.answer_length
    cache = tokens * dims.layers * 2 * dims.key_width * width(config.dtype)
    working = tokens * (2 * dims.ffn + 4 * dims.hidden) * width(config.dtype)
    working += sum(expert_bytes(dims, config)) if dims.experts else 0
    return cache + working + config.answer_rows * dims.vocab * 8


def vllm_bytes(dims: ModelDims, config: MemoryConfig, device: str = "cuda") -> int:
    """Bytes of vLLM beside a training that learns from the answers it writes: a base of its own, keys and values of
    `VLLM_ANSWERS` answers at once, on a CPU the 1 GiB it sets aside for those, and the process."""
    cache = VLLM_ANSWERS * config.answer_length * dims.layers * 2 * dims.key_width * width(config.dtype)
    return dims.parameters * width(config.dtype) + (max(cache, GIB) if device == "cpu" else cache) + CPU_PROCESS
