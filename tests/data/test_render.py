"""What is trained is the answers with their end-of-turn token, exactly, whatever the template does."""

from __future__ import annotations

import copy
import random
import re
from datetime import date, datetime
from typing import Any

import pytest

from studio.app.datasets import Preview
from studio.app.fragments import data as fragments
from studio.core.errors import DataError, ModelError
from studio.core.messages import ChatMessage, Tool, ToolCall, chat_message
from studio.data.render import check_template, encode, encode_many, encode_prompt, preview
from studio.data.rows import Conversation
from studio.models.chat import fix_date, write_day
from studio.models.templates import TOOL as PROBED_TOOL
from studio.models.templates import TOOL_PROBE
from tests.data.templates import FOLDER, OWN, tokenizer
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.torch

WITHOUT_MARKS = (
    *OWN,
    *("qwen2_5", "qwen3", "qwen3_instruct_2507", "llama3", "llama3_1", "llama3_2", "gemma", "gemma3", "phi3", "phi3_5"),
    *("cohere", "cohere2", "deepseek_r1_distill", "deepseekv3", "glm4moe", "lfm2", "gptoss", "nemotron_3_nano", "gemma4"),
)
APART = (
    "deepseek_r1_distill",
    "deepseekv3",
    "nemotron_3_nano",
    "nemotron_3_5_lightning",
    "nemotron_3_super",
    "nemotron_3_ultra",
)
"""Templates whose request for an answer opens the reasoning and whose finished conversation does not hold that opening."""
NO_SYSTEM = ("gemma", "mistral", "mistral-first", "llama2")
SAME_TEXT = ("qwen2_5", "qwen3_instruct_2507", "llama3", "gemma", "gemma3", "phi3", "phi3_5", "cohere", "deepseekv3", "lfm2")
"""Templates whose marked variant writes the same text."""


def talk(*contents: str, system: str = "") -> Conversation:
    roles = ["user", "assistant"] * len(contents)
    messages = [chat_message(role, text) for role, text in zip(roles, contents, strict=False)]
    lead = [chat_message("system", system)] if system else []
    return Conversation(messages=tuple([*lead, *messages]), file="faq.csv", line=7)


def spans(row: Any, made: Any) -> list[str]:
    """The trained stretches as text, decoded from their ids."""
    found: list[list[int]] = []
    before = False
    for token, trained in zip(row.ids, row.mask, strict=True):
        if trained and not before:
            found.append([])
        if trained:
            found[-1].append(token)
        before = trained
    return [made.decode(ids) for ids in found]


def learned(name: str, texts: list[str]) -> list[str]:
    """Of the answers those that are learned: only the last one is asked for as it stands in the row."""
    return texts[-1:] if name.removesuffix("_training") in APART else texts


def said(text: str, made: Any) -> str:
    """A trained stretch without what the template writes around the answer."""
    report = check_template(made)
    end = next(end for end in report.ends if text.endswith(end))
    text = text[: -len(end)].removesuffix("<|END_RESPONSE|>")
    for lead in sorted(report.lead, key=len, reverse=True):
        text = text.lstrip().removeprefix(lead) if lead else text
    return text.strip()


@pytest.mark.parametrize("name", WITHOUT_MARKS)
def test_all_answers_and_their_ends_are_trained_and_nothing_else(name: str):
    made = tokenizer(name)
    row = encode(talk("what price", "it costs 5 euro", "and the lamp?", "made of oak.\n\nIn steel."), made)
    assert [said(span, made) for span in spans(row, made)] == learned(name, ["it costs 5 euro", "made of oak.\n\nIn steel."])
    assert len(row.ids) == len(row.mask) == len(row.starts)
    assert made.decode(row.ids) == row.text


@pytest.mark.parametrize("name", WITHOUT_MARKS)
def test_only_the_last_answer_is_trained_when_asked(name: str):
    made = tokenizer(name)
    row = encode(talk("what price", "it costs", "the lamp", "of oak"), made, "last_assistant")
    assert [said(span, made) for span in spans(row, made)] == ["of oak"]
    assert all(encode(talk("what", "it costs"), made, "all").mask)


