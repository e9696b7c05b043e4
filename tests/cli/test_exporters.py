"""`studio exporters`: every exporter is listed with what makes it ready, and so does the doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli.main import run
from studio.export import toolchains as environments


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.export.toolchains.known.root", lambda: tmp_path / "exporters")
    monkeypatch.setattr("studio.export.toolchains.making.root", lambda: tmp_path / "exporters")


def test_the_list_names_each_exporter_with_its_size_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exporters"]) == 0
    told = capsys.readouterr().out
    for name in environments.ENVIRONMENTS:
        assert name in told
    assert run(["exporters", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in rows} == {"missing"}
    assert all(row["command"] == f"studio exporters install {row['name']}" and row["bytes"] > 1 << 20 for row in rows)


def test_the_doctor_lists_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["exporter compress"]["ok"] is None
    assert "studio exporters install compress" in found["exporter compress"]["fix"]


def test_a_wrong_name_starts_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["exporters", "install", "comprss"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "studio exporters: there is no exporter `comprss`",
        "→ Did you mean `compress`?",
    ]
    assert not (tmp_path / "exporters").exists()


def test_removing_what_is_not_there_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exporters", "remove", "compress", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "compress", "removed": False}


def test_ctrl_c_is_told_and_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("studio.app.toolchains.statuses", interrupt)
    assert run(["exporters"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"
