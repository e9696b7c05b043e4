"""Which servers a web studio asks: what an owner allows, and never a metadata address where others reach the studio."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.benchmark import client
from studio.core import outbound
from studio.core.errors import SpecError
from studio.core.records import RecordError
from studio.remote.endpoint import Endpoint, access


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(outbound.VARIABLE, f"shared:{outbound.file_of(tmp_path)}")
    return tmp_path


METADATA = [
    "http://169.254.169.254/v1", "http://[fe80::1%25eth0]/v1", "http://[::ffff:169.254.169.254]/v1", "http://[fd00:ec2::254]/v1",
    "http://100.100.100.200/v1", "http://168.63.129.16/v1", "http://0.0.0.0:8000/v1", "http://[64:ff9b::a9fe:a9fe]/v1",
    "http://2852039166/v1", "http://0xa9fea9fe/v1", "http://0251.0376.0251.0376/v1",
]  # fmt: skip


@pytest.mark.parametrize("url", METADATA)
def test_link_local_and_metadata_addresses_are_refused_however_they_are_written(shared: Path, url: str) -> None:
    for ask in (lambda: access(Endpoint(url=url, model="m")), lambda: client.api(url, "m")):
        with pytest.raises(SpecError, match="link-local or metadata"):
            ask()


@pytest.mark.parametrize("url", ["http://good.example\\@169.254.169.254/v1", "http://a b/v1", "http://a\n.example/v1"])
def test_an_address_that_may_be_read_in_two_ways_is_refused(shared: Path, url: str) -> None:
    with pytest.raises(SpecError, match="expected the address"):
        outbound.require(url)


def test_this_machine_and_its_network_may_be_asked(shared: Path) -> None:
    for url in ("http://127.0.0.1:8000/v1", "http://localhost:11434/v1", "http://192.168.1.20:8000/v1", "http://10.0.0.3/v1"):
        outbound.require(url)


def test_a_list_of_hosts_allows_those_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(outbound.VARIABLE, f"local:{outbound.file_of(tmp_path)}")
    outbound.require("https://anything.example/v1")
    assert outbound.write(("https://API.openai.com/v1", "*.example.org", "api.openai.com"), tmp_path).allowed == (
        "api.openai.com", "*.example.org",
    )  # fmt: skip
    for url in (
        "https://api.openai.com/v1",
        "https://a.b.example.org",
        "http://127.0.0.1:1/v1",
        "https://api.openai.com.:443/",
    ):
        outbound.require(url)
    for url in ("https://openai.com/v1", "https://api.openai.com.evil.com", "https://example.org", "https://evilexample.org"):
        with pytest.raises(SpecError, match="not among the hosts"):
            outbound.require(url)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    with pytest.raises(SpecError, match=r"huggingface\.co is not among"):
        outbound.require_hub()


def test_a_command_of_the_machines_own_user_is_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(outbound.VARIABLE, raising=False)
    outbound.require("http://169.254.169.254/v1")


def test_a_damaged_list_refuses_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(outbound.VARIABLE, f"local:{outbound.file_of(tmp_path)}")
    outbound.file_of(tmp_path).parent.mkdir()
    outbound.file_of(tmp_path).write_text("[")
    with pytest.raises(RecordError, match="list of allowed hosts is damaged"):
        outbound.require("https://api.openai.com/v1")


def test_what_is_no_host_name_is_not_taken_into_the_list(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is not a host name"):
        outbound.write(("api_!.com",), tmp_path)


def test_no_connection_of_a_shared_studios_processes_reaches_a_metadata_address(tmp_path: Path) -> None:
    """Whatever library asks, and whatever a redirect or a name led to: watched where the connection is made."""
    code = (
        "import studio, socket, urllib.request\n"
        "for what in (lambda: socket.create_connection(('169.254.169.254', 80), 5),\n"
        "             lambda: urllib.request.urlopen('http://169.254.169.254/latest', timeout=5)):\n"
        "    try: what()\n"
        "    except OSError as problem: assert 'refused by Studio' in str(problem), problem\n"
        "    else: raise SystemExit('connected')\n"
        "server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname(), 5)\n"
    )
    environment = {"PATH": "/usr/bin", outbound.VARIABLE: f"shared:{outbound.file_of(tmp_path)}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def redirecting() -> Iterator[int]:
    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_redirect_to_another_host_is_not_followed(redirecting: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        outbound.open_url(urllib.request.Request(f"http://127.0.0.1:{redirecting}/"), 10)
    assert refused.value.code == 302
    refused.value.close()


def test_the_client_of_apis_follows_no_redirect(redirecting: int) -> None:
    from studio.remote.client import Client
    from studio.remote.refusals import Refused

    with Client(Endpoint(url=f"http://127.0.0.1:{redirecting}/v1", model="m"), patience=0) as remote:
        with pytest.raises(Refused) as refused:
            remote.complete([{"role": "user", "content": "hi"}], max_tokens=5)
        assert refused.value.status == 302


def test_the_rules_go_with_what_a_web_studio_starts() -> None:
    from studio.runs import environment

    assert environment.of_asker({outbound.VARIABLE: "shared:/x"}) == {outbound.VARIABLE: "shared:/x"}