@pytest.mark.parametrize("name", SAME_TEXT)
def test_the_mask_without_marks_is_the_mask_by_marks(name: str):
    plain, marked = tokenizer(name), tokenizer(f"{name}_training")
    assert check_template(marked).has_marks
    assert not check_template(plain).has_marks
    for row in (talk("hello", "thanks"), talk("what price", "it costs\n5 euro", "the lamp", "  of oak "), talk("a", "")):
        one, other = encode(row, plain), encode(row, marked)
        assert one.text.removesuffix("<|endoftext|>") == other.text.removesuffix("<|endoftext|>")
        assert (one.ids, one.mask) == (other.ids, other.mask)


@pytest.mark.parametrize("name", [name for name in (*SAME_TEXT, "qwen3") if name not in APART])
def test_marks_are_used_as_transformers_reads_them_but_for_header_and_trailing_space(name: str):
    made = tokenizer(f"{name}_training")
    row = talk("what price", "it costs 5 euro", "the lamp", "of oak")
    theirs = made.apply_chat_template(list(row.messages), return_dict=True, return_assistant_tokens_mask=True, tokenize=True)
    ours = encode(row, made)
    assert ours.ids == theirs["input_ids"]
    differ = [token for token, a, b in zip(ours.ids, ours.mask, theirs["assistant_masks"], strict=True) if a != b]
    report = check_template(made)
    assert not any(a and not b for a, b in zip(ours.mask, theirs["assistant_masks"], strict=True))
    left_out = made.decode(differ).replace(report.header.strip(), "").replace("<|endoftext|>", "")
    assert not left_out.strip()


def test_a_thinking_block_the_template_writes_for_the_model_is_trained():
    made = tokenizer("qwen3")
    row = encode(talk("what", "it costs", "and", "of oak"), made)
    assert spans(row, made) == ["it costs<|im_end|>", "<think>\n\n</think>\n\nof oak<|im_end|>"]
    thought = encode(talk("what", "<think>\nhello\n</think>\n\nit costs"), made)
    assert spans(thought, made) == ["<think>\nhello\n</think>\n\nit costs<|im_end|>"]


@pytest.mark.parametrize("name", WITHOUT_MARKS)
def test_the_prompt_is_the_beginning_of_what_is_trained(name: str):
    made = tokenizer(name)
    for row in (talk("what price", "it costs"), talk("a", "b", "the lamp\n", "of oak"), talk("<|im_end|>[/INST]", "\n oak")):
        whole = encode(row, made, "last_assistant")
        prompt = encode_prompt(row.prompt, made)
        assert whole.ids[: len(prompt)] == prompt
        assert whole.mask.index(True) == len(prompt)


@pytest.mark.parametrize("name", [name for name in WITHOUT_MARKS if name not in NO_SYSTEM])
def test_a_system_message_is_shown_and_not_trained(name: str):
    made = tokenizer(name)
    row = encode(talk("what", "it costs", "which", "of oak", system="good morning"), made)
    assert "good morning" in row.text
    assert not any("good morning" in span for span in spans(row, made))
    assert len(spans(row, made)) == len(learned(name, ["it costs", "of oak"]))


@pytest.mark.parametrize("name", NO_SYSTEM)
def test_a_system_message_the_template_refuses_or_leaves_out_is_named(name: str):
    assert not check_template(tokenizer(name)).supports_system
    with pytest.raises(DataError, match="has a system message") as refused:
        encode(talk("what", "it costs", system="hello"), tokenizer(name))
    assert refused.value.where == "faq.csv, line 7"


NASTY = (
    *("<|im_end|>", "<|im_start|>assistant\n", "<|endoftext|>", "<end_of_turn>", "<start_of_turn>model\n", "[/INST]", "[INST]"),
    *(
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|assistant|>\n",
        "<|end|>",
        "ASSISTANT:",
        "<|user|>",
    ),
    *("\n", "\n\n", " ", "  ", "é", "你好", "🙂", "lamp", "price ", " oak", "assistant", "{% x %}", "{{", "\\n", "\t"),
)


def nasty(rng: random.Random) -> str:
    return "".join(rng.choice(NASTY) for _ in range(rng.randint(1, 7)))


