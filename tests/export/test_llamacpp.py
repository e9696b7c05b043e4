"""GGUF files of every architecture and tokenizer kind, read by real llama.cpp and compared with transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import ExportError
from studio.export.llamacpp import architectures, modelfile, runtime, vocabulary, writer
from studio.export.prompts import without_marks
from tests.tiny import CHATML, make_model, make_tokenizer

pytestmark = pytest.mark.torch

TEXT = "<|im_start|>user\nWhat does the lamp cost? café 你好 123 4567\n\n  x's it'll<|im_end|>\n<|im_start|>assistant\n"
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5,
    "short_factor": [1.0, 1.1, 1.3, 1.9],
    "long_factor": [1.5, 2.0, 4.0, 8.0],
    "original_max_position_embeddings": 256,
}
GEMMA3 = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
}
GEMMA = {"query_pre_attn_scalar": 16, "sliding_window": 8}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama 3.2": ("llama", {"rope_parameters": LLAMA3}),
    "llama untied": ("llama", {"tie_word_embeddings": False, "attention_bias": True}),
    "mistral": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "gemma2": ("gemma2", {**GEMMA, "num_hidden_layers": 3}),
    "gemma3": ("gemma3_text", {**GEMMA, "num_hidden_layers": 7, "rope_parameters": GEMMA3}),
    "phi3": ("phi3", {}),
    "phi-4 mini": ("phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 256}),
    "granite": ("granite", {"attention_multiplier": 0.3, "embedding_multiplier": 2.0, "logits_scaling": 2.0}),
}


def lively(folder: Path) -> Any:
    """The random model in `folder` with norms and biases that are not ones and noughts, saved again."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.2)
            else:
                weight.mul_(4)
    model.save_pretrained(folder)
    return model


