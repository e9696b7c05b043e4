"""A spec's file may extend another, use variables and name files beside it; a mistake is named with its own file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

import studio
from studio import spec as specs
from studio.core.errors import SpecError
from studio.spec import documents


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_spec_extends_another_with_only_what_differs(work: Path) -> None:
    write(
        work / "base.yaml",
        "data: {train: faq.csv, holdout: 0.2}\ntraining: {epochs: 5, batch_size: 8}\nexport: [{kind: merged}]\n",
    )
    bot = write(work / "bot.yaml", "extends: base.yaml\nname: bot\ntraining: {epochs: 2}\nexport: [{kind: adapter}]\n")
    made = studio.load(bot)
    assert (made.name, made.data.holdout, made.training.epochs, made.training.batch_size) == ("bot", 0.2, 2, 8)
    assert [target.kind for target in made.export] == ["adapter"]


def test_a_section_of_another_kind_takes_nothing_from_the_one_it_replaces(work: Path) -> None:
    write(work / "base.yaml", "data: {train: a.csv}\ntraining: {method: {kind: dpo, beta: 0.3}}\n")
    child = write(work / "a.yaml", "extends: base.yaml\ntraining: {method: {kind: simpo}}\n")
    assert studio.load(child).training.method.kind == "simpo"


def test_every_shipped_preset_can_be_extended_by_name_from_anywhere(work: Path) -> None:
    for name in documents.presets():
        made = studio.load(write(work / "elsewhere" / "mine.yaml", f"extends: {name}\nname: mine\n"))
        assert made.name == "mine"
        assert [file for file in made.data.files if not Path(file).exists()] == [], name


def test_a_mistake_is_named_with_the_file_and_line_it_stands_in(work: Path) -> None:
    write(work / "base.yaml", "data: {train: a.csv}\ntraining:\n  epoch: 5\n")
    child = write(work / "bot.yaml", "extends: base.yaml\nname: bot\n")
    with pytest.raises(SpecError) as found:
        studio.load(child)
    assert found.value.where == f"{child}, base.yaml, line 3: training.epoch"
    with pytest.raises(SpecError) as found:
        studio.load(write(work / "bot.yaml", "extends: bass.yaml\n"))
    assert found.value.where == f"{work / 'bot.yaml'}, line 1: extends"
    with pytest.raises(SpecError) as found:
        studio.load(write(work / "bot.yaml", "extends: qwen3-4\n"))
    assert found.value.hint == "Did you mean `qwen3-4b`?"
    with pytest.raises(SpecError) as found:
        studio.load(write(work / "bot.yaml", "extends: [a, b]\n"))
    assert "the name of a spec" in found.value.message


def test_specs_that_extend_each_other_are_refused(work: Path) -> None:
    write(work / "a.yaml", "extends: b.yaml\n")
    write(work / "b.yaml", "extends: a.yaml\n")
    with pytest.raises(SpecError) as found:
        studio.load(work / "a.yaml")
    assert "in a circle" in found.value.message


def test_variables_are_put_in_and_a_missing_one_is_named(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", str(work))
    monkeypatch.delenv("EPOCHS", raising=False)
    file = write(
        work / "bot.yaml",
        "name: bot-${EPOCHS:-3}\ndata:\n  train: [\"${DATA}/a.csv\"]\n  system: 'Say ${name}.'\n"
        "training: {epochs: '${EPOCHS:-3}'}\n",
    )
    made = studio.load(file)
    assert (made.name, made.training.epochs) == ("bot-3", 3)
    assert made.data.files == (f"{work}/a.csv",)
    assert made.data.system == "Say ${name}."
    with pytest.raises(SpecError) as found:
        studio.load(write(work / "b.yaml", "name: $${A}\ndata:\n  train: ${NOT_THERE}/a.csv\n"))
    assert found.value.where == f"{work / 'b.yaml'}, line 3: data.train"
    assert "`NOT_THERE`" in found.value.message
    with pytest.raises(SpecError) as found:
        studio.load(write(work / "d.yaml", "data: {train: ${DATA}/a.csv, holdout: 0.1}\n"))
    assert "Inside braces a variable is quoted" in found.value.hint
    assert studio.load(write(work / "c.yaml", "name: $${A}\ndata: {train: a.csv}\n")).name == "${A}"


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "DB_PASSWORD", "MY_SECRET"])
def test_a_secret_does_not_get_into_a_spec_by_a_variable(name: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "not-for-a-file")
    with pytest.raises(SpecError) as found:
        studio.load(write(work / "bot.yaml", f"name: ${{{name}}}\ndata: {{train: a.csv}}\n"))
    assert "looks like a secret" in found.value.message
    assert "not-for-a-file" not in f"{found.value} {found.value.hint}"


def test_paths_are_relative_to_the_spec_and_what_only_the_working_folder_has_is_found_there(work: Path) -> None:
    for name in ("specs/faq.csv", "specs/chats/a.jsonl", "work/other.csv", "specs/both.csv", "work/both.csv"):
        write(work / name, "x")
    text = "data: {train: [%s], holdout: %s}\nevaluation: {also: [other.csv]}\n"
    made = studio.load(write(work / "specs" / "bot.yaml", text % ("faq.csv, chats/*.jsonl, both.csv, 'hub:a/b'", "other.csv")))
    folder = work / "specs"
    files = (str(folder / "faq.csv"), str(folder / "chats" / "*.jsonl"), str(folder / "both.csv"), "hub:a/b")
    assert made.data.files == files
    assert made.data.holdout == "other.csv"
    assert made.evaluation.also == ["other.csv"]
    with pytest.raises(studio.StudioError) as found:
        studio.plan(write(work / "specs" / "gone.yaml", "data: {train: gone.csv}\n"))
    assert found.value.where == str(work / "specs" / "gone.csv")


def test_text_that_is_no_file_reads_no_file_and_no_variable(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "secret-place")
    write(work / "work" / "base.yaml", "data: {train: faq.csv}\n")
    assert specs.parse_text("data: {train: '${DATA}/a.csv'}").data.train == "${DATA}/a.csv"
    with pytest.raises(SpecError):
        specs.parse_text("extends: base.yaml")
    assert specs.parse_text("extends: qwen3-4b").model.name == "Qwen/Qwen3-4B"


def test_what_a_run_recorded_is_read_as_it_stands(work: Path) -> None:
    file = write(work / "run" / "asked.yaml", "data: {train: data}\nname: ${HOME}\n")
    write(work / "run" / "data" / "a.csv", "x")
    made = specs.load_recorded(file)
    assert (made.data.train, made.name) == ("data", "${HOME}")
