"""The Export page: a row for every kind there is, sizes before, what is missing, deploy files, and pushing."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import exports, runs, toolchains
from studio.core.errors import ExportError, JobError, SpecError
from studio.core.fields import Leaf
from tests.export import hub as hubs
from tests.export import made
from tests.ui.hostile import done


@pytest.fixture(scope="module")
def run(studio: Any) -> Any:
    """A finished run with a whole, verified export that has deploy files."""
    found = done(studio.home, str(studio.home / "upload.jsonl"), "exported")
    made.make(found.folder.exports, "gguf", files={"deploy/README.md": "# Steps\n"})
    return found


def choose(page: Any, elem_id: str, value: str) -> None:
    page.locator(f"#{elem_id} input").click()
    page.get_by_role("option", name=value, exact=True).click()


def test_every_kind_the_targets_list_has_a_row_with_its_settings_and_its_size(run: Any, screen: Any) -> None:
    screen.goto(f"/export?id={run.id}")
    expect(screen.locator(".target")).to_have_count(len(exports.kinds()))
    for kind, section in exports.kinds().items():
        row = screen.locator(f"#to-{kind}")
        expect(row).to_contain_text(exports.summary(section).replace("`", ""))
        expect(row).to_contain_text(re.compile(r"about [\d.]+ [KMG]iB"))
        expect(row).to_contain_text(re.compile("ready|not installed"))
        expect(row.locator(".label-wrap")).to_have_count(1 if exports.settings(section) else 0)


def test_the_size_follows_the_settings(run: Any, screen: Any) -> None:
    screen.goto(f"/export?id={run.id}")
    about = screen.locator("#about-gguf small")
    expect(about).to_contain_text("about")
    before = about.inner_text()
    screen.locator("#settings-gguf button").first.click()
    choose(screen, "gguf-quant", "f16")
    expect(about).not_to_have_text(before)


def test_what_would_go_up_is_shown_before_and_a_wrong_name_is_told(run: Any, screen: Any) -> None:
    screen.goto(f"/export?id={run.id}")
    expect(screen.locator("#made")).to_contain_text("deploy/README.md has the steps")
    choose(screen, "push-export", "gguf-q8_0")
    name = screen.locator("#push-name input, #push-name textarea").first
    name.fill("nonsense")
    screen.locator("#push-look").click()
    expect(screen.locator(".toast-body").first).to_contain_text("Write it as user/name")
    expect(screen.locator("#push")).not_to_be_visible()
    name.fill("me/bot")
    screen.locator("#push-look").click()
    expect(screen.locator("#push-told")).to_contain_text("bot-q8_0.gguf")
    expect(screen.locator("#push-told")).to_contain_text("Only you")
    expect(screen.locator("#push")).to_be_visible()
    screen.locator("#push-public input").check()
    expect(screen.locator("#push")).not_to_be_visible()


def test_a_push_from_the_page_is_a_process_of_its_own_and_is_seen_afterwards(
    run: Any, studio: Any, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = hubs.Hub()
    server = hubs.serve(hub)
    for name, value in (("HF_ENDPOINT", hub.url), ("HF_TOKEN", hubs.TOKEN), ("HF_HUB_DISABLE_XET", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    exports.begin_push(run, "gguf-q8_0", "me/bot", False, studio.home)
    with pytest.raises(JobError, match="is already running"):
        exports.begin_push(run, "gguf-q8_0", "me/bot", False, studio.home)
    ended(run, studio.home)
    server.shutdown()
    assert hub.repositories["me/bot"]["private"]
    assert exports.list_exports(run)[0].pushes[0].repository == "me/bot"
    screen.goto(f"/export?id={run.id}")
    expect(screen.locator("#made")).to_contain_text("Uploaded to me/bot (private)")
    folder = run.folder.exports / ".work"
    assert all(hubs.TOKEN not in file.read_text("utf-8", "replace") for file in folder.iterdir())


def ended(run: Any, home: Path) -> exports.Task:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        work = exports.running_tasks(run, home)[0]
        if work.state != "running":
            assert work.state == "done", work.error
            return work
        time.sleep(0.2)
    raise TimeoutError


def test_what_a_page_may_ask_for_is_checked_before_anything_is_begun(run: Any, studio: Any) -> None:
    with pytest.raises(SpecError, match="unknown kind"):
        exports.begin(run, "ggu", {}, studio.home)
    with pytest.raises(SpecError, match="one of f16"):
        exports.begin(run, "gguf", {"quant": "../x"}, studio.home)
    with pytest.raises(JobError, match="no such export"):
        exports.prepare_push(run, "../../etc", "me/bot", False)
    with pytest.raises(JobError, match="no such toolchain"):
        toolchains.begin_install("; rm -rf /", studio.home)
    assert exports.list_exports(runs.find(run.id, studio.home))


def test_what_is_not_installed_is_told_with_what_installs_it_and_nothing_is_begun(
    run: Any, studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.app.fragments import exports as show
    from studio.export.targets.merged_4bit.settings import Merged4BitTarget

    monkeypatch.setattr(
        Merged4BitTarget, "missing", lambda self: "compress is not installed: studio exporters install compress"
    )
    found = exports.estimate(run, "merged_4bit", {})
    assert found.toolchain == "compress"
    assert "<code>studio exporters install compress</code>" in show.target("merged_4bit", "A model.", found)
    with pytest.raises(ExportError, match="compress is not installed") as told:
        exports.begin(run, "merged_4bit", {}, studio.home)
    assert told.value.hint == "Run studio exporters install compress"
    with pytest.raises(ExportError, match="compress is not installed"):
        exports.export(run, "merged_4bit", {})


def test_a_target_is_called_by_its_kind_and_what_was_chosen() -> None:
    assert exports.label({"kind": "gguf", "quant": "q8_0", "merge_into": None}) == "gguf-q8_0"
    assert exports.label({"kind": "x", "a": "../../b"}) == "x-b"


def test_every_kind_says_what_it_is_and_every_setting_has_help() -> None:
    for kind, section in exports.kinds().items():
        assert exports.summary(section).endswith("."), kind
        for leaf in exports.settings(section):
            assert isinstance(leaf, Leaf)
            assert leaf.help, f"{kind}.{leaf.path}"
        target: Any = exports.target(kind, {})
        assert target.size(made.LARGE) > 1 << 20, kind
        missing = target.missing()
        assert missing is None or ": " in missing, f"{kind} does not end with the command that helps: {missing}"
