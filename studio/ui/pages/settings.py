"""Settings: keys of other services, kept where only you can read them; and signing out."""

from __future__ import annotations

from pathlib import Path

from studio.tracking import secrets
from studio.ui import frame
from studio.ui.fragments import parts

KEYS = (
    ("WANDB_API_KEY", "Weights & Biases key", "Sends each run's curves to your account there. Without it they stay here.", 20),
    ("HF_TOKEN", "Hugging Face token", "Downloads models that ask you to accept a licence first.", 8),
)
PLACES = {"environment": "set in the environment", "keyring": "kept in the system keyring", "file": "kept in a private file"}


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Settings", "Settings", "Keys are kept on this machine and never shown again, nor written into a run.")
    for name, label, why, shortest in KEYS:
        _key(name, label, why, shortest)
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("Sessions", "A session lasts seven days in this browser.")
            + '<div class="links" style="margin-top:12px"><form method="post" action="/sign-out">'
            '<button class="link-button plain" type="submit">Sign out</button></form>'
            '<form method="post" action="/sign-out-everywhere"><button class="link-button plain" type="submit">'
            "Sign out everywhere</button></form></div>",
            padding=False,
        )


def _key(name: str, label: str, why: str, shortest: int) -> None:
    import gradio as gr

    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section(label, why), padding=False)
        state = gr.HTML(elem_id=f"{name}-state", padding=False)
        with gr.Row(elem_classes="end"):
            field = gr.Textbox(
                label=f"New {label}", type="password", elem_id=f"{name}-field", max_lines=1, scale=4, interactive=True
            )
            keep = gr.Button("Keep", variant="primary", elem_id=f"{name}-keep", scale=1, min_width=110)
            forget = gr.Button("Forget", elem_id=f"{name}-forget", scale=1, min_width=110)

    def told(query: dict[str, str] | None = None) -> str:
        place = secrets.source(name)
        return f"<p>{parts.badge(PLACES[place], 'good') if place else parts.badge('not set')}</p>"

    def keeping(value: str) -> tuple[str, str]:
        value = (value or "").strip()
        if len(value) < shortest or not value.isprintable() or " " in value:
            raise gr.Error("That does not look like a whole key. Copy it again.", print_exception=False)
        secrets.keep(name, value)
        return "", told()

    def forgetting() -> str:
        secrets.forget(name)
        return told()

    keep.click(frame.act(keeping), [field], [field, state], **frame.ACTION)
    forget.click(frame.act(forgetting), None, [state], **frame.ACTION)
    gr.on(None, frame.opened(told), None, [state], **frame.QUIET)
