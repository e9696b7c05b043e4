"""What is put right after each load, and what a load refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import HardwareError, ModelError
from studio.models import loading
from studio.models.settings import Model
from tests.tiny import make_model

pytestmark = pytest.mark.numeric


def load(folder: Path, quantization: Any = "nf4", dtype: Any = "fp32") -> Any:
    settings = Model(name=str(folder), quantization=quantization, dtype=dtype, attention="sdpa")
    return loading.load_base(settings, "cpu", loading.find(settings))


def adapted(base: Any, folder: Path | None = None) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(base, config)
    if folder is not None:
        model.save_pretrained(folder)  # pyright: ignore[reportArgumentType]
    return model


def ids() -> Any:
    import torch

    return torch.arange(5, 37).reshape(2, 16)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_gradients_are_the_same_after_an_evaluation(tiny_model: Path, dtype: str):
    """bitsandbytes would repack 4-bit weights in the first forward without gradients, and lose the gradient for good."""
    import torch

    def norm(model: Any) -> float:
        model.train().zero_grad()
        model(input_ids=ids(), labels=ids()).loss.backward()
        return sum(float(weight.grad.float().norm()) for weight in model.parameters() if weight.grad is not None)

    model = adapted(load(tiny_model, dtype=dtype))
    before = norm(model)
    with torch.no_grad():
        model.eval()(input_ids=ids())
        model.generate(input_ids=ids(), max_new_tokens=2, do_sample=False)
    assert norm(model) == before


def test_models_loaded_by_several_threads_at_once_are_whole(tiny_model: Path):
    """transformers patches its own classes while it loads; a server loads each base in a thread of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        models = list(threads.map(lambda _: load(tiny_model, "none"), range(12)))
    for model in [*models, load(tiny_model, "none")]:
        assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
def test_a_merge_after_answers_were_generated_is_no_garbage(tiny_model: Path, tmp_path: Path, quantization: str):
    import torch

    model = adapted(load(tiny_model, quantization), tmp_path)
    with torch.no_grad():
        tuned = model.eval()(ids()).logits
        model.generate(input_ids=ids(), max_new_tokens=2, do_sample=False)
    base = load(tiny_model, quantization)
    with torch.no_grad():
        base.generate(input_ids=ids(), max_new_tokens=2, do_sample=False)
    merged = loading.attach_adapter(loading.dequantize(base), tmp_path).merge_and_unload()
    with torch.no_grad():
        difference = (merged(ids()).logits - tuned).abs().mean() / tuned.std()
    assert difference < {"nf4": 1e-5, "int8": 0.05, "none": 1e-5}[quantization]


def test_the_base_is_frozen_evaluating_and_on_its_device(tiny_model: Path):
    model = load(tiny_model)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert all(
        not module.support_avx512bf16_for_cpu
        for module in model.modules()
        if hasattr(module, "weight") and hasattr(module, "support_avx512bf16_for_cpu")
    )


def test_double_quantization_is_as_asked(tiny_model: Path):
    for asked in (True, False):
        settings = Model(name=str(tiny_model), quantization="nf4", dtype="fp32", double_quantization=asked)
        model = loading.load_base(settings, "cpu")
        assert model.model.layers[0].self_attn.q_proj.weight.quant_state.nested is asked


def test_a_checkpoint_with_a_tensor_missing_is_refused_not_filled_with_noise(tiny_model: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_model, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]  # the headers are looked through for linear layers alone
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="1 tensor missing"):
        load(folder, "none")