@pytest.mark.parametrize("name", [*WITHOUT_MARKS, *(f"{name}_training" for name in SAME_TEXT)])
def test_whatever_people_write_stays_text_and_the_mask_stays_exact(name: str):
    made, rng = tokenizer(name), random.Random(name)
    control = {token for token, added in made.added_tokens_decoder.items() if added.special}
    for _ in range(60):
        texts = [nasty(rng) for _ in range(rng.choice((2, 4, 6)))]
        row, harmless = talk(*texts), talk(*("lamp" for _ in texts))
        found = encode(row, made)
        assert [said(span, made) for span in spans(found, made)] == learned(name, [text.strip() for text in texts[1::2]])
        tokens = [token for token in found.ids if token in control]
        assert tokens == [token for token in encode(harmless, made).ids if token in control], "text became a control token"
        prompt = encode_prompt(row.prompt, made)
        assert found.ids[: len(prompt)] == prompt
        assert "".join(piece.text for piece in preview(row, made)) == found.text


def test_rows_are_encoded_alike_alone_and_together():
    made, rng = tokenizer("llama3_2"), random.Random(3)
    rows = [talk(*(nasty(rng) for _ in range(4))) for _ in range(30)]
    assert encode_many(rows, made) == [encode(row, made) for row in rows]


def test_an_answer_begins_with_a_token_of_its_own():
    """In one run of text the header's line break and the answer's would be one token, which no model could generate."""
    made = tokenizer("chatml")
    for answer in ("\nlamp", " lamp", "\n\n"):
        row = encode(talk("what", answer), made)
        first = row.mask.index(True)
        assert row.text[row.starts[first] :].startswith(answer)


@pytest.mark.parametrize("strip", [False, True])
def test_tokenizers_that_put_a_space_before_a_text_are_exact_too(strip: bool, tmp_path: Any):
    """SentencePiece vocabularies (Llama 2, Mistral, Phi-3, whose control tokens swallow the white space behind them)."""
    made = spaced(tokenizer("phi3").chat_template, strip)
    for texts in (("lamp", "price"), ("a", "lamp price", "<|end|> lamp", " price\n"), ("x", "<|assistant|>\nlamp")):
        row = encode(talk(*texts), made)
        kept = [said(span, made).replace("\n", " ").strip() for span in spans(row, made)]
        assert kept == [text.strip().replace("\n", " ") for text in texts[1::2]]
        prompt = encode_prompt(talk(*texts).prompt, made)
        assert row.ids[: len(prompt)] == prompt


def spaced(template: str, strip: bool) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if strip else "always")
    core.decoder = decoders.Metaspace()
    core.train_from_iterator(
        ["lamp price a x user assistant system end <|end|> <|assistant|> \n"] * 4,
        trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>"], show_progress=False),
    )
    made = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", chat_template=template)
    names = ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
    made.add_special_tokens(
        {"eos_token": "<|endoftext|>", "extra_special_tokens": [AddedToken(name, rstrip=strip, special=True) for name in names]}  # pyright: ignore[reportArgumentType]
    )
    return made


TOOL: Tool = {"type": "function", "function": {"name": "price", "description": "The price.", "parameters": {"type": "object"}}}
CALL: ToolCall = {"type": "function", "function": {"name": "price", "arguments": '{"of": "<|im_end|> lamp"}'}}


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "qwen3_instruct_2507", "llama3_1", "llama3_2", "qwen2_5_training"])
def test_tool_calls_are_trained_as_the_template_writes_them(name: str):
    made = tokenizer(name)
    assert check_template(made).supports_tools
    row = Conversation(
        messages=(
            {"role": "user", "content": "what price"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "5 euro", "name": "price"},
            {"role": "assistant", "content": "it costs 5 euro"},
        ),
        tools=(TOOL,),
    )
    found = encode(row, made)
    call, answer = spans(found, made)
    assert '"of": "<|im_end|> lamp"' in call, "arguments are values, not text in text, and hold no control token"
    assert "it costs 5 euro" in answer
    assert "The price." in found.text
    prompt = encode_prompt(row.prompt, made, row.tools)
    assert found.ids[: len(prompt)] == prompt


@pytest.mark.parametrize("name", ["gemma", "llama3", "phi3", "chatml"])
def test_tools_a_template_would_leave_out_are_refused(name: str):
    assert not check_template(tokenizer(name)).supports_tools
    row = Conversation(messages=talk("what", "it costs").messages, tools=(TOOL,), file="a.jsonl", line=3)
    with pytest.raises(DataError, match="uses tools") as refused:
        encode(row, tokenizer(name))
    assert refused.value.where == "a.jsonl, line 3"


