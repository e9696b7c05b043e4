"""Memory formulas against real tensors, our own training step, and published measurements."""

from __future__ import annotations

import pytest

from studio.core.errors import ModelError
from studio.hardware import memory, peak
from studio.hardware.dims import ModelDims
from studio.hardware.memory_config import MemoryConfig
from studio.models import presets
from studio.models.dims import model_dims


def dims_of(name: str, **changes: object) -> ModelDims:
    config = presets.config(name)
    assert config is not None
    return model_dims({**config, **changes})


@pytest.mark.parametrize("name", presets.names())
def test_parameters_counted_from_a_config_are_those_published(name: str) -> None:
    known = presets.preset(name)
    assert known is not None
    assert dims_of(name).parameters == known.parameters


V01 = {"vocab_size": 32_000}  # Mistral 7B v0.1, which the table was made from


@pytest.mark.parametrize(
    ("name", "changes", "billions", "quantizable", "nf4", "bf16", "lora"),
    [
        ("meta-llama/Llama-3.2-1B-Instruct", {}, "1.24", "0.97", "1.03", "2.47", "11.3"),
        ("meta-llama/Llama-3.1-8B-Instruct", {}, "8.03", "6.98", "5.70", "16.06", "41.9"),
        ("mistralai/Mistral-7B-Instruct-v0.3", V01, "7.24", "6.98", "4.13", "14.48", "41.9"),
        ("Qwen/Qwen3-8B", {}, "8.19", "6.95", "6.07", "16.38", "43.6"),
        ("microsoft/phi-4", {}, "14.66", "13.63", "9.09", "29.32", "55.7"),
        ("google/gemma-3-4b-it", {}, "3.88", "3.21", "3.00", "7.76", "29.8"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", {}, "46.70", "1.34", "24.48", "93.41", "13.6"),
    ],
)
def test_weights_and_adapters_agree_with_models_built_in_torch(
    name: str, changes: dict[str, int], billions: str, quantizable: str, nf4: str, bf16: str, lora: str
) -> None:
    """Counted on the meta device with transformers, to the digits printed."""
    found = dims_of(name, **changes)
    assert f"{found.parameters / 1e9:.2f}" == billions
    assert f"{found.quantizable / 1e9:.2f}" == quantizable
    assert f"{memory.weight_bytes(found, 'nf4') / 1e9:.2f}" == nf4
    assert f"{memory.weight_bytes(found, 'none') / 1e9:.2f}" == bf16
    assert f"{found.adapter_parameters(16, 'attention' if found.experts else 'all-linear') / 1e6:.1f}" == lora


@pytest.mark.torch
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (256, 128), (448, 1184)])
def test_nf4_bytes_are_those_of_real_bitsandbytes_tensors(size: tuple[int, int], double: bool) -> None:
    import torch
    from bitsandbytes.functional import quantize_4bit

    packed, state = quantize_4bit(torch.randn(size), compress_statistics=double, quant_type="nf4")
    parts = [state, state.state2] if double else [state]
    scales = sum(part.absmax.nbytes for part in parts if part and part.absmax is not None)
    assert memory.nf4_bytes(size[0] * size[1], double) == packed.nbytes + scales


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arch", "dtype", "every", "adapter"),
    [
        ("llama", "bf16", 0, {}),
        ("llama", "bf16", 1, {}),
        ("llama", "bf16", 2, {}),
        ("llama", "fp32", 0, {"dropout": 0.1}),
        ("llama", "fp32", 0, {"targets": ["q_proj", "v_proj"]}),
        ("llama", "fp32", 0, {"targets": ["o_proj", "up_proj"]}),
        ("qwen3", "bf16", 0, {}),
        ("phi3", "bf16", 0, {}),
        ("gemma3_text", "fp32", 0, {}),
    ],
)
def test_activations_are_those_our_training_step_keeps(tmp_path, arch: str, dtype: str, every: int, adapter: dict) -> None:
    """Two layers more keep exactly two times `layer_bytes` a token more, and the 16-bit copy of their adapters."""
    rank, lengths = 8, [30, 18, 48]
    config = {
        "model_type": arch,
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "num_hidden_layers": 2,
        "vocab_size": 512,
    }
    if arch == "phi3":
        config["head_dim"] = 32
    settings = {"rank": rank, "alpha": rank, **adapter}
    few = saved_bytes(tmp_path, config, dtype, every, settings, lengths)
    many = saved_bytes(tmp_path, {**config, "num_hidden_layers": 4}, dtype, every, settings, lengths)
    targets = adapter.get("targets", "all-linear")
    found = model_dims(config)
    memory_config = MemoryConfig(
        dtype=dtype,
        rank=rank,
        targets=targets if isinstance(targets, str) else tuple(targets),
        dropout=adapter.get("dropout", 0.0),
        rows=1,
        length=sum(lengths),
        checkpointing=every > 0,
        recompute_every=max(1, every),
        fused=not adapter.get("dropout"),
    )
    each = memory.activation_bytes(found, memory_config) / found.layers
    if not every and dtype == "bf16" and not memory_config.fused:
        each += 2 * found.adapter_parameters(rank) / found.layers
    assert (many - few) / 2 == pytest.approx(each, rel=3e-3)  # Gemma keeps the scales of its norms


