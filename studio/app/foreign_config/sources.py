"""The data of other tools' configurations: files and names on the hub, and how their rows are laid out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.app.foreign_config.takes import Reading, Unmapped
from studio.core.plain import is_object
from studio.spec import documents

_TYPES = {"alpaca": "alpaca", "chat_template": "messages", "sharegpt": "sharegpt", "completion": "text"}
_FIELDS = {"field_instruction": "instruction", "field_input": "input", "field_output": "output", "field_system": "system"}
_ROLES = {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
_LISTED = {"messages": "conversations", "system": "system", "tools": "tools", "chosen": "chosen", "rejected": "rejected"}
_TAGS = {"user_tag": "user", "assistant_tag": "assistant", "system_tag": "system", "observation_tag": "tool"}
_READ_SO = frozenset(
    (key, name)
    for key in ("field_thinking", "template_thinking_key")
    for name in ("thinking", "reasoning", "reasoning_content")
)
"""Where reasoning stands, said as it is read here without being told."""
_PAIRED = ("type", "field_messages", "field_chosen", "field_rejected")
_DETECTED = "how a row is laid out is detected, and asked for where it is not clear: data.format, data.columns"

Layout = dict[str, Any]
"""Fields of the spec that say how the rows of a dataset are laid out."""


def dataset(reading: Reading, key: str, value: Any) -> None:
    """Data by name: files, and else the hub."""
    names = [value] if isinstance(value, str) else list(value)
    reading.set("data.train", _one_or_all([_source(reading, str(name)) for name in names]))


def _source(reading: Reading, name: str) -> str:
    """A file as it stands, and anything else on the hub."""
    is_file = Path(name).suffix or name.startswith((".", "/", "~")) or (reading.folder / name).exists()
    return name if is_file or name.startswith("hub:") else f"hub:{name}"


def _one_or_all(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def _laid_out(reading: Reading, layouts: Mapping[str, Layout]) -> None:
    """Take the layout over that all datasets share; where they differ, each is named."""
    several = list(layouts.values())
    for name, layout in layouts.items():
        for path, setting in layout.items():
            if all(other.get(path) == setting for other in several):
                reading.set(path, setting)
            else:
                reason = "the datasets are laid out differently; each is detected, and asked for where it is not clear"
                reading.unmapped.append(Unmapped(f"{name}: {path}", setting, reason))


def axolotl_datasets(reading: Reading, key: str, value: Any) -> None:
    """Axolotl's list of datasets, each with how its rows are laid out."""
    names: list[str] = []
    layouts: dict[str, Layout] = {}
    for at, item in enumerate([value] if is_object(value) else value):
        files = item.get("data_files") or item.get("path") or ""
        names += [_source(reading, str(file)) for file in ([files] if isinstance(files, str) else files)]
        label = f"{key}.{at}"
        layouts[label] = _axolotl_pairs(item)
        taken = ("path", "data_files", "ds_type", *(_PAIRED if layouts[label] else ()))
        for name, setting in item.items():
            if name not in taken and setting is not None:
                _axolotl_key(reading, f"{label}.{name}", name, setting, layouts[label])
    _laid_out(reading, layouts)
    if names:
        reading.set("data.train", _one_or_all(names))


def _axolotl_pairs(item: Mapping[str, Any]) -> Layout:
    """The layout of a dataset of preferred and rejected answers, if it is one."""
    if not item.get("field_chosen") or not item.get("field_rejected"):
        return {}
    prompt = item.get("field_messages", "messages")
    columns = {"prompt": prompt, "chosen": item["field_chosen"], "rejected": item["field_rejected"]}
    return {"data.format": "preference", "data.columns": columns}


def _axolotl_key(reading: Reading, label: str, name: str, value: Any, layout: Layout) -> None:
    if name == "split" and str(value).isidentifier():
        layout["data.split"] = value
    elif name == "name":
        layout["data.subset"] = value
    elif name == "type" and is_object(value):
        columns = {role: value[field] for field, role in _FIELDS.items() if value.get(field)}
        if {"instruction", "output"} <= columns.keys():
            layout["data.format"], layout["data.columns"] = "alpaca", columns
        for field, setting in value.items():
            if field == "system_prompt" and setting:
                layout["data.system"] = setting
            elif field in ("format", "no_input_format"):
                reading.unmapped.append(Unmapped(f"{label}.{field}", setting, "the tokenizer's own template is used"))
            elif setting and (field not in _FIELDS or not layout.get("data.columns")):
                reading.unmapped.append(Unmapped(f"{label}.{field}", setting, _DETECTED))
    elif name == "type" and value in _TYPES:
        layout["data.format"] = _TYPES[value]
    elif name == "roles" and is_object(value):
        layout["data.roles"] = {alias: role for role, aliases in value.items() for alias in aliases}
    elif isinstance(value, str) and (name, value) in _READ_SO:
        return
    elif name == "field_messages":
        layout["data.columns"] = {"messages": value}
    else:
        reading.unmapped.append(Unmapped(label, value, _DETECTED))


