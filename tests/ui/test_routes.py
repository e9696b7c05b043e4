"""The whole application, asked over HTTP: nothing is open that need not be."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import SpecError
from studio.tracking import secrets
from studio.ui import access, server
from studio.ui.session import COOKIE, Sessions

pytestmark = pytest.mark.slow  # the whole application is built

HOST = {"host": "127.0.0.1"}
CANARY = "hf_canaryCANARYcanary1234567890"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("served")
    before = os.environ.get("STUDIO_HOME")
    os.environ["STUDIO_HOME"] = str(home)
    secrets.keep("HF_TOKEN", CANARY)
    yield server.build(home, password="a long password"), home
    secrets.forget("HF_TOKEN")
    os.environ.pop("STUDIO_HOME") if before is None else os.environ.update(STUDIO_HOME=before)


def client(served: Any, signed_in: bool = False) -> Any:
    from starlette.testclient import TestClient

    application, home = served
    browser = TestClient(application.app, base_url="http://127.0.0.1:7860", follow_redirects=False)
    if signed_in:
        browser.cookies.set(COOKIE, Sessions(home / "ui" / "session.key").new())
    return browser


def paths(app: Any, prefix: str = "") -> set[str]:
    found = set()
    for route in getattr(app, "routes", []):
        path = prefix + getattr(route, "path", "")
        inner = getattr(route, "app", None)
        found |= paths(inner, path.rstrip("/")) if getattr(inner, "routes", None) else {path}
    return found


def test_no_route_answers_without_a_session(served: Any):
    browser = client(served)
    every = paths(served[0].inner)
    assert len(every) > 30
    for path in every:
        concrete = re.sub(r"\{[^}]+\}", "x", path) or "/"
        if concrete == "/sign-in" or concrete.startswith("/look"):
            continue
        for method in ("GET", "POST"):
            answer = browser.request(method, concrete)
            assert answer.status_code in (401, 403), (method, concrete, answer.status_code)


def test_no_event_runs_without_a_session(served: Any):
    inside = client(served, signed_in=True)
    config = inside.get("/config").json()
    browser = client(served)
    assert len(config["dependencies"]) > 20
    for event in config["dependencies"]:
        body = {"fn_index": event["id"], "data": [], "session_hash": "x"}
        for path in ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/api/predict"):
            assert browser.post(path, json=body).status_code == 401


def test_even_behind_the_gate_an_event_asks_who_runs_it():
    from studio.ui import frame

    class Nobody:
        username = None

    for wrap in (frame.shows, frame.opened, lambda work: frame.act(work, "run.start")):
        with pytest.raises(Exception, match="Sign in"):
            wrap(lambda *values: pytest.fail("it ran"))(Nobody())
    with pytest.raises(Exception, match="Sign in"):
        next(frame.stream(lambda *values: iter([pytest.fail("it ran")]))(Nobody()))


def test_every_event_that_does_something_is_wrapped(served: Any):
    config = client(served, signed_in=True).get("/config").json()
    assert all(event["api_visibility"] == "private" for event in config["dependencies"] if event["backend_fn"])


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/monitoring", "/gradio_api/openapi.json", "/gradio_api/mcp"]
)
def test_there_is_no_documentation_or_monitoring_to_browse(served: Any, path: str):
    answer = client(served, signed_in=True).get(path)
    assert answer.status_code in (404, 405) or "swagger" not in answer.text.lower()
    assert path not in ("/docs", "/redoc", "/openapi.json") or answer.status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%252e%252e/etc/passwd",
        "//etc/passwd",
        "http://127.0.0.1:1/",
        "SESSION",
        "SECRET",
    ],
)
def test_no_file_is_served_by_its_path(served: Any, path: str):
    home = served[1]
    path = path.replace("SESSION", str(home / "ui" / "session.key")).replace("SECRET", str(home / "secrets" / "HF_TOKEN"))
    for route in ("/gradio_api/file=", "/file=", "/gradio_api/proxy=", "/look/", "/static/", "/assets/", "/download/x/export/"):
        answer = client(served, signed_in=True).get(route + path)
        assert "root:" not in answer.text
        assert CANARY not in answer.text
        assert answer.status_code != 200 or "html" in answer.headers["content-type"]


@pytest.mark.parametrize("path", access.UNUSED)
def test_routes_of_gradio_that_no_page_asks_are_not_there(served: Any, path: str):
    browser = client(served, signed_in=True)
    for answer in (browser.post(f"{path}predict", json={"data": []}), browser.get(f"{path}x")):
        assert (answer.status_code, answer.text.strip()) == (404, "not found")


def test_a_key_is_never_in_what_a_page_is_given(served: Any):
    browser = client(served, signed_in=True)
    for path in ("/config", "/settings", "/", "/gradio_api/info"):
        assert CANARY not in browser.get(path).text


def test_pages_and_their_parts_answer_with_a_session(served: Any):
    browser = client(served, signed_in=True)
    for path in ("/", "/data", "/dataset", "/train", "/runs", "/run", "/compare", "/evidence", "/chat", "/export", "/settings"):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    config = browser.get("/config").json()
    assert not config.get("show_error")
    assert not config.get("run_history")
    assert "googleapis" not in json.dumps(config)


def test_an_opened_page_keeps_its_own_values_and_an_idle_server_looks_a_few_times_a_second(served: Any):
    pages = next(route.app for route in served[0].inner.routes if getattr(route.app, "state_holder", None))
    opened = pages.state_holder["a page"]
    assert opened.config_values == {}
    assert opened.blocks_config.fns == pages.get_blocks().default_config.fns
    assert pages.state_holder["a page"] is opened
    assert pages.get_blocks()._queue.sleep_when_free >= 0.01


def test_the_one_time_link_lets_in_once(served: Any):
    browser, token = client(served), served[0].link.token
    answer = browser.get(f"/sign-in?token={token}")
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 200
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client(served).get(f"/sign-in?token={token}").status_code == 403
    assert browser.get("/config").status_code == 200


def test_signing_out_takes_the_cookie_away(served: Any):
    answer = client(served, signed_in=True).post("/sign-out", headers={"origin": "http://127.0.0.1:7860"})
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]


def test_passwords_are_checked_and_guessing_is_slowed_down(served: Any):
    browser = client(served)
    assert browser.post("/sign-in", data={"password": "a long password"}).status_code == 200
    codes = [client(served).post("/sign-in", data={"password": f"guess {turn}"}).status_code for turn in range(7)]
    assert codes == [403] * 5 + [429, 429]  # five tries are free, as docs/web.md promises
    assert client(served).post("/sign-in", data={"password": "a long password"}).status_code == 429


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_an_open_address_without_a_password_is_refused(tmp_path: Path, host: str):
    with pytest.raises(SpecError, match="no password"):
        server.build(tmp_path, host)
    with pytest.raises(SpecError, match="shorter"):
        server.build(tmp_path, host, password="short")


def test_uploads_are_kept_where_only_the_owner_looks(served: Any):
    home = served[1]
    assert oct((home / "ui").stat().st_mode)[-3:] == "700"
    assert os.environ["GRADIO_TEMP_DIR"] == str(home / "ui" / "uploads")


def test_a_page_of_a_document_is_shown_by_our_own_names_only(served: Any, tmp_path: Path):
    from studio.app import documents
    from tests.documents.files import PdfPage, pdf

    _, home = served
    collection = documents.add_documents("Papers", pdf(tmp_path / "a.pdf", [PdfPage().write(["Words."])]), home=home).collection
    folder = collection.folder("a.pdf").name
    browser = client(served, signed_in=True)
    answer = browser.get(f"/documents/papers/{folder}/1.png")
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")
    for path in (f"/documents/papers/{folder}/2.png", "/documents/papers/x/1.png", f"/documents/x/{folder}/1.png"):
        assert browser.get(path).status_code == 404
    assert client(served).get(f"/documents/papers/{folder}/1.png").status_code in (302, 303, 307, 401, 403)