def write(folder: Path, tokenizer: Any, quant: str = "f32", **ending: Any) -> Path:
    values = {"bos": None, "pad": tokenizer.pad_token_id, "eos": tokenizer.eos_token_id, "add_bos": False, **ending}
    end = writer.Ending(all=(tokenizer.eos_token_id,), **values)
    file = folder / f"{quant}.gguf"
    writer.write(folder, file, quant, name="phi-3 of a test", ending=end, template=tokenizer.chat_template)
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_computes_what_transformers_computes(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import PreTrainedTokenizerFast

    arch, changes = KINDS[kind]
    make_model(tmp_path, arch, **changes)
    model, tokenizer = lively(tmp_path), PreTrainedTokenizerFast.from_pretrained(tmp_path)
    ids = tokenizer(TEXT).input_ids
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    with runtime.opened(write(tmp_path, tokenizer), 256) as asked:
        assert asked.tokenize(TEXT) == ids
        assert asked.template == CHATML
        found = torch.tensor(asked.logits(ids, range(len(ids)))).log_softmax(-1).numpy()
    kl = (np.exp(expected) * (expected - found)).sum(-1)
    assert kl.max() < 1e-5
    assert (expected.argmax(-1) == found.argmax(-1)).mean() > 0.95
    assert expected.std() > 0.3, "a flat model would prove nothing"


def test_q8_0_and_f16_lose_little_and_say_what_they_take(tmp_path: Path, tiny_model: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    for quant, low, high in (("f16", 16, 16.2), ("q8_0", 8.5, 8.8)):
        write_to = tmp_path / f"{quant}.gguf"
        end = writer.Ending(None, None, tokenizer.eos_token_id, (tokenizer.eos_token_id,), False)
        held = writer.write(tiny_model, write_to, quant, name="tiny", ending=end, template=None)
        assert low < held.bits_per_weight < high
        assert writer.stored(write_to).bits_per_weight == held.bits_per_weight


def test_greedy_answers_end_where_the_end_token_is_likeliest(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    end = writer.Ending(None, None, tokenizer.eos_token_id, (tokenizer.eos_token_id,), False)
    writer.write(tiny_model, tmp_path / "x.gguf", "f16", name="tiny", ending=end, template=None)
    with runtime.opened(tmp_path / "x.gguf", 64) as asked:
        (said, ended), again = asked.greedy([[5, 6, 7], [5, 6, 7]], 8)
        assert again == (said, ended)
        assert (len(said) == 8) != ended
        assert asked.ends(tokenizer.eos_token_id)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "RoPE scaling `dynamic`"),
        ({"model_type": "gpt_neox"}, "`gpt_neox` has no GGUF layout"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(tiny_model: Path, changes: dict[str, Any], says: str) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(tiny_model)
    for key, value in changes.items():
        setattr(config, key, value)
    with pytest.raises(ExportError, match=says) as refused:
        architectures.metadata(config)  # pyright: ignore[reportArgumentType]
    assert "convert_hf_to_gguf.py" in refused.value.hint


def test_gemma_with_another_attention_scale_is_refused() -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model("gemma3_text", query_pre_attn_scalar=7)
    with pytest.raises(ExportError, match="query_pre_attn_scalar is 7"):
        architectures.metadata(config)  # pyright: ignore[reportArgumentType]


def sentencepiece_like(folder: Path, prefix: bool) -> Any:
    """A byte-fallback BPE on `▁` words, as Gemma (no space before the text) and Llama 2 (a space) have it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    before = [normalizers.Prepend("▁")] if prefix else []
    core.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<|im_start|>", "<|im_end|>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    words = "the lamp costs how much does the kettle cost please tell me what is the price of a blue clock user assistant"
    core.train_from_iterator([words, words.title(), words.replace(" ", "\n")], trainer)
    values = json.loads(core.to_str())
    values["added_tokens"] = values["added_tokens"][:6]  # bytes are ordinary tokens there
    values["pre_tokenizer"] = None
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(values)),
        eos_token="<eos>",
        bos_token="<bos>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template=CHATML,
    )
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize("prefix", [False, True])
def test_sentencepiece_tokenizers_split_as_they_did(prefix: bool, tmp_path: Path) -> None:
    make_model(tmp_path, "llama", vocab_size=640)
    tokenizer = sentencepiece_like(tmp_path, prefix)
    file = write(tmp_path, tokenizer, bos=tokenizer.bos_token_id, add_bos=True)
    with runtime.opened(file, 64) as asked:
        for text in ("the lamp costs", "How much does the  kettle cost? café 你好", "Please tell me 12 34"):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert asked.tokenize(text, add_bos=False) == ids
            assert asked.tokenize(text) == [tokenizer.bos_token_id, *ids]


@pytest.mark.parametrize(("rule", "name"), [(rule, names) for rule, names in vocabulary.RULES.items()])
def test_splitting_rules_are_known_by_their_expression(rule: str, name: tuple[str, str], tmp_path: Path) -> None:
    from tokenizers import Regex, Tokenizer, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    make_model(tmp_path, "llama")
    core = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(rule), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    values = json.loads(core.to_str())
    values["model"]["ignore_merges"] = not name[1]
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(values)), eos_token="<|im_end|>")
    made.save_pretrained(tmp_path)
    text = "I'LL say: it's 12345 cafés, ÉCOLE Straße 你好!!\n\n  two//three\r\n \t x_y don't THE the"
    with runtime.opened(write(tmp_path, made), 64) as asked:
        assert asked.tokenize(text) == made(text).input_ids


def test_an_unknown_splitting_rule_is_refused(tmp_path: Path) -> None:
    make_tokenizer(tmp_path)
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values["pre_tokenizer"] = {"type": "Whitespace"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(ExportError, match="Whitespace"):
        vocabulary.read(tmp_path, 512)


def test_ids_without_a_token_are_padded_and_too_many_tokens_refused(tmp_path: Path) -> None:
    size = len(make_tokenizer(tmp_path))
    words = vocabulary.read(tmp_path, size + 3)
    assert words.types[-3:] == [vocabulary.UNUSED] * 3
    assert words.types[1] == vocabulary.CONTROL
    with pytest.raises(ExportError, match="embeddings"):
        vocabulary.read(tmp_path, size - 1)


def test_the_template_renders_the_same_without_its_marks(tmp_path: Path) -> None:
    marked = (
        "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\n' }}\n  {%- generation -%}\n {{ m.content }}"
        " {% endgeneration -%}\n{{ '<|im_end|>\n' }}{%- endfor -%}"
    )
    tokenizer = make_tokenizer(tmp_path, template=marked)
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    expected = tokenizer.apply_chat_template(talk, tokenize=False)
    tokenizer.chat_template = without_marks(marked)
    assert "generation" not in tokenizer.chat_template
    assert tokenizer.apply_chat_template(talk, tokenize=False) == expected


def test_a_modelfile_has_the_trained_template_where_it_can_be_taken_apart(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    frame = modelfile.frame(tokenizer, adds_bos=False)
    assert frame is not None
    assert frame.go().startswith('{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>')
    text = modelfile.write("x.gguf", tokenizer, [tokenizer.eos_token_id], adds_bos=False)
    assert modelfile.has_template(text)


def test_a_modelfile_claims_no_template_where_the_trained_one_does_more(tmp_path: Path) -> None:
    folding = (
        "{% if messages[0].role == 'system' %}{% set s = messages[0].content + '\n' %}{% else %}{% set s = '' %}{% endif %}"
        "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ s if loop.first }}{{ m.content }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer = make_tokenizer(tmp_path, template=folding)
    assert modelfile.frame(tokenizer, adds_bos=False) is None
    text = modelfile.write("x.gguf", tokenizer, [tokenizer.eos_token_id], adds_bos=False)
    assert "TEMPLATE " not in text.replace("No TEMPLATE", "")
    assert 'PARAMETER stop "<|im_end|>"' in text
