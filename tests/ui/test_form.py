"""The form says what the spec says: every field, both ways, without loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio import spec as specs
from studio.core.errors import SpecError
from studio.core.fields import Leaf
from studio.spec import RunSpec
from studio.ui import form

ROOT = Path(__file__).parents[2]
CONFIGS = sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("configs/methods/*.yaml")])
TRICKY: list[dict[str, Any]] = [
    {"data": {"holdout": 0.25}},
    {"data": {"holdout": "own questions.csv"}},
    {"data": {"columns": {"question": "a: b", "answer": "c, d"}}},
    {"data": {"system": "two\nlines, {braces} and: colons "}},
    {"data": {"max_rejected": 0.0, "limit": 5, "encoding": "utf-8"}},
    {"adapter": {"targets": ["q_proj"], "dropout": 0.1, "alpha": 7}},
    {"adapter": {"targets": "attention"}},
    {"training": {"early_stopping": 3}},
    {"training": {"early_stopping": "off", "packing": False, "learning_rate": 2e-4}},
    {"training": {"epochs": 0.5, "max_steps": 10, "keep": "last", "gradient_checkpointing": True}},
    {"evaluation": {"also": ["a,b.csv", "c"], "general": "off"}},
    {"evaluation": {"also": ["one"], "general": "my general.csv"}},
    {"tracking": {"wandb": "off", "tags": ["x", "two words"], "note": "a: 'b'"}},
    {"model": {"quantization": "none", "double_quantization": False, "dtype": "bf16"}},
]


def through_the_form(spec: RunSpec) -> RunSpec:
    fields = form.changed(form.values_of(spec))
    by_hand = {"name": spec.name, "model.name": spec.model.name, "data.train": spec.data.train}
    targets = [form.export_choice(target.model_dump())[1] for target in spec.export]
    import json

    return specs.parse(specs.nested({**by_hand, **fields, "export": [json.loads(item) for item in targets]}))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_shipped_config_comes_back_from_the_form_as_it_was(file: Path):
    spec = specs.load(file)
    assert through_the_form(spec) == spec
    assert specs.parse_text(specs.dump_asked(spec)) == spec


@pytest.mark.parametrize("values", TRICKY, ids=str)
def test_unusual_values_come_back_as_they_were(values: dict[str, Any]):
    values = {**values, "data": {"train": "a.csv", **values.get("data", {})}}
    spec = specs.parse(values)
    assert through_the_form(spec) == spec


def test_a_methods_settings_go_through_the_form_and_those_of_other_methods_do_not():
    spec = specs.parse({"data": {"train": "a"}, "training": {"method": {"kind": "dpo", "beta": 0.3}}})
    assert through_the_form(spec) == spec
    texts = dict(zip([leaf.path for leaf in form.fields()], form.values_of(spec), strict=True))
    assert (texts["training.method"], texts["training.method.dpo.beta"]) == ("dpo", "0.3")
    texts["training.method"] = "orpo"
    assert form.changed(list(texts.values()))["training.method"] == "orpo"


def test_exports_keep_every_setting():
    targets = [
        {"kind": "gguf", "quant": "f16", "merge_into": "original"},
        {"kind": "merged", "dtype": "fp16"},
        {"kind": "adapter"},
    ]
    spec = specs.parse({"data": {"train": "a"}, "export": targets})
    assert through_the_form(spec) == spec


def test_no_field_of_the_spec_is_missing_from_the_form():
    there = {leaf.path for leaf in form.fields()} | set(form.BY_HAND)
    assert {item.path for item in specs.fields() if isinstance(item, Leaf) or not item.many} <= there
    assert {"training.method", "training.method.dpo.beta", "training.method.kto.beta"} <= there
    assert {form.section_of(leaf) for leaf in form.fields()} <= set(form.TITLES)


def test_what_stands_in_an_untouched_form_asks_for_nothing():
    assert form.changed([form.default_text(leaf) for leaf in form.fields()]) == {}


def takes_any_text(leaf: Leaf) -> bool:
    return str in form._kinds(leaf.type) or leaf.many


@pytest.mark.parametrize("leaf", [leaf for leaf in form.fields() if not takes_any_text(leaf)], ids=lambda leaf: leaf.path)
def test_a_wrong_value_is_told_at_its_own_field(leaf: Leaf):
    texts = {item.path: form.default_text(item) for item in form.fields()} | {leaf.path: "=<script>="}
    if brings := form.chooser(leaf):
        texts[brings[0]] = brings[1]
    with pytest.raises(SpecError) as found:
        specs.parse(specs.nested({"data.train": "a", **form.changed(list(texts.values()))}))
    assert form.spec_path(leaf) in found.value.where
    assert found.value.hint


def test_every_field_has_a_label_and_help():
    for leaf in form.fields():
        assert leaf.label
        assert len(form.help_of(leaf)) > 10, leaf.path


def test_a_decided_value_stands_in_the_list_of_choices():
    leaf = next(leaf for leaf in form.fields() if leaf.path == "training.packing")
    assert form.choices(leaf, True)[0] == ("Decide for me: Yes", "")
