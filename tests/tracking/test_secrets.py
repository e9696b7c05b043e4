"""Secrets come from the environment or the keyring, and stay out of texts."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from studio.tracking.secrets import get, keep, redact


def test_the_environment_comes_before_the_keyring(monkeypatch: pytest.MonkeyPatch):
    keyring = ModuleType("keyring")
    keyring.get_password = lambda service, name: f"{service}/{name}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setenv("WANDB_API_KEY", " from-env ")
    assert get("WANDB_API_KEY") == "from-env"
    monkeypatch.delenv("WANDB_API_KEY")
    assert get("WANDB_API_KEY") == "studio/WANDB_API_KEY"


def test_a_machine_without_a_keyring_has_no_secret_and_no_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert get("NO_SUCH_SECRET") is None
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert get("NO_SUCH_SECRET") is None


@pytest.mark.parametrize(
    "secret",
    [
        "hf_" + "aB3" * 11,
        "gsk_" + "aB3" * 11,
        "0123456789abcdef" * 2 + "01234567",
        "wandb_v1_" + "xY9_" * 10,
        "local-" + "ab" * 20,
        "sk-proj-" + "Ab1" * 12,
        "sk-ant-api03-" + "Ab1-" * 9 + "x",
        "ghp_" + "a1B2" * 9,
    ],
)
def test_what_looks_like_a_token_is_masked(secret: str):
    text = redact(f"GET /api with {secret}, refused")
    assert secret not in text
    assert text == "GET /api with [hidden], refused"


def test_named_secrets_are_masked_whatever_they_look_like():
    assert redact('api_key="hunter2-hunter2"') == 'api_key="[hidden]"'
    assert redact("Authorization: Bearer abcdefgh") == "Authorization: Bearer [hidden]"
    assert redact("WANDB_API_KEY=short-key") == "WANDB_API_KEY=[hidden]"


@pytest.mark.parametrize("name", ["HF_TOKEN", "TOGETHER_API_KEY", "VLLM_API_KEY"])
def test_a_secret_of_this_process_is_masked_in_any_shape(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "strange token")
    assert redact("it said: strange token!") == "it said: [hidden]!"


def test_ordinary_text_stays_as_it_is():
    text = "sha256 " + "ab" * 32 + " loss 0.123 tokens: 4096 at step 40, task-force skirt hf_hub"
    assert redact(text) == text


def test_without_a_keyring_a_secret_goes_to_a_file_only_its_owner_can_read(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = os.umask(0)
    try:
        assert keep("HF_TOKEN", "a secret") == "file"
    finally:
        os.umask(before)
    assert get("HF_TOKEN") == "a secret"
    files = [file for file in home.rglob("*") if file.is_file()]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
