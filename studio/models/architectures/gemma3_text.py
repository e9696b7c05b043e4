"""Gemma 3, its text part: four norms a layer, norms of queries and keys, five of six layers with a sliding window."""

from studio.core.errors import ExportError
from studio.models.architectures.base import Architecture, ConfigValues, Gguf, GgufValue, TextConfig
from studio.models.architectures.gemma import OVERFLOWS
from studio.models.architectures.gemma2 import check_attention_scale, scales

LAYERS_OF_27B = 62
HINT = "llama.cpp's own converter may know it: convert_hf_to_gguf.py FOLDER, run on the `merged` export."


def _metadata(config: TextConfig, rope: ConfigValues) -> dict[str, GgufValue]:
    check_attention_scale(config, LAYERS_OF_27B)
    expected = ["full_attention" if index % 6 == 0 else "sliding_attention" for index in range(1, config.num_hidden_layers + 1)]
    if list(config.layer_types) != expected:
        raise ExportError("llama.cpp slides five of six layers and this model another pattern", hint=HINT)
    local = config.rope_parameters["sliding_attention"]
    if local.get("rope_type", "default") != "default":
        raise ExportError("its sliding layers scale RoPE, which llama.cpp does not", hint=HINT)
    return {"attention.sliding_window": config.sliding_window, "rope.freq_base_swa": float(local["rope_theta"])}


ARCHITECTURE = Architecture(
    name="gemma3_text",
    family="gemma",
    aliases=("gemma3",),
    defaults={
        "vocab_size": 262208,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
        "sliding_window": 4096,
        "num_attention_heads": 8,
    },
    norms=4,
    query_key_norms="head",
    overflows_fp16=True,
    notes=(OVERFLOWS, "Of Gemma 3 from 4 B up only the text part is loaded, trained and exported."),
    scales=scales,
    gguf=Gguf("gemma3", norm_offset=1.0, slides=True, metadata=_metadata),
    tensorrt_llm=("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"),
)
