"""Names and signatures: what is counted here can only fall. Where a figure has fallen, lower its ceiling."""

from __future__ import annotations

import ast
import functools
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
UNTYPED = "dict[str, Any]"
CEILING = 40
"""Times `dict[str, Any]` stands in a signature that another package uses. Where it stays, JSON of others passes through:
a model's config, chat messages, tools, JSON schemas."""
ANY_CEILING = 205
"""Parameters that are `Any`: models of any architecture, JSON of others, and what libraries without types hand over."""
BANNED = {
    "told": 0, "given": 1, "made": 3, "kept": 1, "found": 1, "held": 2, "asked": 1, "place": 1, "way": 2, "thing": 0,
    "wish": 0, "room": 1, "lever": 0, "spare": 0, "past": 0, "peek": 0, "board": 0, "house": 0, "door": 0, "bring": 0,
    "hush": 0,
}  # fmt: skip
"""Words that name nothing, each with how often it is still a field: of records in users' homes and of printed JSON."""


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {file.relative_to(ROOT): ast.parse(file.read_text("utf-8")) for file in sorted((ROOT / "studio").rglob("*.py"))}


@functools.cache
def nodes_of(tree: ast.Module) -> list[ast.AST]:
    return list(ast.walk(tree))


def package(file: Path) -> str:
    return file.with_suffix("").parts[1]


def used_elsewhere(trees: dict[Path, ast.Module], files: set[Path]) -> dict[Path, set[str]]:
    """The names that other packages use of each of the modules `files` that they import, or from which they import."""
    modules = {".".join(file.with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    used: dict[Path, set[str]] = defaultdict(set)
    for file, tree in trees.items():
        nodes = nodes_of(tree)
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        targets = {str(node.module) for node in imports}
        targets |= {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        others = [modules[name] for name in targets & modules.keys() if package(modules[name]) != package(file)]
        if others:
            names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            names |= {node.id for node in nodes if isinstance(node, ast.Name)}
            names |= {alias.name for node in imports for alias in node.names}
            for other in others:
                used[other] |= names
    return used


def signatures(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, annotation) of the public functions, methods and fields."""
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for member in members:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                taken = member.args
                arguments = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
                for annotation in (*(one.annotation for one in arguments if one), member.returns):
                    if annotation:
                        yield member.name, ast.unparse(annotation)
            elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and member is not node:
                yield member.target.id, ast.unparse(member.annotation)


def test_untyped_dictionaries_between_packages_only_become_fewer(trees: dict[Path, ast.Module]) -> None:
    files = {file for file in trees if UNTYPED in (ROOT / file).read_text("utf-8")}
    used = used_elsewhere(trees, files)
    counted = Counter(
        {str(file): sum(text.count(UNTYPED) for name, text in signatures(trees[file]) if name in used[file]) for file in files}
    )
    assert counted.total() <= CEILING, f"{counted.total()} now; most in {counted.most_common(12)}"


def test_parameters_without_a_type_only_become_fewer(trees: dict[Path, ast.Module]) -> None:
    untyped = Counter(
        str(file)
        for file, tree in trees.items()
        for node in nodes_of(tree)
        if isinstance(node, ast.arg) and node.annotation is not None and ast.unparse(node.annotation) == "Any"
    )
    assert untyped.total() <= ANY_CEILING, f"{untyped.total()} now; most in {untyped.most_common(12)}"


def bound(file: Path, tree: ast.Module) -> Iterator[str]:
    """Names that are read beyond a few lines: of modules, classes, functions, parameters and fields."""
    yield file.stem
    for node in nodes_of(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.arg):
            yield node.arg if isinstance(node, ast.arg) else node.name
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.target.id


def test_words_that_name_nothing_only_become_fewer(trees: dict[Path, ast.Module]) -> None:
    counted = Counter(name.strip("_").lower() for file, tree in trees.items() for name in bound(file, tree))
    now = {word: counted[word] + counted[f"{word}s"] for word in BANNED}
    assert {word: count for word, count in now.items() if count > BANNED[word]} == {}
