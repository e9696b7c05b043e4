"""LiteRT files: converted and asked in LiteRT's own runtimes, where the exporter is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ExportError
from studio.core.messages import ChatMessage, Tool, ToolCall
from studio.data.rows import Conversation
from studio.export import toolchains as environments
from studio.export.make import Probe, Source, export
from studio.export.targets.context import context
from studio.export.targets.litert.settings import LitertTarget
from studio.export.targets.litert.template import portable
from studio.export.verification.comparison import Comparison
from studio.export.verification.limits import EXACT
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source, talk
from tests.tiny import make_model

pytestmark = pytest.mark.torch

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
TEMPLATES = {
    "chatml": "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '\n' }}{% endfor %}",
    "begins on a new line": "\n  {% for m in messages %}\n  {{- m.content }}\n  {% endfor %}\nend\n",
    "special tokens, trimming": "{{- bos_token }}{%- for m in messages -%} {{ m['content'] | trim ~ eos_token }} {%- endfor %}",
    "marks": "{% for m in messages %}{%- generation -%}{{ m.content or 'none' }}{%- endgeneration -%}{% endfor %}",
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": " Be brief.\n"},
    {"role": "user", "content": "<b> 你好 {{ x }}"},
    {"role": "assistant", "content": ""},
]


@pytest.mark.parametrize("name", TEMPLATES)
def test_string_and_typed_contents_are_rendered_exactly_as_trained(name: str) -> None:
    template = TEMPLATES[name]
    trained = rendered(template, MESSAGES)
    assert rendered(portable(template, SPECIAL), MESSAGES) == trained
    typed = [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in MESSAGES]
    assert rendered(portable(template, SPECIAL), typed) == trained


def test_the_context_is_decided_from_the_rows_and_bounded_by_the_model(source: Source, tmp_path: Path) -> None:
    assert context(source).tokens == 512, "the starter takes no more"
    make_model(tmp_path / "long", max_position_embeddings=32_768)
    model = Model(name=str(tmp_path / "long"), quantization="none", dtype="fp32")
    long = make_source(model, tmp_path)
    decided = [context(Source(**{**vars(long), "longest": longest})).tokens for longest in (0, 100, 900, 3000, 9000)]
    assert decided == [1024, 1024, 2048, 4096, 9216]
    with pytest.raises(ExportError, match="takes 512"):
        context(source, 1024)


def test_conversations_beyond_the_context_are_left_out_and_counted(source: Source, probe: Probe, tmp_path: Path) -> None:
    def prepare(tokens: int) -> Comparison:
        return Comparison.prepare(source, tmp_path, probe, EXACT, Silent(), tokens)

    longest = max(len(case.ids) for case in prepare(10_000).reference.cases)
    fewer = prepare(longest - 1)
    assert len(fewer.reference.cases) == len(fewer.probe.conversations) == len(probe.conversations) - 1
    assert len(fewer.reference.forced.tokens) == len(fewer.reference.answers) == len(fewer.reference.cases)
    assert fewer.checks[0].value == 0.75
    assert prepare(longest).checks == ()
    with pytest.raises(ExportError, match="holds no held-out conversation"):
        prepare(3)


needs_litert = pytest.mark.skipif(not environments.ready("litert"), reason=str(environments.missing("litert")))


@needs_litert
def test_litert_answers_as_what_was_evaluated(source: Source, probe: Probe) -> None:
    made = export(LitertTarget(), source, probe, Silent())
    found = made.verification
    assert found.passed
    assert found.runtime.startswith("LiteRT ")
    assert "LiteRT-LM" in found.runtime
    assert found.value("prompt_ids_identical") == found.value("prompts_identical") == 1
    assert found.value("stops_identical") is True
    assert found.value("litert_lm_answers") >= 0.5  # type: ignore[operator]
    assert found.value("kl_to_merged") < 0.02  # type: ignore[operator]
    assert {Path(file.path).suffix for file in made.files} == {".md", ".tflite", ".litertlm"}
    assert made.details["context"] == made.settings["context"] == 512


@needs_litert
def test_in_float32_litert_computes_what_transformers_does_with_bos_and_tools(tmp_path: Path) -> None:
    model = with_bos(tmp_path / "base")
    source = make_source(Model(name=str(model), quantization="none", dtype="fp32"), tmp_path)
    call: ToolCall = {"id": "1", "type": "function", "function": {"name": "price", "arguments": '{"of": "lamp é"}'}}
    tool: Tool = {"type": "function", "function": {"name": "price", "description": "<b>", "parameters": {"type": "object"}}}
    asked: tuple[ChatMessage, ...] = (
        {"role": "user", "content": "the price "},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    )
    answer: tuple[ChatMessage, ...] = (
        {"role": "tool", "content": "24", "tool_call_id": "1"},
        {"role": "assistant", "content": "it costs 24"},
    )
    probe = Probe([talk("what is the lamp", "glass"), Conversation((*asked, *answer), (tool,))])
    made = export(LitertTarget(quant="fp32", context=256), source, probe, Silent())
    assert made.verification.passed
    assert made.verification.value("kl_to_merged") < 1e-6  # type: ignore[operator]
    assert made.verification.value("prompt_ids_identical") == 1


def with_bos(folder: Path) -> Path:
    """A tiny model whose template writes BOS, and whose tokenizer adds one too."""
    from tokenizers import processors
    from transformers import AutoTokenizer

    template = (
        "{{ bos_token }}{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + (m['content'] | trim) }}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name ~ (c.function.arguments | tojson) }}{% endfor %}"
        "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    make_model(folder, template=template)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.bos_token = "<|endoftext|>"
    first = [(tokenizer.bos_token, tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=first)
    tokenizer.save_pretrained(folder)
    return folder


def rendered(template: str, messages: list[dict[str, Any]]) -> str:
    """As transformers renders."""
    from transformers.utils.chat_template_utils import render_jinja_template

    given: Any = {"conversations": [messages], "chat_template": template, **SPECIAL}
    return render_jinja_template(**given)[0][0]
