"""Keys of any API: saved in the keyring or in memory, never in a file, and sent to their own host only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.app import keys, making
from studio.core.errors import SpecError
from studio.making import folder
from studio.remote.client import Client
from studio.remote.completion import Request
from studio.remote.endpoint import Endpoint, key_name
from studio.remote.refusals import Refused
from studio.tracking import secrets
from tests.making import kit
from tests.remote.loopback import loopback

KEY = "any-shape-of-key-1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home on a machine without a keyring."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    yield tmp_path
    for name in list(secrets._in_memory):
        secrets.forget(name)


def test_a_key_saved_for_a_host_is_sent_there_is_in_no_file_and_goes_to_what_this_process_starts(home: Path):
    with loopback("yes") as api:
        host = api.url.split("/")[2]
        name = keys.save_for(api.url, KEY, home)
        assert keys.source(name) == "memory"
        with Client(Endpoint(url=api.url, model="m")) as client:
            client.answer(Request([{"role": "user", "content": "Who?"}], 16))
        assert api.headers[0]["authorization"] == f"Bearer {KEY}"
        assert keys.of_hosts(home) == [(host, "", "memory")]
    assert KEY not in keys.redacted(f"refused: {KEY}"), "whatever it looks like"
    assert not any(KEY.encode() in file.read_bytes() for file in home.rglob("*") if file.is_file())
    child = [sys.executable, "-c", f"import os; print(os.environ[{name!r}])"]
    assert subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip() == KEY
    keys.remove_for(host, home)
    assert name not in os.environ
    assert keys.of_hosts(home) == []


def test_a_host_with_another_port_or_a_name_much_alike_does_not_get_the_key(home: Path):
    addresses = (
        "https://api.a-b.ai/v1",
        "https://api-a.b.ai/v1",
        "https://api.a.b.ai",
        "https://api_a.b.ai",
        "https://api.a-b.ai:8/v1",
    )
    assert len({key_name(url) for url in addresses}) == len(addresses)
    assert key_name("https://API.Mistral.ai/v1") == "STUDIO_KEY_API_MISTRAL_AI"
    assert key_name("https://api.groq.com/openai/v1") == "GROQ_API_KEY"


def test_hosts_of_teachers_students_and_judges_are_listed_with_what_they_are_asked_for(home: Path):
    endpoints = {name: {"url": f"https://{name}.example.com/v1", "model": "m"} for name in ("teacher", "student", "judge")}
    spec = {"name": "rows", "questions": "q.txt", "recipes": [{"kind": "answers"}], **endpoints}
    job = folder.create(home, making.MakingSpec.model_validate(spec))
    assert keys.of_hosts(home) == [
        (f"{name}.example.com", f"{name} of {job.id}", "") for name in ("judge", "student", "teacher")
    ]


@pytest.mark.parametrize("host", ["", "sk-key with spaces", "file:///etc/passwd", "a.b:c"])
def test_what_is_no_host_is_refused(home: Path, host: str):
    with pytest.raises(SpecError, match="not the name of a host"):
        keys.save_for(host, KEY, home)


def test_a_teacher_that_wants_a_key_says_which_page_saves_it(home: Path):
    with loopback(kit.answer, key=KEY) as api, Client(Endpoint(url=api.url, model="m")) as client:
        with pytest.raises(Refused, match="refused with 401") as caught:
            client.answer(Request([{"role": "user", "content": "Who?"}], 16))
        assert "Settings page" in caught.value.hint
