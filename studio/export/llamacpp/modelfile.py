"""An Ollama Modelfile whose template and stop words are those trained, or no template where that cannot be shown.

Ollama writes prompts by a Go template. Here one is derived by rendering marked messages with the trained template, and
kept only if, put together, it gives the trained text for several conversations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.errors import StudioError

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Frame:
    """What stands before and after each role's text, and before the answer."""

    before: dict[str, str]
    after: dict[str, str]
    opening: str

    def written(self, messages: Sequence[tuple[str, str]]) -> str:
        """The prompt of a conversation."""
        return "".join(self.before[role] + text + self.after[role] for role, text in messages) + self.opening

    def go(self) -> str:
        """As Ollama's template."""
        cases = [
            f'{"{{ if" if place == 0 else "{{ else if"} eq .Role "{role}" }}}}{self.before[role]}{{{{ .Content }}}}'
            f"{self.after[role]}"
            for place, role in enumerate(_ROLES)
        ]
        return f"{{{{ range .Messages }}}}{''.join(cases)}{{{{ end }}}}{{{{ end }}}}{self.opening}"


def write(file: str, tokenizer: Any, ends: Sequence[int], adds_bos: bool, adapter: str = "") -> str:
    """The Modelfile for the GGUF `file` beside it; with an adapter, which is beside it too, `file` is the base model's."""
    lines = [f"FROM ./{file}", *([f"ADAPTER ./{adapter}"] if adapter else [])]
    shape = frame(tokenizer, adds_bos)
    if shape:
        lines.append(f'TEMPLATE """{shape.go()}"""')
    else:
        lines.append("# No TEMPLATE: the trained one depends on more than the order of roles. Ollama looks for it in the file.")
    stops = [tokenizer.decode([token]) for token in ends]
    lines += [f'PARAMETER stop "{stop}"' for stop in dict.fromkeys(stops) if stop.strip() and '"' not in stop]
    return "\n".join(lines) + "\n"


def has_template(text: str) -> bool:
    """True if the Modelfile names a template."""
    return "\nTEMPLATE " in text


def frame(tokenizer: Any, adds_bos: bool) -> Frame | None:
    """The trained template taken apart by role, or None where that does not give the trained text back."""
    if not tokenizer.chat_template:
        return None
    try:
        found = _taken_apart(tokenizer, adds_bos)
        talks = (
            [("user", "Hi.")],
            [("system", "Be brief."), ("user", "Hi.")],
            [("user", "One?"), ("assistant", "Two."), ("user", "Three\n four?")],
            [("system", "Be brief."), ("user", "One?"), ("assistant", "Two."), ("user", "Three?")],
        )
        same = all(found.written(talk) == _prompt(tokenizer, talk, adds_bos) for talk in talks)
    except (StudioError, ValueError):
        return None
    plain = all(mark not in found.go().replace("{{ ", "").replace(" }}", "") for mark in ("{{", "}}", '"""'))
    return found if same and plain else None


def _taken_apart(tokenizer: Any, adds_bos: bool) -> Frame:
    system, user, answer, more = "\x02system\x03", "\x02user\x03", "\x02answer\x03", "\x02more\x03"
    whole = _prompt(tokenizer, [("system", system), ("user", user), ("assistant", answer), ("user", more)], adds_bos)
    before_system, rest = whole.split(system)
    system_to_user, rest = rest.split(user)
    user_to_answer, rest = rest.split(answer)
    answer_to_more, opening = rest.split(more)
    alone = _prompt(tokenizer, [("user", user)], adds_bos).split(user)[0]
    if not system_to_user.endswith(alone) or not answer_to_more.endswith(alone):
        raise ValueError("a user's turn begins differently after others")
    # what follows a user's text is its end and then either role's beginning: the common part is the end
    end = _common(opening, user_to_answer)
    for size in range(len(end), -1, -1):
        shape = Frame(
            {"system": before_system, "user": alone, "assistant": user_to_answer[size:]},
            {
                "system": system_to_user.removesuffix(alone),
                "user": opening[:size],
                "assistant": answer_to_more.removesuffix(alone),
            },
            opening[size:],
        )
        if shape.opening == shape.before["assistant"] and (size == 0 or shape.after["user"].endswith(shape.after["system"])):
            return shape
    raise ValueError("turns have no end of their own")


def _common(one: str, other: str) -> str:
    length = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _prompt(tokenizer: Any, messages: Sequence[tuple[str, str]], adds_bos: bool) -> str:
    from studio.models.chat import render

    text = render(tokenizer, [{"role": role, "content": content} for role, content in messages], prompt=True).text
    return text.removeprefix(str(tokenizer.bos_token)) if adds_bos and tokenizer.bos_token else text
