"""A chat template is a program of others: one without an end is refused within seconds, and the ordinary cost nothing."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import template_limit
from tests.data.templates import OWN

CONVERSATION = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "CPU time"),
        ("{{ 'x' * 10000000000 }}", "memory"),
    ],
)
def test_a_template_without_an_end_is_refused(template: str, what: str) -> None:
    with pytest.raises(ModelError, match=what):
        template_limit.require_bounded(template, {"bos_token": "<s>"}, CONVERSATION)


@pytest.mark.slow
def test_a_template_that_counts_a_little_is_used() -> None:
    template_limit.require_bounded("{% for a in range(3) %}{{ a }}{% endfor %}", {}, CONVERSATION)


@pytest.mark.parametrize("name", OWN)
def test_an_ordinary_template_needs_no_process_of_its_own(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    template_limit.require_bounded(OWN[name], {}, CONVERSATION)