ASK = "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
REFUSED = {
    "no end token": "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}" + ASK,
    "end only at the end": "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{{ eos_token }}" + ASK,
    "changed": "{% for m in messages %}{{ m.role + m.content | upper + '<|im_end|>' }}{% endfor %}",
    "text behind": "{% for m in messages %}{{ m.role + '\n' + m.content + ' (done)<|im_end|>' }}{% endfor %}",
    "broken": "{% for m in messages %}{{ m.nothing.at_all }}{% endfor %}",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_template_without_an_exact_mask_is_refused_with_the_reason(fault: str, tmp_path: Any):
    made = make_tokenizer(tmp_path, REFUSED[fault], special=("<|user|>", "<|assistant|>"))
    with pytest.raises(ModelError) as refused:
        check_template(made)
    assert refused.value.where == "model.chat_template"
    assert refused.value.hint


def test_a_question_the_template_leaves_out_is_not_lost_silently(tmp_path: Any):
    template = (
        "{% for m in messages[-4:] %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    made = make_tokenizer(tmp_path, template)
    with pytest.raises(DataError, match="leaves out or changes message 1"):
        encode(talk("good morning", "hello", "what", "it costs", "which", "of oak"), made)


def test_a_conversation_the_template_refuses_is_told_in_its_words():
    row = Conversation(messages=(*talk("a", "b").messages, *talk("c", "d").messages[1:]), file="faq.csv", line=9)
    with pytest.raises(DataError, match="roles must alternate") as refused:
        encode(row, tokenizer("gemma"))
    assert refused.value.where == "faq.csv, line 9"


def test_an_answer_the_template_changes_is_refused_where_it_happens(tmp_path: Any):
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content.replace('oak', 'steel') + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    made = make_tokenizer(tmp_path, template)
    with pytest.raises(ModelError, match="not written as given") as refused:
        encode_many([talk("what", "it costs"), talk("what", "of oak")], made)
    assert "steel" in refused.value.message
    assert refused.value.where == "faq.csv, line 7"


def test_marks_that_leave_out_the_end_of_turn_are_extended_to_it(tmp_path: Any):
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    made = make_tokenizer(tmp_path, template)
    row = encode(talk("what", "it costs", "which", "of oak <|im_end|>"), made)
    assert spans(row, made) == ["it costs<|im_end|>", "of oak <|im_end|><|im_end|>"]


def test_marks_that_leave_something_out_of_an_answer_are_kept(tmp_path: Any):
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{{ 'sure: ' }}"
        "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content + '<|im_end|>' }}{% endif %}"
        "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    made = make_tokenizer(tmp_path, template)
    assert spans(encode(talk("what", "it costs"), made), made) == ["it costs<|im_end|>"]


def test_conversations_need_a_template_and_plain_text_does_not(tmp_path: Any):
    made = make_tokenizer(tmp_path)
    made.chat_template = None
    with pytest.raises(ModelError, match="no chat template") as refused:
        encode(talk("what", "it costs"), made)
    assert "model.chat_template" in refused.value.hint
    row = encode(Conversation(text="the lamp is <|im_end|> blue"), made)
    assert row.ids[-1] == made.eos_token_id
    assert all(row.mask)
    assert row.ids.count(made.eos_token_id) == 1, "the end token a person wrote is text"
    assert made.decode(row.ids) == "the lamp is <|im_end|> blue<|im_end|>"


def test_the_bos_token_is_not_doubled():
    made = tokenizer("llama3_2")
    assert encode(talk("what", "it costs"), made).ids.count(made.bos_token_id) == 1


def test_a_template_that_writes_the_date_writes_the_day_it_is_fixed_to():
    made = tokenizer("llama3_2")
    assert f"{datetime.now():%d %b %Y}" in encode(talk("what", "it costs"), made).text
    try:
        fix_date(made, date(2024, 3, 7))
        assert "07 Mar 2024" in encode(talk("what", "it costs"), made).text
        assert "07 Mar 2024" in made.decode(encode_prompt(talk("what", "it costs").prompt, made))
    finally:
        fix_date(made, None)


def test_a_template_that_is_saved_has_the_day_written_in():
    made = copy.deepcopy(tokenizer("llama3_2"))
    write_day(made, None)
    assert "strftime_now" in made.chat_template
    write_day(made, date(2024, 3, 7))
    assert "strftime_now" not in made.chat_template
    told = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "it costs"}]
    assert "07 Mar 2024" in made.apply_chat_template(told, tokenize=False), "also for who knows nothing of the run"


