"""The wheel is the whole product: what the source tree offers, an installation offers too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

import studio
from tests.delivery.conftest import ROOT, Installed

pytestmark = pytest.mark.slow


def test_every_file_of_the_product_is_in_the_wheel(installed: Installed) -> None:
    packed = set(zipfile.ZipFile(installed.wheel).namelist())
    linked = {"configs", "datasets", "notebooks"}
    wanted = {file.relative_to(ROOT).as_posix() for file in (ROOT / "studio").rglob("*") if file.is_file()}
    wanted |= {
        f"studio/resources/{file.relative_to(ROOT)}" for name in linked for file in (ROOT / name).iterdir() if file.is_file()
    }
    assert {name for name in wanted - packed if "__pycache__" not in name} == set()


def test_the_wheel_carries_nothing_but_the_product(installed: Installed) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(installed.wheel).namelist()}
    assert tops == {"studio", f"slm_studio-{studio.__version__}.dist-info"}


def test_the_installed_command_is_the_installed_package(installed: Installed) -> None:
    assert Path(installed.run("import studio; print(studio.__file__)")).is_relative_to(installed.python.parents[1])
    assert installed.studio("--version").strip() == f"studio {studio.__version__}"


def test_samples_are_ours_and_not_those_of_another_package_called_datasets(installed: Installed) -> None:
    printed = installed.run("from studio.app import library; print(*library.samples(), sep='\\n')")
    assert {Path(line).name for line in printed.splitlines()} >= {"support.jsonl", "chat.jsonl", "general.jsonl"}
    assert all("studio/resources/datasets" in line for line in printed.splitlines())
    (installed.work / "spec.yaml").write_text(f"name: sample\ndata: {{train: {printed.splitlines()[0]}}}\n")
    assert json.loads(installed.studio("plan", "spec.yaml", "--json"))["fits"]


def test_notebooks_are_copied_to_where_the_user_works(installed: Installed) -> None:
    installed.studio("notebooks", "mine")
    names = {file.name for file in (installed.work / "mine").iterdir()}
    assert names == {file.name for file in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_demo_starts_from_any_folder_and_prepares_its_data(installed: Installed) -> None:
    home = installed.work / "demo home"
    command = [str(installed.python.with_name("studio")), "demo", "--home", "demo home"]
    demo = subprocess.Popen(
        command, cwd=installed.work, env=installed.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 180
    while not list(home.glob("runs/*/data/report.json")):
        assert demo.poll() is None, demo.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.3)
    installed.studio("runs", "stop", "last", "--home", str(home))
    demo.communicate(timeout=180)
    held_out = next(home.glob("runs/*/data/held-out.jsonl"))
    assert len(held_out.read_text().splitlines()) == 120


def test_the_web_studio_serves_its_pages_icon_and_fonts(installed: Installed) -> None:
    command = [str(installed.python.with_name("studio")), "ui", "--port", "0"]
    with subprocess.Popen(
        command, cwd=installed.work, env=installed.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout
            link = next(found.group() for line in server.stdout if (found := re.search(r"http://\S+token=\S+", line)))
            base = "/".join(link.split("/")[:3])
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            pages = [browser.open(url, timeout=300).read().decode() for url in (link, base, f"{base}/sign-in")]
            assert "Studio" in pages[1]
            named = set(re.findall(r"""["'](/[\w/.-]+\.(?:svg|woff2|css|js))\W""", "".join(pages)))
            assert {name.rsplit(".", 1)[1] for name in named} >= {"svg", "woff2", "css", "js"}
            static = {file.name: file for file in (ROOT / "studio" / "ui" / "static").rglob("*")}
            for name in named:
                if (file := static.get(name.rsplit("/", 1)[1])) is not None:
                    assert browser.open(f"{base}{name}", timeout=300).read() == file.read_bytes(), name
        finally:
            server.kill()


def test_windows_itself_is_refused_with_one_sentence() -> None:
    code = "import sys; sys.platform = 'win32'; import studio.cli.main"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "WSL" in ended.stderr
    assert "Traceback" not in ended.stderr