@pytest.mark.torch
@pytest.mark.parametrize("width", [64, 128])
def test_a_gated_delta_rule_keeps_what_the_plan_counts_between_layers_of_attention(tmp_path, width: int) -> None:
    """Qwen 3.5: three layers of four. Its rows are padded: transformers' own rule cannot keep packed ones apart."""
    layers = ["linear_attention"] * 3 + ["full_attention"]
    config = {
        "model_type": "qwen3_5_text",
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "vocab_size": 512,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": width,
        "linear_value_head_dim": width,
    }
    settings, lengths = {"rank": 8, "alpha": 8}, [320, 320]
    few, many = (
        saved_bytes(tmp_path, {**config, "num_hidden_layers": 4 * times, "layer_types": layers * times}, "bf16", 0, settings,
                    lengths, packed=False)
        for times in (1, 2)
    )  # fmt: skip
    found = model_dims({**config, "num_hidden_layers": 4, "layer_types": layers})
    planned = memory.activation_bytes(found, MemoryConfig(rank=8, rows=2, length=320, checkpointing=False, fused=True))
    assert many - few == pytest.approx(planned, rel=0.04)


MIXTURE = {
    "hidden_size": 128,
    "intermediate_size": 192,
    "moe_intermediate_size": 192,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "vocab_size": 512,
}


def saved_bytes(folder, config: dict, dtype: str, every: int, adapter: dict, lengths: list[int], packed: bool = True) -> int:
    """Bytes that a real step of our trainer keeps for its backward pass, parameters left out."""
    import contextlib

    import torch
    from peft.helpers import disable_input_dtype_casting
    from transformers import AutoConfig, AutoModelForCausalLM

    from studio.training import choosing
    from studio.training.layouts import pack, pad_rows
    from studio.training.loss_model import LossModel
    from tests.training.kit import items, make_job, make_rows

    values = {key: value for key, value in config.items() if key != "model_type"}
    settings = AutoConfig.for_model(
        config["model_type"], **values, max_position_embeddings=512, pad_token_id=0, eos_token_id=2, tie_word_embeddings=True
    )
    model = AutoModelForCausalLM.from_config(settings, dtype=torch.float32 if dtype == "fp32" else torch.bfloat16)
    rows = make_rows(lengths)
    again = {"gradient_checkpointing": every > 0, "recompute_every": max(1, every)}
    job = make_job(folder, adapter=adapter, dtype=dtype, train=rows, **again)
    scorer = LossModel(model, job, 0)
    sizes: dict[int, int] = {}
    with disable_input_dtype_casting(scorer.model) if dtype != "fp32" else contextlib.nullcontext():
        choosing.choose(scorer)
        model.train()
        own = {item.untyped_storage().data_ptr() for item in [*model.parameters(), *model.buffers()]}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = scorer.loss((pack if packed else pad_rows)(items(rows)))
    assert loss.requires_grad
    return sum(sizes.values())


