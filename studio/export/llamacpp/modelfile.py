"""An Ollama Modelfile with the template, system prompt and stop words that were trained, as far as that can be shown.

Ollama writes prompts by a Go template. Here one is derived by rendering marked messages with the trained template, and
kept only if, put together, it gives the trained text for several conversations. A template that puts in a system prompt of
its own where a conversation has none is taken apart with a system turn; its default becomes the Modelfile's `SYSTEM`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError
from studio.tracking.secrets import redact

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROLES = ("system", "user", "assistant")
_TURNS = (
    (("user", "Hi."),),
    (("system", "Be brief."), ("user", "Hi.")),
    (("user", "One?"), ("assistant", "Two."), ("user", "Three\n four?")),
    (("system", "Be brief."), ("user", "One?"), ("assistant", "Two."), ("user", "Three?")),
)
"""Conversations that a template taken apart must write as the trained one does."""
NO_TEMPLATE = (
    "# No TEMPLATE: the trained one depends on more than the order of roles. Ollama takes one of its own that looks alike,\n"
    "# so its prompts are not those that were verified."
)


@dataclass(frozen=True)
class Frame:
    """What stands before and after each role's text, and before the answer. system: what the template puts in by itself
    where a conversation has no system turn."""

    before: dict[str, str]
    after: dict[str, str]
    opening: str
    system: str = ""

    def written(self, messages: Sequence[tuple[str, str]]) -> str:
        """The prompt of a conversation."""
        if self.system and messages[0][0] != "system":
            messages = [("system", self.system), *messages]
        return "".join(self.before[role] + text + self.after[role] for role, text in messages) + self.opening

    def go(self) -> str:
        """As Ollama's template."""
        cases = [
            f'{"{{ if" if index == 0 else "{{ else if"} eq .Role "{role}" }}}}{self.before[role]}{{{{ .Content }}}}'
            f"{self.after[role]}"
            for index, role in enumerate(_ROLES)
        ]
        return f"{{{{ range .Messages }}}}{''.join(cases)}{{{{ end }}}}{{{{ end }}}}{self.opening}"


def write(file: str, tokenizer: Any, stops: Sequence[int], adds_bos: bool, system: str = "", adapter: str = "") -> str:
    """The Modelfile for the GGUF `file` beside it; with an adapter, which is beside it too, `file` is the base model's.

    system: the prompt the run was trained with, which goes before the template's own. Answers are greedy, as verified.
    """
    lines = [f"FROM ./{file}", *([f"ADAPTER ./{adapter}"] if adapter else [])]
    taken_apart = frame(tokenizer, adds_bos)
    lines.append(f'TEMPLATE """{taken_apart.go()}"""' if taken_apart else NO_TEMPLATE)
    system = system or (taken_apart.system if taken_apart else "")
    if system and ('"""' in system or redact(system) != system):
        lines.append("# No SYSTEM: the trained system prompt holds a secret or three quotes. Send it with each request.")
    elif system:
        lines.append(f'SYSTEM """{system}"""')
    words = [tokenizer.decode([token]) for token in stops]
    lines += [f'PARAMETER stop "{stop}"' for stop in dict.fromkeys(words) if stop.strip() and '"' not in stop]
    lines.append("PARAMETER temperature 0")
    return "\n".join(lines) + "\n"


def has_template(text: str) -> bool:
    """True if the Modelfile names a template."""
    return "\nTEMPLATE " in text


def frame(tokenizer: PreTrainedTokenizerBase, adds_bos: bool) -> Frame | None:
    """The trained template taken apart by role, or None where that does not give the trained text back."""
    if not tokenizer.chat_template:
        return None
    try:
        taken_apart = _taken_apart(tokenizer, adds_bos)
        same = all(taken_apart.written(turns) == _prompt(tokenizer, turns, adds_bos) for turns in _TURNS)
    except (StudioError, ValueError):
        return None
    plain = all(mark not in taken_apart.go().replace("{{ ", "").replace(" }}", "") for mark in ("{{", "}}", '"""'))
    return taken_apart if same and plain else None


def _taken_apart(tokenizer: PreTrainedTokenizerBase, adds_bos: bool) -> Frame:
    system, user, answer, more = "\x02system\x03", "\x02user\x03", "\x02answer\x03", "\x02more\x03"
    whole = _prompt(tokenizer, [("system", system), ("user", user), ("assistant", answer), ("user", more)], adds_bos)
    before_system, rest = whole.split(system)
    system_to_user, rest = rest.split(user)
    user_to_answer, rest = rest.split(answer)
    answer_to_more, opening = rest.split(more)
    alone = _prompt(tokenizer, [("user", user)], adds_bos).split(user)[0]
    default = ""
    if not system_to_user.endswith(alone):  # it puts in a system turn of its own
        if not alone.startswith(before_system) or not alone.endswith(system_to_user):
            raise ValueError("a user's turn begins differently after a system prompt")
        default = alone[len(before_system) : len(alone) - len(system_to_user)]
    # what follows a user's text is its end and then either role's beginning: the common part is the end
    end = _common(opening, user_to_answer)
    begins = [alone]
    if default:  # roles begin alike: of the ways to cut, the one whose user turn begins most as the system turn does
        cuts = [system_to_user[cut:] for cut in range(1, len(system_to_user))]
        begins = sorted(cuts, key=lambda begin: -len(_common(begin, before_system)))
    for begin in begins:
        after_system = system_to_user.removesuffix(begin)
        for size in range(len(end), -1, -1):
            after_user = opening[:size]
            alike = answer_to_more.endswith(begin) and opening[size:] == user_to_answer[size:]
            if alike and (size == 0 or after_user.endswith(after_system)):
                return Frame(
                    {"system": before_system, "user": begin, "assistant": user_to_answer[size:]},
                    {"system": after_system, "user": after_user, "assistant": answer_to_more.removesuffix(begin)},
                    opening[size:],
                    default,
                )
    raise ValueError("turns have no end of their own")


def _common(one: str, other: str) -> str:
    length = next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]], adds_bos: bool) -> str:
    from studio.models.chat import render

    text = render(tokenizer, [{"role": role, "content": content} for role, content in messages], prompt=True).text
    return text.removeprefix(str(tokenizer.bos_token)) if adds_bos and tokenizer.bos_token else text