def test_a_preview_tells_a_control_token_from_text_that_looks_like_one():
    pieces = preview(talk("say <|im_end|> or </s> twice", "<|im_start|>"), tokenizer("chatml"))
    quoted = "".join(piece.text for piece in pieces if piece.quoted)
    assert quoted.replace(" ", "") == "<|im_end|></s><|im_start|>"
    assert not any(piece.quoted and piece.control for piece in pieces)
    assert [piece.text for piece in pieces if piece.control].count("<|im_end|>") == 2
    shown = Preview("a.csv", 1, pieces)
    assert shown.lookalikes == ["</s>", "<|im_end|>", "<|im_start|>"] == list(shown.record().lookalikes)
    html = str(fragments.tokens([shown.record()]))
    assert "text like a control token, token" in html
    assert "Plain text that looks like a control token" in html
    plain = Preview("a.csv", 1, preview(talk("say it", "once"), tokenizer("chatml")))
    assert not plain.lookalikes
    assert "looks like" not in str(fragments.tokens([plain.record()]))


def test_a_preview_shows_every_token_of_the_row():
    made = tokenizer("chatml")
    row = talk("what price 你好", "it costs 🙂 é")
    pieces, found = preview(row, made), encode(row, made)
    assert "".join(piece.text for piece in pieces) == found.text
    assert [(piece.id, piece.trained) for piece in pieces] == list(zip(found.ids, found.mask, strict=True))


@pytest.mark.parametrize("name", APART)
def test_a_reasoning_that_the_prompt_opens_is_learned_behind_that_prompt(name: str):
    made = tokenizer(name)
    thinking: ChatMessage = {"role": "assistant", "content": "Hall 0.", "reasoning_content": "Box 0."}
    for answer in (chat_message("assistant", "<think>\nBox 0.\n</think>\n\nHall 0."), thinking):
        row = Conversation((chat_message("user", "which hall"), answer))
        whole, prompt = encode(row, made), encode_prompt(row.prompt, made)
        assert made.decode(prompt).endswith("<think>\n")
        assert (whole.ids[: len(prompt)], whole.mask.index(True)) == (prompt, len(prompt))
        (span,) = spans(whole, made)
        assert re.fullmatch(r"Box 0\.\n?</think>\n*Hall 0\.", said(span, made))
    plain = encode(talk("which hall", "Hall 0."), made)
    assert spans(plain, made)[0].startswith("\n</think>\n\nHall 0."), (
        "an answer without reasoning closes what the prompt opened"
    )
    assert any("earlier answers are not" in note for note in check_template(made).notes)


def test_text_that_looks_like_a_control_token_stays_text_in_a_reasoning_too():
    made = tokenizer("deepseek_r1_distill")
    row = talk("which hall", "<think>\nNo <｜User｜> here.\n</think>\n\nHall <｜User｜> 0.")
    found = encode(row, made)
    assert found.ids.count(made.convert_tokens_to_ids("<｜User｜>")) == 1
    assert "No <｜User｜> here.\n</think>\n\nHall <｜User｜> 0." in spans(found, made)[0]


@pytest.mark.parametrize(
    ("name", "written"), [("qwen3", True), ("gptoss", True), ("glm4moe", True), ("chatml", False), ("llama3", False)]
)
def test_a_reasoning_beside_the_content_is_trained_or_refused_and_never_lost(name: str, written: bool):
    made = tokenizer(name)
    answer: ChatMessage = {"role": "assistant", "content": "Hall 0.", "reasoning_content": "Box 0 is full."}
    row = Conversation(({"role": "user", "content": "which hall"}, answer), file="faq.jsonl", line=3)
    if not written:
        with pytest.raises(DataError, match="does not write the reasoning of message 2") as refused:
            encode(row, made)
        assert refused.value.where == "faq.jsonl, line 3"
        return
    (span,) = spans(encode(row, made), made)
    assert span.index("Box 0 is full.") < span.index("Hall 0.")


@pytest.mark.parametrize("name", ["gptoss", "muse_glimmer", "qwen3_8", "qwen3", "glm4moe", "nemotron_3_nano", "gemma4_v5"])
def test_reasoning_that_an_answer_begins_with_is_learned_as_reasoning_beside_it_is(name: str):
    """Some templates take `<think>` within an answer for the answer's own words; the model would learn it as such."""
    made = tokenizer(name)
    thinking: ChatMessage = {"role": "assistant", "content": "Hall 0.", "reasoning_content": "Box 0."}
    within = chat_message("assistant", "<think>\nBox 0.\n</think>\n\nHall 0.")
    texts = [
        "".join(encode(Conversation((chat_message("user", "which hall"), answer)), made).text.split())
        for answer in (within, thinking)
    ]
    assert texts[0] == texts[1]
    history = [chat_message("user", "which hall"), within, chat_message("user", "and now")]
    assert "".join(made.decode(encode_prompt(history, made)).split()).count("<think></think><think>") == 0