def test_items_add_up_and_each_says_what_it_is() -> None:
    found = peak.estimate(dims_of("Qwen/Qwen2.5-3B-Instruct"), MemoryConfig())
    assert found.total == sum(item.bytes for item in found.items)
    assert all(item.why and item.bytes >= 0 for item in found.items)


def test_more_rows_need_more_and_checkpointing_and_nf4_need_less() -> None:
    model = dims_of("Qwen/Qwen2.5-3B-Instruct")

    def total(**changes: object) -> int:
        return peak.estimate(model, MemoryConfig(**{"quantization": "none", "checkpointing": False, **changes})).total

    assert total(rows=4) > total(rows=2) > total()
    assert total() > total(checkpointing=True) > total(checkpointing=True, quantization="int8")
    assert total(quantization="int8") > total(quantization="nf4", double_quantization=False) > total(quantization="nf4")
    assert total(optimizer="adamw") > total(optimizer="adamw_8bit")
    assert total(attention="eager") > total()
    assert total(rank=64) > total()
    assert total(targets="attention") < total()


def test_experts_are_quantised_while_they_are_loaded_and_int8_never_makes_them_small() -> None:
    mixtral = dims_of("mistralai/Mixtral-8x7B-Instruct-v0.1")
    whole, held = memory.weight_bytes(mixtral, "none"), memory.weight_bytes(mixtral, "nf4")
    fused = 2 * 8 * 2 * 14336 * 4096  # gate and up projection of eight experts, in 16 bit
    assert held < 0.3 * whole
    assert memory.loading_bytes(mixtral, "nf4") == held + 2 * fused
    assert memory.weight_bytes(mixtral, "int8") > 0.97 * whole
    memory_config = MemoryConfig(quantization="nf4", rows=1, length=128, answer_rows=1, answer_length=128)
    assert peak.estimate(mixtral, memory_config).total >= memory.loading_bytes(mixtral, "nf4")


def test_experts_in_4_bit_are_unpacked_a_layer_at_a_time_or_all_layers_without_checkpointing() -> None:
    experts = dims_of("unsloth/gpt-oss-20b-BF16")
    layer = 2 * experts.expert_parameters // 24
    again, kept = (MemoryConfig(checkpointing=again, rows=1, length=1) for again in (True, False))
    assert layer < memory.work_bytes(experts, again) < 1.1 * layer
    assert 24 * layer < memory.activation_bytes(experts, kept) < 24.1 * layer
    assert memory.activation_bytes(experts, again) < 0.001 * layer
    plain = MemoryConfig(quantization="none", checkpointing=False, rows=1, length=1)
    assert memory.activation_bytes(experts, plain) < 0.01 * layer
    assert memory.answer_bytes(experts, again) > layer


@pytest.mark.torch
@pytest.mark.parametrize("arch", ["qwen3_moe", "gpt_oss"])
def test_what_a_step_keeps_of_a_mixture_is_what_the_plan_counts(tmp_path, arch: str) -> None:
    few, many = ({**MIXTURE, "model_type": arch, "num_hidden_layers": layers} for layers in (2, 4))
    own = [saved_bytes(tmp_path, each, "bf16", 0, {"rank": 8, "targets": "attention"}, [128]) for each in (few, many)]
    found = model_dims(few)
    memory_config = MemoryConfig(
        rank=8,
        targets="attention",
        rows=1,
        length=128,
        checkpointing=False,
        fused=True,
        quantization="none",
        attention="eager" if found.only_eager else "sdpa",
    )
    assert (own[1] - own[0]) / 2 == pytest.approx(memory.activation_bytes(found, memory_config) / 2, rel=0.06)


def test_a_config_without_sizes_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        model_dims({"model_type": "bert-like"})
    assert "does not describe a decoder" in caught.value.message


def test_a_layer_above_the_last_one_that_is_computed_again_has_given_its_activations_back_by_then() -> None:
    dims = dims_of("Qwen/Qwen2.5-3B-Instruct")  # 36 layers: of every two the first is computed again, the last is kept
    every, second = (MemoryConfig(quantization="none", checkpointing=True, recompute_every=number) for number in (1, 2))
    freed = memory.work_bytes(dims, every) - memory.work_bytes(dims, second)
    assert freed == every.tokens * memory.layer_bytes(dims, every)
