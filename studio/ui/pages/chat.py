"""Chat: one message to base and tuned side by side, streamed, through the template that was trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.app import feedback, indexes, library, runs
from studio.app.chat_host import ChatHost, Sampling
from studio.app.fragments import chat as show
from studio.app.fragments import parts
from studio.core.errors import JobError
from studio.core.messages import ChatMessage, chat_message
from studio.ui import feedback_controls, frame

LONGEST = 8000
"""Characters of a message."""


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    host = ChatHost(home)
    frame.top("Chat", "Chat", "Ask base and tuned the same question. The model is unloaded after five idle minutes.")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, elem_classes="card"):
            sides = gr.HTML(show.sides([], [], True), elem_id="talk", padding=False)
            with gr.Row(elem_classes="end"):
                message = gr.Textbox(
                    label="Message", lines=1, max_lines=6, elem_id="message", scale=5, max_length=LONGEST, interactive=True
                )
                send = gr.Button("Send", variant="primary", elem_id="send", scale=1)
            clear = gr.Button("New conversation", elem_id="clear")
            collects, turn = feedback_controls.switch(home)
        with gr.Column(scale=1, min_width=260, elem_classes="card"):
            run = gr.Dropdown([("starter", "model:starter")], label="Run or model", elem_id="run", interactive=True)
            index = gr.Dropdown(
                [("none", "")], value="", label="Answer from", info="An index of documents; answers then cite their sources.",
                elem_id="index", interactive=True,
            )  # fmt: skip
            system = gr.Textbox(
                label="System prompt", info="Initially the one used in training.", lines=3, max_lines=8, elem_id="system",
                interactive=True,
            )  # fmt: skip
            temperature = gr.Slider(
                0,
                2,
                value=0,
                step=0.05,
                label="Temperature",
                info="0 gives the most likely answer.",
                elem_id="temperature",
                interactive=True,
            )
            top_p = gr.Slider(
                0.05,
                1,
                value=1,
                step=0.05,
                label="Top p",
                info="Samples among the likeliest tokens that together reach this share.",
                elem_id="top-p",
                interactive=True,
            )
            longest = gr.Slider(
                16, 1024, value=256, step=16, label="Maximum answer length (tokens)", elem_id="longest", interactive=True
            )
    talk = gr.State({"base": [], "tuned": []})
    asked = gr.State(dict[str, Any]())
    command = feedback_controls.channel()

    def opened(query: dict[str, str]) -> Any:
        done = [item for item in runs.list_runs(home) if (item.folder.adapter / "adapter_config.json").exists()]
        listed = [(f"{item.title} · {item.id}", f"run:{item.id}") for item in done]
        listed += [
            ("starter, as shipped", "model:starter"),
            *((path.name, f"model:{path}") for path in library.models(home)),
        ]
        wanted, values = f"run:{query.get('id', '')}", {value for _, value in listed}
        if query.get("id") and wanted not in values:
            gr.Warning("No run of this id has a trained adapter. Choose another.")
        chosen = wanted if wanted in values else listed[0][1]
        there = [("none", ""), *((item.record.name, item.record.name) for item in indexes.indexes(home))]
        switch = feedback_controls.state(home)
        return gr.update(choices=listed, value=chosen), trained_system(chosen), gr.update(choices=there, value=""), *switch

    def trained_system(value: str) -> str:
        """The system prompt a run was trained with; the person may change or empty it."""
        kind, _, name = (value or "").partition(":")
        run = next((item for item in runs.list_runs(home) if kind == "run" and item.id == name), None)
        return (run.spec.data.system or "") if run else ""

    def known(value: str) -> tuple[str, bool]:
        kind, _, name = (value or "").partition(":")
        if kind == "run" and name in {item.id for item in runs.list_runs(home)}:
            return name, True
        if kind == "model" and name in {"starter", *(str(path) for path in library.models(home))}:
            return name, False
        raise JobError("choose a run or a model", hint="Choose one from the list.", where="Run or model")

    def asking(
        value: str,
        words: str,
        prompt: str,
        heat: float,
        top: float,
        most: int,
        source: str,
        before: dict[str, list[ChatMessage]],
        was: dict[str, Any],
    ) -> Iterator[tuple[Any, ...]]:
        if not (words or "").strip():
            raise JobError("the message is empty", hint="Write something to ask.", where="Message")
        name, is_run = known(value)
        question = chat_message("user", words[:LONGEST])
        talks = {side: [*turns, question] for side, turns in before.items()}
        first = [chat_message("system", prompt.strip())] if (prompt or "").strip() else []
        source = indexes.find(source, home).record.name if source else ""
        cited: list[Any] = []
        sampling = Sampling(temperature=float(heat), top_p=float(top), max_tokens=int(most))
        yield (
            show.sides(talks["base"], talks["tuned"], is_run, waiting="" if host.loaded == name else "Loading the model …"),
            "",
            before,
            gr.skip(),
        )
        for side, tuned in (("base", False), ("tuned", True)) if is_run else (("base", False),):
            said = ""
            for piece in host.ask(name, is_run, [*first, *talks[side]], tuned, sampling, source):
                said += piece
                shown = {**talks, side: [*talks[side], chat_message("assistant", said)]}
                yield show.sides(shown["base"], shown["tuned"], is_run), "", before, gr.skip()
            if source:
                cited.append(show.citations(side if is_run else "", host.citations))
            talks[side] = [*talks[side], chat_message("assistant", said)]
        now = {
            "model": name, "is_run": is_run, "first": first, "index": source, "cited": parts.joined(*cited),
            "said": was["said"] if was and before["base"] else {},
        }  # fmt: skip
        yield rated(talks, now), "", talks, now

    def rated(talks: dict[str, list[ChatMessage]], was: dict[str, Any]) -> Any:
        """The conversation, with buttons to rate its answers while collecting is on."""
        said = was.get("said", {}) if feedback.collecting(home).pages else None
        two = bool(was.get("is_run", True))
        return parts.joined(show.sides(talks["base"], talks["tuned"], two, said=said), was.get("cited", ""))

    def say(said: str, talks: dict[str, list[ChatMessage]], was: dict[str, Any]) -> tuple[Any, ...]:
        of, opinion, words = feedback_controls.command(said)
        side, _, index = of.partition(":")
        turns, at = talks.get(side, []), int(index) if index.isdigit() else -1
        if not was or not 0 < at < len(turns) or turns[at]["role"] != "assistant":
            raise JobError("this answer is not in the conversation", hint="Load the page again.", where="Chat")
        item = feedback.say_in_chat(
            home, was["model"], was["is_run"], "tuned" if side == "tuned" else "base", [*was["first"], *turns[:at]],
            turns[at]["content"], opinion, was["index"],
        )  # fmt: skip
        gr.Info(f"{words} Answer {item.number} of the feedback.")
        was = {**was, "said": {**was["said"], of: item}}
        return rated(talks, was), was

    def cleared() -> tuple[Any, ...]:
        return show.sides([], [], True), {"base": [], "tuned": []}, {}

    inputs = [run, message, system, temperature, top_p, longest, index, talk, asked]
    gr.on(None, frame.opened(opened), None, [run, system, index, collects, turn], **frame.QUIET)
    run.input(frame.shows(trained_system), [run], [system], **frame.QUIET)
    gr.on(
        [send.click, message.submit],
        frame.stream(asking, "chat.ask"),
        inputs,
        [sides, message, talk, asked],
        trigger_mode="once",
        concurrency_limit=2,
        **frame.QUIET,
    )
    gr.on([clear.click, run.input], frame.shows(cleared), None, [sides, talk, asked], **frame.QUIET)
    feedback_controls.bind(turn, collects, home, rated, [talk, asked], [sides])
    command.change(
        frame.act(say, "answers.rate", name="chat"),
        [command, talk, asked],
        [sides, asked],
        trigger_mode="multiple",
        concurrency_limit=1,
        **frame.QUIET,
    )
