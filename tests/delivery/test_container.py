"""Dockerfile, compose file and dev container: valid, and true of the files they name. No image is built here."""

from __future__ import annotations

import fnmatch
import importlib.resources
import json
import re
from typing import Any

import pytest
import yaml

from studio.cli import main
from tests.delivery.conftest import ROOT


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    """The one service of the compose file."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["studio"]


def test_every_file_that_is_copied_into_the_image_exists_and_is_not_ignored(instructions: list[tuple[str, str]]) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [name for verb, rest in instructions if verb == "COPY" and "--from" not in rest for name in rest.split()[:-1]]
    assert len(sources) >= 7
    for name in sources:
        assert (ROOT / name).exists(), name
        assert any(fnmatch.fnmatch(name, pattern) for pattern in allowed), name


def test_the_image_follows_the_rules_a_linter_checks(instructions: list[tuple[str, str]]) -> None:
    verbs = [verb for verb, _ in instructions]
    assert set(verbs) <= {"FROM", "WORKDIR", "ENV", "RUN", "COPY", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD"}
    images = [rest for verb, rest in instructions if verb == "FROM"]
    assert all(re.match(r"[\w./-]+:\d", image) for image in images), "a base image has a version"
    assert [rest for verb, rest in instructions if verb == "USER"][-1] != "root"
    assert verbs.count("ENTRYPOINT") == verbs.count("CMD") == 1
    for verb, rest in instructions:
        if verb in ("ENTRYPOINT", "CMD", "VOLUME"):
            assert json.loads(rest)
        if verb == "RUN" and "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists" in rest
        if verb == "RUN" and "pip install" in rest:
            assert "--constraint constraints.txt" in rest
        if verb == "WORKDIR":
            assert rest.startswith("/")


def test_the_image_has_a_python_the_package_supports(instructions: list[tuple[str, str]]) -> None:
    for image in (rest for verb, rest in instructions if verb == "FROM"):
        version = image.partition(":")[2].partition("-")[0]
        assert f"Programming Language :: Python :: {version}" in (ROOT / "pyproject.toml").read_text()


def test_the_compose_file_is_valid_by_the_specification_s_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    file = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(file.read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert list(validator.iter_errors(yaml.safe_load((ROOT / "compose.yaml").read_text()))) == []


def test_the_service_starts_a_command_that_exists_with_options_it_has(service: dict[str, Any]) -> None:
    from typer.main import get_command

    verb, *words = service["command"]
    command: Any = getattr(get_command(main.app), "commands")[verb]  # noqa: B009 - typer's type does not say so
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_service_is_closed_to_other_machines_and_asks_for_a_password(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "--auth" in service["command"]
    assert service["environment"]["STUDIO_PASSWORD"].startswith("${STUDIO_PASSWORD:?")
    assert service["cap_drop"] == ["ALL"]


def test_the_dev_container_is_json_with_comments_and_uses_make_dev() -> None:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    values = json.loads(re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE))
    assert "make dev" in values["postCreateCommand"]
    assert values["forwardPorts"] == [7860, 8000]


def test_the_security_policy_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_only_what_needs_no_model_hub_is_told_to_stay_offline():
    """`make app` may download models: were it offline, every run it starts would be, too."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    offline = [line for line in lines if "HF_HUB_OFFLINE" in line]
    assert len(offline) == 1
    targets = offline[0].partition(":")[0].split()
    assert "demo" in targets
    assert "test" in targets
    assert "app" not in targets
