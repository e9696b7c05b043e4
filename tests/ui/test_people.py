"""Accounts in a real browser, through a real reverse proxy: signing in by name, a viewer's refusals, an owner's pages."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import audit, quota, users
from studio.core.people import Role
from studio.ui.session import COOKIE
from tests.ui.conftest import CHROMIUM, Studio

PASSWORD = "a long password"
NAME = "studio.test"


def reverse_proxy(port: int) -> int:
    """A proxy in front of 127.0.0.1:port that rewrites the host, as many do, and says so; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            head = b""
            while b"\r\n\r\n" not in head:
                part = client.recv(65536)
                if not part:
                    return
                head += part
            head, rest = head.split(b"\r\n\r\n", 1)
            host = re.search(rb"(?i)\r\nhost: ([^\r]*)", head)
            head = re.sub(rb"(?i)\r\n(host|connection): [^\r]*", b"", head)
            head += b"\r\nhost: 127.0.0.1:%d\r\nconnection: close" % port
            head += b"\r\nx-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: http\r\nx-forwarded-host: " + (
                host[1] if host else b""
            )
            server.sendall(head + b"\r\n\r\n" + rest)
            threading.Thread(target=copy, args=(client, server), daemon=True).start()
            copy(server, client)

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                target.sendall(part)
        except OSError:
            pass

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


@pytest.fixture(scope="module")
def shared_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with accounts that is reached through the proxy alone, under another name."""
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no chromium: apt-get install chromium")
    home = tmp_path_factory.mktemp("people")
    for role in (Role.owner, Role.viewer):
        users.add(home, f"ann-{role}", role, PASSWORD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Studio(home, port, options=("--proxy", "127.0.0.1", "--name", NAME))
    running.start()
    yield running
    running.kill()


@pytest.mark.browser
@pytest.mark.slow
def test_people_sign_in_by_name_through_a_proxy_and_do_what_their_role_allows(
    shared_studio: Studio, browser_type: Any, browser_type_launch_args: dict[str, Any]
) -> None:
    home, port = shared_studio.home, reverse_proxy(shared_studio.port)
    quota.write(quota.Limits(), home)
    flags = [*browser_type_launch_args["args"], f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    browser = browser_type.launch(**{**browser_type_launch_args, "args": flags})
    shots = os.environ.get("STUDIO_SHOTS")

    def signed_in(name: str, width: int = 1440, scheme: str = "light") -> Any:
        context = browser.new_context(
            base_url=f"http://{NAME}:{port}", viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        context.set_default_timeout(240_000)
        page = context.new_page()
        page.goto("/runs")
        if shots:
            page.screenshot(path=f"{shots}/sign-in-{width}-{scheme}.png", full_page=True)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#steps li").first).to_be_visible()
        assert any(item["name"] == COOKIE and item["sameSite"] == "Strict" for item in context.cookies())
        return page

    viewer = signed_in("ann-viewer", 390, "dark")
    viewer.goto("/admin")
    expect(viewer.locator("#admin-closed")).to_contain_text("Only owners see this page")
    expect(viewer.locator("#account-save")).to_be_hidden()
    viewer.goto("/settings")
    expect(viewer.locator("#you")).to_contain_text("Signed in as ann-viewer, viewer")
    viewer.locator("#HF_TOKEN-field input").fill("hf_0123456789abcdefghij")
    viewer.locator("#HF_TOKEN-save").click()
    expect(viewer.locator(".toast-body").first).to_contain_text("does not allow this")
    if shots:
        viewer.screenshot(path=f"{shots}/viewer-refused.png")
    viewer.goto("/data")
    viewer.locator("#upload input[type=file]").set_input_files(
        {"name": "a.csv", "mimeType": "text/csv", "buffer": b"q,a\n1,2\n"}
    )
    expect(viewer.locator(".toast-body").first).to_contain_text("does not allow")
    if shots:
        viewer.screenshot(path=f"{shots}/viewer-upload.png")

    owner = signed_in("ann-owner")
    owner.goto("/admin")
    expect(owner.locator("#accounts table")).to_contain_text("ann-viewer")
    expect(owner.locator("#audit table")).to_contain_text("keys.save")
    expect(owner.locator("#audit table")).to_contain_text("203.0.113.7")
    owner.locator("#account-name input").fill("bob")
    owner.locator("#account-password input").fill(PASSWORD)
    owner.locator("#account-save").click()
    expect(owner.locator("#accounts table")).to_contain_text("bob")
    owner.locator("#hosts-allowed textarea").fill("api.openai.com\n*.example.org")
    owner.locator("#hosts-save").click()
    expect(owner.locator("#hosts table .badge.bad").first).to_be_visible()
    owner.locator("#limit-uploads input").fill("1 MiB")
    owner.locator("#limits-save").click()
    expect(owner.locator("#limits")).to_contain_text("1.0 MiB")
    if shots:
        owner.screenshot(path=f"{shots}/admin-1440-light.png", full_page=True)
    assert owner.evaluate("document.documentElement.scrollWidth <= innerWidth")
    owner.goto("/data")
    owner.locator("#upload input[type=file]").set_input_files(
        {"name": "big.csv", "mimeType": "text/csv", "buffer": b"q,a\n" + b"x" * (2 << 20)}
    )
    expect(owner.locator(".toast-body").first).to_contain_text("may upload 1.0 MiB a day")
    owner.goto("/bench")
    owner.get_by_text("Compare with an API").click()
    owner.locator("#url input, #url textarea").first.fill("http://169.254.169.254/v1")
    owner.locator("#model input, #model textarea").first.fill("m")
    owner.locator("#measure").click()
    expect(owner.locator(".toast-body").first).to_contain_text("not among the hosts")

    phone = signed_in("ann-owner", 390, "dark")
    phone.goto("/admin")
    expect(phone.locator("#audit table")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if shots:
        phone.screenshot(path=f"{shots}/admin-390-dark.png", full_page=True)
    phone.goto("/disk")
    expect(phone.locator("#disk-use")).to_contain_text("of the quota of")
    if shots:
        phone.screenshot(path=f"{shots}/disk-390-dark.png", full_page=True)
    phone.goto("/settings")
    phone.get_by_role("button", name="Sign out", exact=True).click()
    expect(phone.get_by_text("You are signed out.")).to_be_visible()
    phone.goto("/runs")
    expect(phone.get_by_label("Password")).to_be_visible()
    browser.close()
    noted = [(entry.who, entry.action, entry.outcome) for entry in audit.read(home, 100)]
    assert ("ann-viewer", "keys.save", "refused") in noted
    assert ("ann-viewer", "data.upload", "refused") in noted
    assert ("ann-owner", "users.change", "done") in noted
    assert ("ann-owner", "bench.start", "refused") in noted
