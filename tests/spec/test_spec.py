from __future__ import annotations

from pathlib import Path

import pytest

from studio import spec as specs
from studio.core.errors import SpecError
from studio.core.fields import Alternatives, Leaf
from studio.spec import RunSpec, parse_resolved, parse_text
from studio.training.settings import Adapter

SMALL = "name: bot\ndata: {train: faq.csv}\n"


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as found:
        specs.parse_text(text, "x.yaml")
    return found.value


@pytest.mark.parametrize(
    ("text", "where", "told", "hint"),
    [
        ("data: {train: a}\ntraining:\n  epoch: 3\n", "x.yaml, line 3: training.epoch", "unknown key", "`epochs`"),
        ("version: 9\ndata: {train: a}\nnew: 3\n", "x.yaml, line 1: version", "written by a newer release", "Update Studio"),
        ("data: {train: a}\nrank: 8\n", "x.yaml, line 2: rank", "unknown key", "`adapter.rank`"),
        ("data: {train: a, export: []}\n", "x.yaml, line 1: data.export", "unknown key", "top level, beside `data`"),
        ("data: {train: a}\ntraining: {epochs: -1}\n", "x.yaml, line 2: training.epochs", "-1", "0"),
        ("data: {train: a}\ntraining: {epochs: many}\n", "x.yaml, line 2: training.epochs", "'many'", ""),
        ("data: {train: a}\nadapter: {rank: many}\n", "line 2: adapter.rank", "expected an integer, got 'many'", "512"),
        ("data: {train: a}\nmodel: {quantization: 4bit}\n", "line 2: model.quantization", "'4bit'", "nf4, int8, none"),
        ("data: {train: a}\nexport: [{kind: ggu}]\n", "line 2: export.0", "'ggu'", "gguf"),
        ("data: {train: a}\nexport:\n  - {kind: gguf, quant: q3}\n", "line 3: export.0.quant", "'q3'", "q4_k_m"),
        ("name: x\n", "x.yaml: data", "missing", "data: {train:"),
        ("data: {train: a, holdout: 0}\ntraining: {keep: best}\n", "line 2: training.keep", "held-out", "0.1"),
        ("data: {train: a}\nevaluation: {folds: 5}\n", "line 2: evaluation.folds", "keeps some apart", "holdout to 0"),
        ("data: {train: a, holdout: 0}\nevaluation: {folds: 1}\n", "line 2: evaluation.folds", "at least 2", "Write 5"),
        ("data: {train: a}\ntraining: {batch_size: 8, micro_batch: 3}\n", "training.micro_batch", "does not divide", "divides"),
        ("data: {train: a}\ndata: {train: b}\n", "x.yaml, line 2", "written twice", "Keep one"),
        ("data: [a\n", "x.yaml, line", "not valid YAML", "indentation"),
        ("just text", "x.yaml", "mapping", "data"),
        ("data: {train: a, holdout: 1.5}\n", "line 1: data.holdout", "1.5", "0.1"),
        ("data: {train: a}\nmodel: starter\n", "line 2: model", "'starter'", "model: {name: ...}"),
        ("data: a.csv\n", "line 1: data", "'a.csv'", "data: {train: ...}"),
        ("data: {train: a}\nexport: gguf\n", "line 2: export", "'gguf'", "export: [{kind: adapter}]"),
        ("data: {train: a}\ntraining: {early_stopping: maybe}\n", "training.early_stopping", "'maybe'", "off"),
    ],
)
def test_a_wrong_spec_is_refused_naming_line_field_and_what_to_do(text: str, where: str, told: str, hint: str) -> None:
    error = refused(text)
    assert where in error.where
    assert told in error.message
    assert hint in error.hint
    assert error.exit_code == 2


def test_a_data_file_in_place_of_a_spec_is_named_with_the_command_that_makes_one(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "Is it blue?", "answer": "Yes."}\n')
    with pytest.raises(SpecError, match="a data file") as refused:
        specs.load(file)
    assert f"studio init --data {file}" in refused.value.hint


def test_a_spec_written_as_yaml_reads_back_equal() -> None:
    spec = specs.parse_text(SMALL + "training: {learning_rate: 2e-4}\nexport: [{kind: merged}, {kind: gguf, quant: q4_k_m}]\n")
    assert specs.parse_text(specs.dump(spec)) == spec
    assert specs.parse_text(specs.dump_asked(spec)) == spec


def test_yaml_python_and_set_build_the_same_spec() -> None:
    by_yaml = specs.parse_text(SMALL + "training: {epochs: 2}\n")
    by_python = RunSpec(name="bot", data={"train": "faq.csv"}, training={"epochs": 2})
    by_set = specs.edit(specs.parse_text(SMALL), specs.parse_settings(["training.epochs=2"]))
    assert by_yaml == by_python == by_set


def test_a_spec_made_in_python_is_refused_in_the_same_words() -> None:
    with pytest.raises(SpecError) as refused:
        RunSpec(data={"train": "a.csv"}, training={"epochs": 0})
    assert refused.value.where == "RunSpec: training.epochs"
    assert "more than 0 and at most 1,000" in str(refused.value.hint)
    with pytest.raises(SpecError, match="unknown key `rnk`") as refused:
        Adapter(rnk=8)  # type: ignore[call-arg]
    assert refused.value.hint == "Did you mean `rank`?"