@pytest.mark.parametrize("name", ["gptoss", "gemma4_v5", "qwen3", "glm4moe", "lfm2_2_5"])
def test_a_template_that_forgets_the_reasoning_beside_earlier_answers_says_so(name: str):
    made = tokenizer(name)
    earlier: ChatMessage = {"role": "assistant", "content": "Hall 0.", "reasoning_content": "Box 0 is full."}
    row = Conversation(
        (chat_message("user", "which"), earlier, chat_message("user", "and now"), chat_message("assistant", "1"))
    )
    assert "Box 0 is full." not in encode(row, made).text
    assert any("leaves the reasoning of earlier answers out" in note for note in check_template(made).notes)


def test_a_template_that_forgets_earlier_reasoning_says_so():
    assert any("leaves the reasoning of earlier answers out" in note for note in check_template(tokenizer("qwen3")).notes)
    assert not any("leaves the reasoning" in note for note in check_template(tokenizer("chatml")).notes)


def test_an_answer_ends_with_the_last_of_the_tokens_that_close_it():
    (span,) = spans(encode(talk("what", "it costs"), tokenizer("cohere2")), tokenizer("cohere2"))
    assert span == "it costs<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"


def test_a_template_that_closes_no_turn_ends_an_answer_with_the_next_role():
    made = tokenizer("glm4moe")
    report = check_template(made)
    assert (report.closing, report.end_of_turn) == ("<|user|>", "<|user|>")
    row = encode(talk("what", "it costs", "which", "of oak"), made)
    assert [span.endswith("<|user|>") for span in spans(row, made)] == [True, True]
    assert row.text.endswith("of oak<|user|>")


@pytest.mark.parametrize("name", ["gptoss", "glm4moe"])
def test_a_call_of_a_tool_ends_with_a_token_of_its_own(name: str):
    made = tokenizer(name)
    row = Conversation((*TOOL_PROBE[:-1], {"role": "assistant", "content": "Five euro."}), (PROBED_TOOL,))
    call, answer = spans(encode(row, made), made)
    assert "qzvalue" in call
    assert call.endswith({"gptoss": "<|call|>", "glm4moe": "<|observation|>"}[name])
    assert "qzresult" not in call + answer
    assert "Five euro." in answer


def test_every_template_trl_ships_is_exact_or_refused():
    refused = set()
    for file in sorted(FOLDER.glob("*.jinja")):
        made = tokenizer(file.stem)
        try:
            row = encode(talk("what price", "it costs", "the lamp", "of oak"), made)
        except ModelError:
            refused.add(file.stem.removesuffix("_training"))
            continue
        assert [said(span, made) for span in spans(row, made)] == learned(file.stem, ["it costs", "of oak"]), file.stem
    assert refused <= {"idefics3", "llava_next", "smolvlm"}  # they take lists of images and texts only


@pytest.mark.parametrize("train_on", ["assistant", "all"])
def test_an_answer_marked_as_not_trained_is_read_and_gets_no_loss(train_on: Any):
    made = tokenizer("chatml")
    row = talk("what price", "it costs 5 euro", "and the lamp?", "made of oak")
    masked = Conversation(messages=(row.messages[0], {**row.messages[1], "train": False}, *row.messages[2:]))
    one, other = encode(row, made, train_on), encode(masked, made, train_on)
    assert one.ids == other.ids, "the model reads the same"
    learned = "".join(spans(other, made))
    assert "made of oak" in learned
    assert "costs" not in learned
    assert ("what price" in learned) == (train_on == "all")


def test_the_preview_tells_a_control_token_from_text_that_looks_like_one():
    made = tokenizer("chatml")
    pieces = preview(talk("what is <|im_end|>", "price"), made)
    tokens = [piece for piece in pieces if piece.control]
    assert "<|im_end|>" in [piece.text for piece in tokens]
    assert "".join(piece.text for piece in pieces).count("<|im_end|>") == sum(p.text == "<|im_end|>" for p in tokens) + 1
