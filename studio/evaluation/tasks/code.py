"""Code: does it parse, and how near is it to the reference, token by token? Nothing of it is ever run."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Sequence

from studio.evaluation.overlap import common_subsequence, spoken
from studio.evaluation.tasks.task import Scorer, Task, mostly, share_metric

LIKENESS = share_metric(
    "code_likeness", "Code likeness", "F-measure of the longest common subsequence of code tokens, comments and layout aside"
)
PARSES = share_metric(
    "code_parses", "Code parses", "share of answers that are Python without a syntax error (other languages: any code)"
)
MATCH = share_metric(
    "code_match", "Code equal", "share of answers with the reference's syntax tree (other languages: its tokens)"
)

_FENCE = re.compile(r"```([\w+#-]*)[^\n]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_TOKENS = re.compile(r"\w+|[^\w\s]")


def parts(text: str) -> tuple[str, str]:
    """(language, code) of an answer: its first code fence, or all of it."""
    found = _FENCE.search(spoken(text))
    return (found.group(1).lower(), found.group(2)) if found else ("", spoken(text))


def tree(code: str) -> ast.Module | None:
    """The syntax tree of Python code; None if it has an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in the answer's strings
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def tokens(code: str) -> list[str]:
    """The tokens of code without comments and layout."""
    try:
        return [
            token.string
            for token in tokenize.generate_tokens(io.StringIO(code).readline)
            if token.string.strip() and token.type not in (tokenize.COMMENT, tokenize.ENDMARKER)
        ]
    except (tokenize.TokenError, SyntaxError):
        return _TOKENS.findall(code)


def _is_code(reference: str) -> bool:
    if _FENCE.search(spoken(reference)):
        return True
    parsed = tree(spoken(reference))
    return parsed is not None and any(not _is_word(node) for node in parsed.body)


def _is_word(node: ast.stmt) -> bool:
    """A statement that ordinary words parse as: a name, a number, words joined by signs, an annotation."""
    return isinstance(node, ast.AnnAssign) or (
        isinstance(node, ast.Expr) and not any(isinstance(inner, ast.Call) for inner in ast.walk(node))
    )


def recognise(references: Sequence[str]) -> bool:
    """Each reference has a code fence, or is Python with more than bare words."""
    return mostly(references, _is_code)


def scorer(references: Sequence[str]) -> Scorer:
    """All three figures of one answer."""
    return _score


def _score(reference: str, answer: str) -> dict[str, float]:
    (language, wanted), (_, answered) = parts(reference), parts(answer)
    one, other = tokens(wanted), tokens(answered)
    likeness = 2 * common_subsequence(one, other) / (len(one) + len(other)) if one and other else float(one == other)
    before, after = tree(wanted), tree(answered)
    if before is None or language not in ("", "py", "python", "python3"):
        return {LIKENESS.name: likeness, PARSES.name: float(bool(other)), MATCH.name: float(one == other)}
    same = after is not None and ast.dump(before) == ast.dump(after)
    return {LIKENESS.name: likeness, PARSES.name: float(after is not None and bool(other)), MATCH.name: float(same)}


TASK = Task("code", (LIKENESS, PARSES, MATCH), "the references are code: likeness counts tokens, not words", recognise, scorer)