def axolotl_tests(reading: Reading, key: str, value: Any) -> None:
    """Axolotl's datasets for evaluation: one file is held out."""
    files = [item.get("data_files") or item.get("path") for item in value if is_object(item)]
    if len(files) == 1 and isinstance(files[0], str):
        reading.set("data.holdout", _source(reading, files[0]))
    else:
        reading.refuse(key, "one file is held out: set data.holdout")


def factory_dataset(reading: Reading, key: str, value: Any) -> None:
    """Names in LLaMA-Factory's dataset_info.json, where that file is beside the configuration."""
    folder = reading.folder / str(reading.settings.get("dataset_dir", "data"))
    known = documents.parse(documents.read(file), str(file))[0] if (file := folder / "dataset_info.json").exists() else {}
    names: list[str] = []
    layouts: dict[str, Layout] = {}
    for name in [part.strip() for part in value.split(",")] if isinstance(value, str) else value:
        entry: dict[str, Any] = known.get(name) or {}
        if entry.get("file_name"):
            names.append(str(folder / entry["file_name"]))
        elif entry.get("hf_hub_url"):
            names.append(f"hub:{entry['hf_hub_url']}")
        else:
            where = "has no file of it" if known else "was not found"
            reading.refuse(key, f"`{name}` is a name in dataset_info.json, which {where}: put the file itself in data.train")
            continue
        layouts[name] = _factory_layout(reading, name, entry)
    if key != "dataset":
        if len(names) == 1:
            reading.set("data.holdout", names[0])
        elif names:
            reading.refuse(key, "one file is held out: set data.holdout")
        return
    _laid_out(reading, layouts)
    if names:
        reading.set("data.train", _one_or_all(names))


def _factory_layout(reading: Reading, name: str, entry: Mapping[str, Any]) -> Layout:
    """What an entry of dataset_info.json says of its rows; what has no setting is named."""
    layout: Layout = {}
    columns: Mapping[str, str] = entry.get("columns") or {}
    listed = entry.get("formatting") in ("sharegpt", "openai")
    roles = _LISTED if listed else _ROLES
    tags: Mapping[str, str] = entry.get("tags") or {}
    own = tags.get("role_tag", "from") == "from" and tags.get("content_tag", "value") == "value"
    if entry.get("ranking"):
        layout["data.format"] = "preference"
    elif listed:
        layout["data.format"] = "sharegpt" if own else "messages"
        roles = roles if own else {**roles, "messages": "messages"}
    elif columns.keys() >= {"prompt", "response"}:
        layout["data.format"] = "alpaca"
    named = {roles[role]: column for role, column in columns.items() if role in roles and not entry.get("ranking")}
    if named and "data.format" in layout:
        layout["data.columns"] = named
    elif columns:
        reading.unmapped.append(Unmapped(f"{name}.columns", columns, _DETECTED))
    speakers = {str(tags[tag]): role for tag, role in _TAGS.items() if tag in tags}
    if speakers:
        layout["data.roles"] = speakers
    for key in ("split", "subset"):
        if entry.get(key):
            layout[f"data.{key}"] = entry[key]
    taken = {
        "file_name",
        "hf_hub_url",
        "ms_hub_url",
        "om_hub_url",
        "columns",
        "formatting",
        "ranking",
        "tags",
        "split",
        "subset",
    }
    for key, value in entry.items():
        if key not in taken and value is not None:
            reading.unmapped.append(Unmapped(f"{name}.{key}", value, "there is no such setting here"))
    for key, value in columns.items():
        if key not in roles and named:
            reading.unmapped.append(Unmapped(f"{name}.columns.{key}", value, _DETECTED))
    for key, value in tags.items():
        if key not in (*_TAGS, "role_tag", "content_tag"):
            reading.unmapped.append(Unmapped(f"{name}.tags.{key}", value, _DETECTED))
    return layout