def test_set_reads_numbers_lists_null_and_places_in_lists() -> None:
    spec = specs.parse_text(SMALL + "export: [{kind: gguf}]\n")
    changes = ["training.learning_rate=2e-4", "data.train=[a.csv, b.csv]", "model.quantization=null", "export.0.quant=f16"]
    changed = specs.edit(spec, specs.parse_settings(changes))
    assert changed.training.learning_rate == 2e-4
    assert changed.data.files == ("a.csv", "b.csv")
    assert changed.export[0].quant == "f16"  # type: ignore[union-attr]


def test_a_set_without_equals_sign_is_refused() -> None:
    with pytest.raises(SpecError, match="not a setting"):
        specs.parse_settings(["training.epochs"])


def test_a_missing_spec_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "support.yaml").write_text(SMALL)
    with pytest.raises(SpecError) as found:
        specs.load(tmp_path / "suport.yaml")
    assert "support.yaml" in found.value.hint
    with pytest.raises(SpecError) as found:
        specs.load(tmp_path / "recipes.yaml")
    assert "Did you mean" not in found.value.hint


def test_a_spec_cannot_be_changed_past_its_checks() -> None:
    spec = specs.parse_text(SMALL)
    with pytest.raises(TypeError, match="edit"):
        spec.model_copy(update={"name": "x"})
    with pytest.raises(SpecError):
        specs.edit(spec, {"training.epochs": -1})


def test_the_fingerprint_ignores_name_and_note_and_nothing_else() -> None:
    spec = specs.parse_text(SMALL)
    assert specs.fingerprint(spec) == specs.fingerprint(specs.edit(spec, {"name": "other", "tracking.note": "hi"}))
    assert specs.fingerprint(spec) != specs.fingerprint(specs.edit(spec, {"training.seed": 1}))


def test_every_field_says_what_it_is() -> None:
    silent = [item.path for item in specs.fields() if not (item.help and item.label)]
    assert silent == []


def test_fields_tell_ranges_choices_and_alternatives() -> None:
    by_path = {item.path: item for item in specs.fields()}
    rank, quantization, export = by_path["adapter.rank"], by_path["model.quantization"], by_path["export"]
    assert isinstance(rank, Leaf)
    assert (rank.low, rank.high, rank.default) == (1, 512, 16)
    assert isinstance(quantization, Leaf)
    assert quantization.choices == ("nf4", "int8", "none")
    assert quantization.optional
    assert isinstance(export, Alternatives)
    assert {"adapter", "merged", "gguf"} <= set(export.sections)


def test_the_schema_describes_every_section() -> None:
    properties = specs.schema()["properties"]
    assert {"model", "data", "adapter", "training", "evaluation", "tracking", "export"} <= set(properties)


def test_a_date_in_yaml_is_a_text(tmp_path: Path) -> None:
    file = tmp_path / "dated.yaml"
    file.write_text("name: 2020-01-01\ndata: {train: a.csv}\n")
    assert specs.load(file).name == "2020-01-01"


def test_off_in_yaml_is_the_word_off() -> None:
    spec = specs.parse_text(SMALL + "tracking: {wandb: off}\nevaluation: {general: off}\ntraining: {packing: true}\n")
    assert (spec.tracking.wandb, spec.evaluation.general, spec.training.packing) == ("off", "off", True)
    assert specs.edit(spec, specs.parse_settings(["training.early_stopping=off"])).training.early_stopping == "off"
    assert specs.parse_text(specs.dump(spec)) == spec


def test_a_spec_with_something_left_open_is_not_a_resolved_one():
    with pytest.raises(SpecError, match="model"):
        parse_resolved({"data": {"train": "rows.jsonl", "max_length": 64}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", "aliases"),
        ("data: &d {train: *d}\n", "aliases"),
        ("data: " + "[" * 20_000, "levels deep"),
        ("training: {seed: " + "9" * 10_000 + "}\n", "digits"),
        ("name: [" + "x, " * 30_000 + "x]\n", "values"),
    ],
)
def test_yaml_that_would_blow_up_is_refused_at_once(text: str, says: str):
    with pytest.raises(SpecError, match=says):
        parse_text(text)


def test_the_keywords_a_type_checker_sees_are_the_fields_of_a_spec() -> None:
    import ast
    import inspect

    classes = {node.name: node for node in ast.parse(inspect.getsource(specs)).body if isinstance(node, ast.ClassDef)}
    made = next(node for node in ast.walk(classes["RunSpec"]) if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    assert {argument.arg for argument in made.args.kwonlyargs} == set(RunSpec.model_fields)


def test_a_spec_is_shown_by_what_is_set_in_it() -> None:
    made = RunSpec(name="bot", data={"train": "faq.csv"}, adapter={"rank": 8}, export=[{"kind": "gguf", "quant": "q4_k_m"}])
    shown = "RunSpec(name='bot', data=Data(train='faq.csv'), adapter=Adapter(rank=8), export=[GgufTarget(quant='q4_k_m')])"
    assert (repr(made), str(made)) == (shown, shown)
