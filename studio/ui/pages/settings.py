"""Settings: keys of other services, kept where only you can read them; and signing out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import keys
from studio.app.fragments import parts
from studio.core import people
from studio.core.html import Fragments
from studio.ui import frame

_html = Fragments("studio.ui", "settings.html")

KEYS = (
    (
        "WANDB_API_KEY",
        "Weights & Biases key",
        "Sends each run's metrics to your account. Without a key they stay on this machine.",
        20,
    ),
    ("HF_TOKEN", "Hugging Face token", "Downloads models whose licence must be accepted first.", 8),
    ("OPENROUTER_API_KEY", "OpenRouter key", "For teachers, judges and benchmarks; sent to openrouter.ai only.", 20),
    ("GROQ_API_KEY", "Groq key", "For teachers, judges and benchmarks; sent to api.groq.com only.", 20),
    ("TOGETHER_API_KEY", "Together key", "For teachers, judges and benchmarks; sent to api.together.ai only.", 20),
    ("OPENAI_API_KEY", "OpenAI key", "For teachers, judges and benchmarks; sent to api.openai.com only.", 20),
)


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Settings", "Settings", "Keys are stored on this machine, never shown again, and never written into a run.")
    for name, label, why, shortest in KEYS:
        _key(name, label, why, shortest)
    _other(home)
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("This studio", "Disk space by kind; accounts, limits, other servers and the audit log."),
            padding=False,
        )
        links = [("Disk space", "/disk", False), ("Administration", "/admin", False)]
        gr.HTML(parts.links(links), padding=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("Sessions", "A session lasts seven days in this browser."), padding=False)
        you = gr.HTML(elem_id="you", padding=False)
        gr.HTML(_html("sessions"), padding=False)

    def signed_in(query: dict[str, str]) -> Any:
        person = people.current()
        return parts.note(f"Signed in as {person.name or 'the owner'}{f', {person.role}' if person.name else ''}.")

    gr.on(None, frame.opened(signed_in), None, [you], **frame.QUIET)


def _key(name: str, label: str, why: str, shortest: int) -> None:
    import gradio as gr

    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section(label, why), padding=False)
        state = gr.HTML(elem_id=f"{name}-state", padding=False)
        with gr.Row(elem_classes="end"):
            field = gr.Textbox(
                label=f"New {label}", type="password", elem_id=f"{name}-field", max_lines=1, scale=4, interactive=True
            )
            save = gr.Button("Save", variant="primary", elem_id=f"{name}-save", scale=1, min_width=110)
            remove = gr.Button("Remove", elem_id=f"{name}-remove", scale=1, min_width=110)

    def stored(query: dict[str, str] | None = None) -> str:
        source = keys.source(name)
        return parts.note(parts.badge(keys.SOURCES[source], "good") if source else parts.badge("not set"))

    def saving(value: str) -> tuple[str, str]:
        keys.save(name, _checked(value, shortest))
        return "", stored()

    def removing() -> str:
        keys.remove(name)
        return stored()

    save.click(frame.act(saving, "keys.save", name=name), [field], [field, state], **frame.ACTION)
    remove.click(frame.act(removing, "keys.remove", name=name), None, [state], **frame.ACTION)
    gr.on(None, frame.opened(stored), None, [state], **frame.QUIET)


def _other(home: Path) -> None:
    """The key of any other API."""
    import gradio as gr

    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section(
                "Keys of other APIs", "For any other teacher, judge or large model; each key is sent to its own host only."
            ),
            padding=False,
        )
        state = gr.HTML(elem_id="other-keys-state", padding=False)
        with gr.Row(elem_classes="fields"):
            host = gr.Dropdown(
                [], label="API host", elem_id="other-keys-host", allow_custom_value=True, interactive=True,
                info="Its name or its API's address, with the port if there is one.",
            )  # fmt: skip
            field = gr.Textbox(label="Key", type="password", elem_id="other-keys-field", max_lines=1, interactive=True)
        with gr.Row(elem_classes="actions"):
            save = gr.Button("Save", variant="primary", elem_id="other-keys-save")
            remove = gr.Button("Remove", elem_id="other-keys-remove")

    def shown() -> Any:
        known = keys.of_hosts(home)
        if not known:
            return parts.note("No other API is in use yet.")
        rows = [
            (name, purpose or "–", parts.badge(keys.SOURCES[source], "good") if source else parts.badge("not set"))
            for name, purpose, source in known
        ]
        return parts.table(("Host", "Used as", "Key"), rows, "Hosts and their keys", narrow=True)

    def opened(query: dict[str, str]) -> tuple[Any, Any]:
        wanted = query.get("host") or None
        return shown(), gr.update(choices=[name for name, *_ in keys.of_hosts(home)], value=wanted)

    def saving(name: str | None, value: str) -> tuple[str, Any]:
        keys.save_for(name or "", _checked(value, 4), home)
        return "", shown()

    def removing(name: str | None) -> Any:
        keys.remove_for(name or "", home)
        return shown()

    save.click(frame.act(saving, "keys.save", 0), [host, field], [field, state], **frame.ACTION)
    remove.click(frame.act(removing, "keys.remove", 0), [host], [state], **frame.ACTION)
    gr.on(None, frame.opened(opened), None, [state, host], **frame.QUIET)


def _checked(value: str | None, shortest: int) -> str:
    import gradio as gr

    value = (value or "").strip()
    if len(value) < shortest or not value.isprintable() or " " in value:
        raise gr.Error("This does not look like a complete key. Copy it again.", print_exception=False)
    return value
