"""What the documentation site draws and lists from the code: the architecture diagram and the command reference."""

from __future__ import annotations

import ast
import tomllib
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def layers() -> list[list[str]]:
    """The packages from top to bottom, as import-linter's contract has them; independent ones share a row."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in row.replace(":", "|").split("|")] for row in rows]


def purpose(package: str) -> str:
    """The first sentence of a package's docstring."""
    file = ROOT / "studio" / package / "__init__.py"
    file = file if file.exists() else ROOT / "studio" / f"{package}.py"
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("`", "")


def diagram() -> str:
    """The layers as SVG: a row a layer, imports point down."""
    width, height, gap = 960, 34, 6
    parts = []
    y = 10.0
    for row in layers():
        box = (width - 20 - gap * (len(row) - 1)) / len(row)
        for index, name in enumerate(row):
            x = 10 + index * (box + gap)
            text = f"<tspan font-weight='bold'>{escape(name)}</tspan>"
            if len(row) == 1:
                text += f"<tspan x='{x + 130:.0f}'>{escape(purpose(name))}</tspan>"
            parts.append(
                f"<rect x='{x:.0f}' y='{y:.0f}' width='{box:.0f}' height='{height}' rx='5' fill='#eef2ff' stroke='#4f46e5'/>"
                f"<text x='{x + 12:.0f}' y='{y + 22:.0f}'>{text}</text>"
            )
        y += height + gap
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {y + 4:.0f}' font-family='sans-serif' font-size='13' "
        "fill='#1e1b4b' role='img'><title>Packages of studio: imports point down only</title>"
        f"<rect width='100%' height='100%' fill='#ffffff'/>{''.join(parts)}</svg>\n"
    )


def packages_table() -> str:
    """Every package with its purpose, from top to bottom, as Markdown."""
    rows = [f"| `{name}` | {purpose(name)} |" for row in layers() for name in row]
    return "\n".join(["| package | purpose |", "|---|---|", *rows]) + "\n"


def commands_page() -> str:
    """docs/commands.md: every command with its arguments and options."""
    from typer.main import get_command

    from studio.cli.main import app

    parts = ["# Commands\n\nMade from the command itself; the same as `studio COMMAND --help`.\n"]
    parts += [_command(command, f"studio {name}") for name, command in _commands(get_command(app))]
    return "\n".join(parts)


def _commands(group: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        inner = _commands(command, f"{prefix}{name} ") if hasattr(command, "commands") else []
        found += inner or [(f"{prefix}{name}", command)]
    return found


def _command(command: Any, name: str) -> str:
    import inspect

    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option" and not parameter.hidden]
    usage = " ".join([name, *(_name(item) for item in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [(_name(item), getattr(item, "help", None) or "") for item in arguments]
    rows += [(", ".join([*item.opts, *item.secondary_opts]), getattr(item, "help", None) or "") for item in options]
    table = "\n".join(f"| `{label}` | {_cell(text)} |" for label, text in rows)
    about = " ".join(inspect.cleandoc(command.help or "").split())
    return f"## {name}\n\n```text\n{usage}\n```\n\n{about}\n\n" + (f"| | |\n|---|---|\n{table}\n" if rows else "")


def _name(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
