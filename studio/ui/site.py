"""The pages of the studio, each in a file of its own, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.ui.pages import (
    admin,
    bench,
    cascade,
    chat,
    compare,
    comparison,
    data,
    dataset,
    desk,
    disk,
    documents,
    evidence,
    export,
    feedback,
    indexes,
    make,
    rate,
    run,
    runs,
    serve,
    settings,
    train,
)
from studio.ui.pages import home as home_page

PAGES = (
    ("Data", "/data", data.build),
    ("Dataset", "/dataset", dataset.build),
    ("Desk", "/desk", desk.build),
    ("Documents", "/documents", documents.build),
    ("Indexes", "/indexes", indexes.build),
    ("Make data", "/make", make.build),
    ("Train", "/train", train.build),
    ("Runs", "/runs", runs.build),
    ("Run", "/run", run.build),
    ("Compare", "/compare", compare.build),
    ("Evidence", "/evidence", evidence.build),
    ("Compare answers", "/comparison", comparison.build),
    ("Rate", "/rate", rate.build),
    ("Feedback", "/feedback", feedback.build),
    ("Chat", "/chat", chat.build),
    ("Export", "/export", export.build),
    ("Serve", "/serve", serve.build),
    ("Cascade", "/cascade", cascade.build),
    ("Bench", "/bench", bench.build),
    ("Settings", "/settings", settings.build),
    ("Disk space", "/disk", disk.build),
    ("Administration", "/admin", admin.build),
)
"""Pages beside the first one: name, path, and what builds it."""


def build(home: Path) -> Any:
    """All pages as one Gradio application."""
    import gradio as gr

    with gr.Blocks(title="Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 6 * 3600)) as site:
        home_page.build(home)
    for name, path, page in PAGES:
        with site.route(name, path):
            page(home)
    return site
