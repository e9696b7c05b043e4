"""What the docs say is what the code does."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import docs

ROOT = docs.ROOT
LONGEST = 130
"""Characters of a line of prose."""
REJECTED = (
    r"\b(told|heeded|anew|let go|peek|levers?|the house|one door|made ready|the card|(?<!model )cards|somebody|wished?"
    r"|spares?|sparing|much room|takes room|no room|keeps room)\b"
)
"""Private metaphors and words that docs/glossary.md replaces."""
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "commands.md", ROOT / "CHANGELOG.md"})


def test_the_field_table_and_the_schemas_are_current() -> None:
    assert docs.FIELDS.read_text() == docs.fields_page(), "run: python -m tests.docs"
    assert docs.SCHEMA.read_text() == docs.schema_file(), "run: python -m tests.docs"
    assert docs.RECIPE_SCHEMA.read_text() == docs.recipe_schema_file(), "run: python -m tests.docs"


@pytest.mark.parametrize("document", PAGES, ids=lambda file: file.name)
def test_every_link_of_a_page_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", document.read_text())
    missing = [link for link in links if not link.startswith("http") and not (document.parent / link).exists()]
    assert missing == []


def blocks(document: Path, *languages: str) -> list[str]:
    """The fenced code blocks of a page in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands(document: Path) -> list[list[str]]:
    """The `studio` commands a page shows, in words: from code blocks, without prompts, comments and continuation marks."""
    lines = "\n".join(blocks(document, "", "console", "text", "bash")).replace("\\\n", " ").splitlines()
    shown = [
        re.match(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:docker compose run --rm )?(studio .+?)(?:\s+#.*)?$", line) for line in lines
    ]
    return [shlex.split(found.group(1))[1:] for found in shown if found and "COMMAND" not in found.group(1)]


def mentioned(document: Path) -> list[list[str]]:
    """The `studio` commands in the prose of a page, in words; an ellipsis stands for more."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    spans = [shlex.split(span.replace("\n", " "))[1:] for span in re.findall(r"`(studio [^`]+)`", prose)]
    return [[word for word in span if word not in ("…", "...")] for span in spans if span[0] != "--help"]


@cache
def whole_command() -> Any:
    """The command with all its verbs; made once, because making it takes longer than any test that looks at it."""
    from typer.main import get_command

    from studio.cli.main import app

    return get_command(app)


@pytest.mark.parametrize("document", [page for page in PAGES if commands(page) + mentioned(page)], ids=lambda file: file.name)
def test_every_command_a_page_shows_exists_with_its_options(document: Path) -> None:
    for words in commands(document) + mentioned(document):
        command = whole_command()
        rest = list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert command.name != "studio", words
        if getattr(command, "commands", None):
            assert command.invoke_without_command, words
            assert rest == [], words
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        assert {word.split("=")[0] for word in rest if word.startswith("--")} - {"--help"} <= known, words


@pytest.mark.parametrize("document", [page for page in PAGES if blocks(page, "yaml")], ids=lambda file: file.name)
def test_every_spec_a_page_shows_is_one_that_can_be_read(document: Path) -> None:
    from studio import spec
    from studio.making import folder

    for text in blocks(document, "yaml"):
        if "\nrecipes:" in text:
            folder.parse(yaml.safe_load(text), document.name)
            continue
        spec.parse_text(text if "train:" in text else text + "\ndata: {train: a.csv}\n", document.name)


@pytest.mark.parametrize("document", [page for page in PAGES if blocks(page, "python")], ids=lambda file: file.name)
def test_every_python_sample_a_page_shows_compiles(document: Path) -> None:
    for text in blocks(document, "python"):
        compile(text, document.name, "exec")


def test_every_public_name_of_the_package_is_in_the_reference_with_its_types_and_what_it_does() -> None:
    import studio

    reference = set(
        re.findall(r"^\.\. auto(?:function|class):: studio\.(\w+)$", (ROOT / "docs" / "python.md").read_text(), re.M)
    )
    assert reference == set(studio.__all__)
    for name in studio.__all__:
        public = getattr(studio, name)
        methods = vars(public).values() if isinstance(public, type) else ()
        for item in (
            public,
            *(
                item
                for item in methods
                if inspect.isfunction(item) and item.__qualname__.startswith(f"{name}.") and "._" not in item.__qualname__
            ),
        ):
            assert item.__doc__, f"{name}: {item}"
            if inspect.isfunction(item):
                parameters = [each for each in inspect.signature(item).parameters.values() if each.name != "self"]
                assert item.__annotations__.keys() >= {"return", *(each.name for each in parameters)}, f"{name}: {item}"


@pytest.mark.slow
def test_the_python_samples_pass_the_type_checker(tmp_path: Path) -> None:
    for page in PAGES:
        if text := "\n".join(blocks(page, "python")):
            (tmp_path / f"{page.stem}.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("document", PAGES, ids=lambda file: file.name)
def test_no_line_of_prose_is_too_long_to_read_in_a_terminal(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL).splitlines()
    long = [line for line in prose if len(line) > LONGEST and not line.startswith(("|", "<"))]
    assert long == []


@pytest.mark.parametrize("document", PAGES, ids=lambda file: file.name)
def test_no_page_uses_a_word_the_glossary_rejects(document: Path) -> None:
    if document.name in ("glossary.md", "CHANGELOG.md"):
        return
    prose = re.sub(r"^```.*?^```$|`[^`]+`|\]\([^)]*\)", " ", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    used = [found.group() for found in re.finditer(REJECTED, prose, re.IGNORECASE)]
    assert used == []


def test_every_file_of_a_run_folder_is_on_the_page_about_it() -> None:
    from studio.runs.folder import RunFolder

    page, run = (ROOT / "docs" / "run-folder.md").read_text(), RunFolder(Path("run"))
    properties = {name: getattr(run, name) for name, item in vars(RunFolder).items() if isinstance(item, property)}
    files = {name: found.name for name, found in properties.items() if isinstance(found, Path)}
    assert len(files) > 20
    assert {name: file for name, file in files.items() if f"`{file}`" not in page and f"`{file}/" not in page} == {}


def test_every_config_the_readme_names_is_there() -> None:
    for name in re.findall(r"configs/[\w.-]+\.yaml", (ROOT / "README.md").read_text()):
        assert (ROOT / name).exists(), name


def test_every_pain_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "pains.md").read_text()))
    written = {name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert named - written == set()


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    wanted = {re.split(r"[<>=\[ ;]", item)[0].lower().replace("_", "-") for item in project["dependencies"]}
    assert wanted - pinned == set()


def test_the_field_table_says_which_bounds_are_excluded() -> None:
    table = (ROOT / "docs" / "fields.md").read_text()
    assert "| `training.learning_rate` | number, more than 0 and at most 1 |" in table
    assert "| `adapter.dropout` | number, at least 0 and less than 1 |" in table


def test_the_longest_answer_has_one_name_in_command_api_and_python() -> None:
    import studio
    from studio.serving import requests

    (asked,) = [each for each in whole_command().commands["chat"].params if "--max-tokens" in each.opts]
    assert asked.name == "max_tokens"
    for method in (studio.Run.chat, studio.Run.conversation):
        assert "max_tokens" in inspect.signature(method).parameters
    assert "max_tokens" in requests.ChatRequest.model_fields
    assert "max_tokens" in studio.Comparison.model_fields
