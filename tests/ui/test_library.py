"""The library takes what it may, keeps versions apart, and gives nothing away."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from studio.app import library, runs
from studio.core.errors import DataError, JobError, SpecError
from studio.runs.recorder import Recorder
from studio.spec import RunSpec, parse
from studio.ui.downloads import export_folder, zipped


def csv(folder: Path, name: str = "faq.csv", rows: int = 30) -> Path:
    file = folder / name
    file.write_text("question,answer\n" + "".join(f"what is {i}?,it is {i}\n" for i in range(rows)))
    return file


def test_the_same_content_is_the_same_version_and_other_content_another(home: Path, tmp_path: Path):
    first = library.add(home, "My FAQ", [("faq.csv", csv(tmp_path))])
    again = library.add(home, "My FAQ", [("faq.csv", csv(tmp_path))])
    other = library.add(home, "My FAQ", [("faq.csv", csv(tmp_path, rows=31))])
    assert first.key == again.key != other.key
    assert {item.key for item in library.versions(home)} == {first.key, other.key}
    assert first.path == home / "datasets" / "my-faq" / first.version


def test_renaming_changes_the_title_and_no_path(home: Path, tmp_path: Path):
    item = library.add(home, "Old", [("faq.csv", csv(tmp_path))])
    renamed = library.rename(home, item.key, "New <b>name</b>")
    assert renamed.title == "New <b>name</b>"
    assert renamed.files == item.files


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.csv",
        "/etc/passwd.csv",
        "..\\..\\evil.csv",
        "C:\\x\\evil.csv",
        "a\x00b.csv",
        "-rf.csv",
        ".hidden.csv",
        "x" * 300 + ".csv",
        "a|b;c$(d).csv",
    ],
)
def test_a_hostile_file_name_becomes_a_plain_one_inside_the_library(home: Path, tmp_path: Path, name: str):
    item = library.add(home, "x", [(library.safe_name(name), csv(tmp_path))])
    (file,) = item.files
    assert Path(file).resolve().is_relative_to(home.resolve())
    assert Path(file).parent == item.path / "files"
    assert not set(Path(file).name) & set("/\\\0|;$`<>\"'")
    assert not Path(file).name.startswith(("-", "."))


@pytest.mark.parametrize("title", ["", "   ", "\x00", "x" * 81])
def test_a_dataset_needs_a_real_name(home: Path, tmp_path: Path, title: str):
    with pytest.raises(DataError):
        library.add(home, title, [("faq.csv", csv(tmp_path))])


@pytest.mark.parametrize("title", ["../../up", "/abs", "~root", "a/b\\c", "..", "%2e%2e"])
def test_a_name_never_leaves_the_library(home: Path, tmp_path: Path, title: str):
    item = library.add(home, title, [("faq.csv", csv(tmp_path))])
    assert item.path.resolve().parent.parent == (home / "datasets").resolve()


@pytest.mark.parametrize("name", ["model.pkl", "page.html", "x.py", "noending", "a.csv.exe"])
def test_other_kinds_of_files_are_refused(home: Path, tmp_path: Path, name: str):
    with pytest.raises(DataError, match="not read here"):
        library.add(home, "x", [(name, csv(tmp_path))])


def test_a_link_is_not_a_file(home: Path, tmp_path: Path):
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    with pytest.raises(DataError):
        library.add(home, "x", [("link.csv", tmp_path / "link.csv")])


@pytest.mark.parametrize("key", ["../runs/x", "/etc/passwd", "..", "", "x/../../y", "nothing/here"])
def test_only_a_listed_version_is_found(home: Path, tmp_path: Path, key: str):
    library.add(home, "x", [("faq.csv", csv(tmp_path))])
    with pytest.raises(DataError):
        library.find(home, key)


def test_a_dataset_is_kept_while_a_run_needs_it(home: Path, tmp_path: Path):
    item = library.add(home, "x", [("faq.csv", csv(tmp_path))])
    run = runs.create(RunSpec.model_validate({"data": {"train": item.files[0]}}), home)
    recorder = Recorder(run.folder)
    with pytest.raises(JobError, match="still needs"):
        library.delete(home, item.key)
    recorder.end("stopped")
    with pytest.raises(JobError):
        library.delete(home, item.key)
    recorder.end("done")
    assert library.delete(home, item.key) > 0
    assert library.versions(home) == []
    assert not (home / "datasets" / "x").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.train", "/etc/passwd"),
        ("data.train", "../../../../etc/passwd"),
        ("data.train", ["~/.ssh/id_rsa"]),
        ("data.holdout", "/etc/hostname"),
        ("evaluation.also", ["/etc/passwd"]),
        ("evaluation.general", "/etc/passwd"),
        ("model.chat_template", "/etc/passwd"),
        ("model.name", "/usr/lib"),
        ("model.name", "../../x"),
        ("model.name", "~/models/x"),
    ],
)
def test_a_spec_from_the_web_names_no_file_outside_the_library(home: Path, field: str, value: object):
    from studio.spec import nested

    spec = parse(nested({"data.train": "hub:a/b", field: value}))
    with pytest.raises(SpecError) as found:
        library.refuse_outside(spec, home)
    assert found.value.where == field


def test_nor_by_a_link_inside_nor_the_servers_own_secrets(home: Path):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "link.csv").symlink_to("/etc/passwd")
    (home / "secrets").mkdir()
    (home / "secrets" / "HF_TOKEN").write_text("x")
    for name in (home / "datasets" / "link.csv", home / "secrets" / "HF_TOKEN", home / "ui" / "session.key"):
        with pytest.raises(SpecError):
            library.refuse_outside(parse({"data": {"train": str(name)}}), home)


def test_what_lies_in_the_library_may_be_named(home: Path, tmp_path: Path):
    item = library.add(home, "x", [("faq.csv", csv(tmp_path))])
    library.refuse_outside(parse({"data": {"train": list(item.files)}, "model": {"name": "starter"}}), home)
    library.refuse_outside(parse({"data": {"train": "hub:a/b"}, "model": {"name": "Qwen/Qwen3-4B"}}), home)


def test_a_download_names_a_listed_export_or_nothing(home: Path):
    folder = home / "runs" / "a-1" / "exports" / "merged"
    folder.mkdir(parents=True)
    (home / "runs" / "a-1" / "asked.yaml").write_text("")
    (folder / "artifact.json").write_text("{}")
    assert export_folder(home, "a-1", "merged") == folder
    for run, name in (
        ("a", "merged"),
        ("a-1", ".."),
        ("..", "merged"),
        ("a-1", "merged/.."),
        ("a-1", ""),
        ("/", "/"),
        ("a-1", "/etc"),
    ):
        assert export_folder(home, run, name) is None


def test_a_folder_is_downloaded_as_a_whole_zip_without_links(tmp_path: Path):
    import io
    import zipfile

    folder = tmp_path / "merged"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a" * 3_000_000)
    (folder / "sub" / "b.txt").write_text("b")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / ".deploy.x1").mkdir()
    (folder / ".deploy.x1" / "README.md").write_text("left by something that was killed")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(zipped(folder, "run-merged"))))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["run-merged/a.txt", "run-merged/sub/b.txt"]
    assert archive.read("run-merged/a.txt") == b"a" * 3_000_000


@pytest.mark.slow
def test_a_report_kept_by_another_release_or_damaged_is_made_again(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from studio.data import prepare
    from studio.processes import tasks

    item = library.add(home, "FAQ", [("faq.csv", csv(tmp_path))])
    made = prepare.inspect(library.spec_of(item).data)
    begun: list[str] = []
    begin = tasks.begin
    monkeypatch.setattr(tasks, "begin", lambda *values: begun.append(values[1]) or begin(*values))

    def report() -> object:
        until = time.monotonic() + 120
        while (found := library.report(home, item)) is None and time.monotonic() < until:
            time.sleep(0.1)
        return found

    assert report() == made
    assert library.report(home, item) == made
    assert len(begun) == 1, "the second time it was read"
    old = {"settings": {}, "report": {"usable": True, "warnings": ["a sentence"], "totals": {"rows": 3}}}
    for content in ("", json.dumps(old)):
        (item.path / "inspected.json").write_text(content)
        assert report() == made
    assert len(begun) == 3


@pytest.mark.slow
def test_a_check_that_is_stopped_can_be_begun_again(home: Path, tmp_path: Path):
    item = library.add(home, "FAQ", [("faq.csv", csv(tmp_path))])
    assert library.report(home, item) is None
    running = library.checking(item)
    assert running is not None
    assert running.state == "running"
    library.stop_checking(item)
    assert library.checking(item) is None
    assert library.report(home, item) is None
    library.stop_checking(item)


def test_what_a_refusal_says_to_write_under_data_is_written_on_the_page(home: Path, tmp_path: Path):
    item = library.add(home, "FAQ", [("faq.csv", csv(tmp_path))])
    kept = library.keep_reading(home, item.key, "", {}, "header_row: 1\nmessage_order: day_first\n")
    assert kept.settings == {"header_row": 1, "message_order": "day_first"}
    assert library.spec_of(library.find(home, item.key)).data.message_order == "day_first"
    assert library.keep_reading(home, item.key, "", {}, library.further_settings(kept)).settings == kept.settings
    assert library.keep_reading(home, item.key, "", {}).settings == {}


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        ("header_row: 1\nheadr_row: 2", "headr_row", "line 2"),
        ("message_order: any", "day_first", "line 1"),
        ("train: /etc/passwd", "`train` is not set here", "line 1"),
        ("columns: {question: a}", "`columns` is not set here", "line 1"),
        ("header_row = 1", "`header_row: 3`", "Further settings"),
    ],
)
def test_a_line_that_is_no_setting_of_the_data_is_named(home: Path, tmp_path: Path, text: str, said: str, where: str):
    item = library.add(home, "FAQ", [("faq.csv", csv(tmp_path))])
    with pytest.raises(SpecError) as found:
        library.keep_reading(home, item.key, "", {}, text)
    assert said in str(found.value)
    assert where in str(found.value)
    assert library.find(home, item.key).settings == {}
