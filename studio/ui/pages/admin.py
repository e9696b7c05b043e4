"""Administration, for owners: accounts and roles, limits, the servers that may be asked, and the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import audit, hosts, quota, users
from studio.app.fragments import admin as show
from studio.app.fragments import parts
from studio.app.quota import Limits
from studio.core import people
from studio.core.errors import SpecError
from studio.core.people import Role
from studio.core.text import size
from studio.ui import frame

ROLES = [
    ("viewer: sees everything, changes nothing", Role.viewer.value),
    ("member: also adds data and runs, removes their own", Role.member.value),
    ("owner: also manages accounts, keys and what is others'", Role.owner.value),
]


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Settings", "Administration", "Who may use this studio, how much, and what they did.")
    closed = gr.HTML(elem_id="admin-closed", padding=False, visible=False)
    with gr.Column(elem_id="admin-body", elem_classes="page-body", visible=False) as body:
        with gr.Column(elem_classes="card"):
            gr.HTML(
                parts.section("Accounts", "With the first account, sign-in asks for a name and its password."), padding=False
            )
            listed = gr.HTML(elem_id="accounts", padding=False)
            with gr.Row(elem_classes="fields"):
                name = gr.Textbox(
                    label="Name", info="Small letters, digits, - and _.", elem_id="account-name", max_lines=1, interactive=True
                )
                role = gr.Dropdown(ROLES, value=Role.member.value, label="Role", elem_id="account-role", interactive=True)
                password = gr.Textbox(
                    label="Password", type="password", info="At least 8 characters; empty keeps the present one.",
                    elem_id="account-password", max_lines=1, interactive=True,
                )  # fmt: skip
            with gr.Row(elem_classes="actions"):
                save = gr.Button("Add or change", variant="primary", elem_id="account-save")
                remove = frame.confirmed("Remove", "Remove the account; its runs stay", "account-remove")
        with gr.Column(elem_classes="card"):
            gr.HTML(parts.section("Limits", "An empty field leaves the limit to Studio."), padding=False)
            in_force = gr.HTML(elem_id="limits", padding=False)
            with gr.Row(elem_classes="end"):
                uploads = gr.Textbox(
                    label="Uploads of a session, per day", placeholder="20 GiB", elem_id="limit-uploads", max_lines=1,
                    interactive=True, scale=2,
                )  # fmt: skip
                disk = gr.Textbox(
                    label="Disk quota", placeholder="500 GiB", elem_id="limit-disk", max_lines=1, interactive=True, scale=2
                )
                set_limits = gr.Button("Save", elem_id="limits-save", scale=1, min_width=110)
        with gr.Column(elem_classes="card"):
            gr.HTML(
                parts.section(
                    "Other servers",
                    "Addresses that people enter here are asked from this machine. Without a list every host may be asked; "
                    "where other machines reach this studio, link-local and metadata addresses never are.",
                ),
                padding=False,
            )
            asked = gr.HTML(elem_id="hosts", padding=False)
            allowed = gr.Textbox(
                label="Allowed hosts, one per line", placeholder="api.openai.com\n*.example.org", lines=3, max_lines=12,
                elem_id="hosts-allowed", interactive=True, info="This machine is always allowed. Empty: no list.",
            )  # fmt: skip
            set_hosts = gr.Button("Save", elem_id="hosts-save")
        with gr.Column(elem_classes="card"):
            gr.HTML(parts.section("Audit log", "Who did what, the newest first: studio audit shows all of it."), padding=False)
            log = gr.HTML(elem_id="audit", padding=False)

    def state() -> tuple[Any, ...]:
        limits = quota.read(home)
        return (
            show.accounts(users.listing(home)), show.limits(quota.bounds(home)), _size(limits.session_uploads),
            _size(limits.disk), show.hosts(hosts.in_use(home)), "\n".join(hosts.allowed(home)),
            show.audit(audit.read(home, 100)),
        )  # fmt: skip

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        if people.current().role is not Role.owner:
            return gr.update(value=show.owners_only(), visible=True), gr.update(visible=False), *[gr.skip()] * 7
        return gr.update(visible=False), gr.update(visible=True), *state()

    def saving(who: str, as_role: str, words: str) -> tuple[Any, ...]:
        who = (who or "").strip()
        if users.find(home, who) is None:
            users.add(home, who, Role(as_role), words or "")
        else:
            if words:
                users.set_password(home, who, words)
            users.set_role(home, who, Role(as_role))
        return "", "", *state()

    def removing(who: str) -> tuple[Any, ...]:
        users.remove(home, (who or "").strip())
        return "", "", *state()

    def limiting(session: str, whole: str) -> tuple[Any, ...]:
        quota.write(Limits(session_uploads=quota.parse_size(session or ""), disk=quota.parse_size(whole or "")), home)
        gr.Info("Saved.")
        return state()

    def allowing(lines: str) -> tuple[Any, ...]:
        if len(lines or "") > 10_000:
            raise SpecError("the list is too long", hint="Use *.example.org for the names below one.", where="hosts")
        hosts.allow(lines or "", home)
        gr.Info("Saved.")
        return state()

    shown = [listed, in_force, uploads, disk, asked, allowed, log]
    gr.on(None, frame.opened(opened), None, [closed, body, *shown], **frame.QUIET)
    save.click(frame.act(saving, "users.change", 0), [name, role, password], [name, password, *shown], **frame.ACTION)
    remove.click(frame.act(removing, "users.change", 0), [name], [name, password, *shown], **frame.ACTION)
    set_limits.click(frame.act(limiting, "limits.set"), [uploads, disk], shown, **frame.ACTION)
    set_hosts.click(frame.act(allowing, "hosts.set", 0), [allowed], shown, **frame.ACTION)


def _size(count: int | None) -> str:
    return size(count) if count else ""