def test_damaged_weights_are_refused(tiny_model: Path, tmp_path: Path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(ModelError):
        load(folder, "none")


def test_an_adapter_of_another_model_is_refused(tiny_model: Path, tmp_path: Path):
    other = make_model(tmp_path / "other", "llama", hidden_size=128)
    adapted(load(other, "none"), tmp_path / "adapter")
    with pytest.raises(ModelError, match="trained on another base"):
        loading.attach_adapter(load(tiny_model, "none"), tmp_path / "adapter")
    with pytest.raises(ModelError, match="no adapter"):
        loading.attach_adapter(load(tiny_model, "none"), tmp_path)


def edit_adapter(folder: Path, change: Any) -> None:
    """Change the tensors of an adapter on disk."""
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def test_each_fault_of_a_foreign_adapter_is_said_in_a_sentence_of_its_own(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import json
    import shutil

    good = tmp_path / "good"
    adapted(load(tiny_model, "none"), good)
    base = load(tiny_model, "none")

    def fault(name: str) -> Path:
        return shutil.copytree(good, tmp_path / name)

    def configure(folder: Path, **values: Any) -> Path:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
        return folder

    pickled = fault("pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    foreign, partial, halved, nan, none, zeros = map(fault, ("foreign", "partial", "halved", "nan", "none", "zeros"))
    edit_adapter(halved, lambda tensors: [tensors.pop(name) for name in list(tensors) if "lora_B" in name])
    edit_adapter(none, lambda tensors: tensors.clear())
    edit_adapter(zeros, lambda tensors: [item.zero_() for name, item in tensors.items() if "lora_B" in name])
    edit_adapter(foreign, lambda tensors: [tensors.update({f"x{name}": tensors.pop(name)}) for name in list(tensors)])
    edit_adapter(
        partial,
        lambda tensors: tensors.update(
            {name.replace("layers.0", "layers.7"): item.clone() for name, item in tensors.items() if "layers.0" in name}
        ),
    )
    edit_adapter(nan, lambda tensors: next(iter(tensors.values())).fill_(float("nan")))
    configure(partial, target_modules="all-linear")
    text = fault("text")
    (text / "adapter_config.json").write_text("[1")
    faults = {
        configure(fault("rank"), r=1_000_000): "says rank 1000000",
        configure(fault("kind"), peft_type="IA3"): "of the kind IA3",
        pickled: "pickled Python objects",
        foreign: "none of the",
        none: "it holds no tensors",
        partial: "only 14 of the 21 layers of this adapter are in this base model",
        halved: "has its matrix A and no B",
        configure(fault("less"), target_modules=["q_proj"]): "leaves out 12 of the 14 layers",
        nan: "NaN or infinity",
        configure(fault("strength"), lora_alpha=float("nan")): "lora_alpha must be a number, and is nan",
        text: "cannot be read",
    }
    for folder, sentence in faults.items():
        with pytest.raises(ModelError, match=sentence) as refused:
            loading.attach_adapter(base, folder)
        assert refused.value.hint
    loading.attach_adapter(load(tiny_model, "none"), zeros)
    assert "are zero: it changes nothing" in caplog.text
    loading.attach_adapter(load(tiny_model, "none"), configure(fault("scaled"), lora_alpha=100_000))
    assert "multiplies what it learned by 25,000" in caplog.text
    loading.attach_adapter(load(tiny_model, "none"), configure(fault("negated"), lora_alpha=-8))
    assert "multiplies what it learned by -2" in caplog.text
    loading.attach_adapter(base, good)


def test_memory_running_out_is_told_with_what_to_change(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    import torch
    import transformers

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(HardwareError, match="not enough GPU memory") as refused:
        load(tiny_model)
    assert "nf4" in refused.value.hint


def test_of_a_model_that_also_sees_the_text_part_is_loaded(tmp_path: Path):
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from tests.tiny import make_tokenizer

    folder = tmp_path / "seeing"
    tokenizer = make_tokenizer(folder)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128,
    }  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
              "patch_size": 14}  # fmt: skip
    torch.manual_seed(0)
    config = AutoConfig.for_model("gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=1)
    whole = AutoModelForImageTextToText.from_config(config, dtype=torch.float32).eval()
    whole.save_pretrained(folder)
    settings = Model(name=str(folder), quantization="none", dtype="fp32", attention="eager")
    found = loading.find(settings)
    model = loading.load_base(settings, "cpu", found)
    assert model.config.model_type == "gemma3_text"
    assert sum(weight.numel() for weight in model.parameters()) == loading.model_dims(found.config).parameters
    with torch.no_grad():
        assert torch.allclose(model(ids()).logits, whole(input_ids=ids()).logits, atol=1e-5)


def test_a_config_is_plain_values(tiny_model: Path):
    found = loading.find(Model(name=str(tiny_model)))
    assert loading.config(found) == json.loads((tiny_model / "config.json").read_text())
