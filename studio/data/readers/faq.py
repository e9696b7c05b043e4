"""Documents: Word, web pages and Markdown as questions with answers where they are a FAQ, else as passages."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, BinaryIO
from xml.etree import ElementTree

import orjson

from studio.core.errors import DataError
from studio.core.plain import is_list, is_object
from studio.core.text import plural
from studio.data.readers import document
from studio.data.readers.containers import refuse_bomb
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

_LINKED = re.compile(r"<script[^>]*application/ld\+json[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
LARGEST = 64 << 20
"""Bytes of one document."""
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


@dataclass(frozen=True)
class Block:
    """A heading or a paragraph of a document, and the line (or number) it begins at."""

    text: str
    heading: bool
    line: int
    in_table: bool = False


def markdown(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """A Markdown file: its questions and answers if its headings ask, else passages."""
    head = stream.read(LARGEST + 1)
    if len(head) <= LARGEST:
        text = head.decode("utf-8", "surrogateescape")
        blocks = list(_markdown_blocks(text))
        tables = [_markdown_cells(block.text) for block in blocks if block.text.startswith("|")]
        beside = [block for block in blocks if not block.text.startswith("|")]
        rows = _questions(blocks, facts) or _table(tables, beside, facts)
        if rows:
            yield from rows
            return
    yield from document.markdown(_joined(head, stream), facts)


def word(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """A Word document (.docx): questions and answers if its headings ask; rows of its table if it is one; else passages."""
    try:
        with zipfile.ZipFile(stream) as parts:
            refuse_bomb(parts, facts.name)
            tree = ElementTree.fromstring(parts.read("word/document.xml"))
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, OSError) as problem:
        raise DataError(
            f"it cannot be read as a Word document: {problem}", hint="Open it and save it as .docx again.", where=facts.name
        ) from None
    tables = [_cells(table) for table in tree.iter(f"{_WORD}tbl")]
    blocks = list(_word_blocks(tree))
    rows = _questions(blocks, facts) or _table(tables, blocks, facts)
    if rows:
        yield from rows
    else:
        if tables:
            facts.remarks.append(f"{plural(len(tables), 'table')} in it are not read.")
        yield from document.markdown(io.BytesIO(_as_markdown(blocks).encode()), facts)


def web_page(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """A web page: questions and answers if its headings ask, else passages of its text without menus and scripts."""
    parser = _Page()
    page = stream.read(LARGEST).decode("utf-8", "replace")
    parser.feed(page)
    parser.close()
    blocks = parser.blocks()
    rows = _questions(blocks, facts) or _table(parser.tables, [block for block in blocks if not block.in_table], facts)
    rows = rows or _described(page, facts)
    if rows:
        yield from rows
        return
    yield from document.markdown(io.BytesIO(_as_markdown(blocks).encode()), facts)


def answered(item: object) -> dict[str, str] | None:
    """A question of schema.org with its accepted answer as a row; None for anything else."""
    if not is_object(item) or item.get("@type") != "Question":
        return None
    accepted = item.get("acceptedAnswer")
    accepted = accepted[0] if is_list(accepted) and accepted else accepted
    text = accepted.get("text") if is_object(accepted) else None
    question = item.get("name") or item.get("text")
    return {"question": question, "answer": text_of_page(text)} if isinstance(question, str) and isinstance(text, str) else None


def _described(page: str, facts: Facts) -> list[Row]:
    """The questions and answers that a page describes to search engines (`FAQPage`), where its text shows none."""
    if facts.format == "text":
        return []
    found: list[Row] = []
    for script in _LINKED.finditer(page):
        try:
            said = orjson.loads(script[1])
        except orjson.JSONDecodeError:
            continue
        graph: list[Any] = said if is_list(said) else said.get("@graph", [said]) if is_object(said) else []
        items = [item for part in graph if is_object(part) and is_list(part.get("mainEntity")) for item in part["mainEntity"]]
        line = page.count("\n", 0, script.start()) + 1
        found += [Row(row, facts.name, line) for item in items if (row := answered(item))]
    if found:
        facts.details["read as"] = "questions and answers"
        facts.remarks.append("Only the questions that it describes to search engines were read, not its text.")
    return found


def text_of_page(page: str) -> str:
    """The text of a piece of HTML, its paragraphs parted by blank lines; a text without tags as it is."""
    if "<" not in page:
        return page
    parser = _Page()
    parser.feed(page)
    parser.close()
    return "\n\n".join(block.text for block in parser.blocks())


def _questions(blocks: list[Block], facts: Facts) -> list[Row]:
    """The questions and answers of a document, if at least two headings ask and most headings with text below do."""
    if facts.format == "text":
        return []
    sections: list[tuple[Block, list[str]]] = []
    outside = 0
    for block in blocks:
        if block.heading:
            sections.append((block, []))
        elif sections:
            sections[-1][1].append(block.text)
        else:
            outside += 1
    answered = [(heading, texts) for heading, texts in sections if texts]
    asking = [(heading, texts) for heading, texts in answered if heading.text.rstrip().endswith(("?", "？"))]
    if len(asking) < 2 or len(asking) < 0.6 * len(answered):
        return []
    left = len(answered) - len(asking)
    if left or outside:
        facts.remarks.append(
            f"{plural(left, 'section')} and {plural(outside, 'paragraph')} that answer no question are not used."
        )
    facts.details["read as"] = "questions and answers"
    return [
        Row({"question": bare_question(heading.text), "answer": bare_answer("\n\n".join(texts))}, facts.name, heading.line)
        for heading, texts in asking
    ]


def _table(tables: list[list[list[str]]], beside: list[Block], facts: Facts) -> list[Row]:
    """The rows of a document's first wide table, if the document is mainly that table."""
    wide = next((table for table in tables if len(table) > 2 and len(table[0]) >= 2), None)
    if facts.format == "text" or wide is None or len(set(wide[0])) < len(wide[0]):
        return []
    if sum(len(block.text) for block in beside) >= 2 * sum(len(cell) for row in wide for cell in row):
        return []
    if beside or len(tables) > 1:
        rest = f"{plural(len(beside), 'paragraph')} and {plural(len(tables) - 1, 'table')}"
        facts.remarks.append(f"Only its first table was read; {rest} beside it are not used.")
    names = [name or f"column {index}" for index, name in enumerate(wide[0], 1)]
    return [Row(dict(zip(names, cells, strict=False)), facts.name, number) for number, cells in enumerate(wide[1:], 2)]


def _markdown_cells(text: str) -> list[list[str]]:
    """The cells of a table in Markdown; none if there is no line of dashes below its names."""
    lines = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in text.splitlines()]
    rows = [[cell.strip().replace("\\|", "|") for cell in line] for line in lines]
    if len(rows) < 2 or not all(re.fullmatch(r":?-+:?", cell) for cell in rows[1]):
        return []
    return [rows[0], *rows[2:]]


def bare_question(heading: str) -> str:
    """A question without its number: `3. `, `Q: `, `Q4. `, `Frage: `."""
    return re.sub(r"^\s*(?:Q(?:uestion)?\s*\d*\s*[.:)]|F(?:rage)?\s*\d*\s*:|\d+(?:\.\d+)*[.)]?)\s+", "", heading).strip()


def bare_answer(text: str) -> str:
    """An answer without the mark that says that it is one: `A: `, `**A:** `, `Answer: `, `Antwort: `."""
    return re.sub(r"^\s*(?:\*\*)?(?:A|Answer|Antwort)\s*\d*\s*(?:[.:)]\*\*|\*\*[.:)]|:)\s*", "", text).strip()


def _markdown_blocks(text: str) -> Iterator[Block]:
    lines: list[str] = []
    began, fence = 1, False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*\s*$", line) or re.match(r"\*\*([^*]+[?？])\*\*\s*$", line)
        fence ^= line.lstrip().startswith(("```", "~~~"))
        if (heading and not fence) or (not line.strip() and not fence):
            if lines:
                yield Block("\n".join(lines), False, began)
            lines = []
            if heading:
                yield Block(heading[1].strip("* "), True, number)
            continue
        if not lines:
            began = number
        lines.append(line.rstrip())
    if lines:
        yield Block("\n".join(lines), False, began)


def _word_blocks(tree: ElementTree.Element) -> Iterator[Block]:
    body = tree.find(f"{_WORD}body")
    for number, item in enumerate(body if body is not None else (), 1):
        if item.tag != f"{_WORD}p":
            continue
        text = _text(item).strip()
        if not text:
            continue
        style = item.find(f"{_WORD}pPr/{_WORD}pStyle")
        named = "" if style is None else style.get(f"{_WORD}val", "")
        runs = [run for run in item.iter(f"{_WORD}r") if _text(run).strip()]
        bold = bool(runs) and all(run.find(f"{_WORD}rPr/{_WORD}b") is not None for run in runs)
        asks = text.endswith(("?", "？")) and len(text) < 200
        yield Block(
            text, named.lower().startswith(("heading", "title", "berschrift")) or (asks and (bold or len(runs) == 1)), number
        )


def _text(item: ElementTree.Element) -> str:
    parts: list[str] = []
    for inner in item.iter():
        if inner.tag == f"{_WORD}t":
            parts.append(inner.text or "")
        elif inner.tag in (f"{_WORD}br", f"{_WORD}cr"):
            parts.append("\n")
        elif inner.tag == f"{_WORD}tab":
            parts.append("\t")
    return "".join(parts)


def _cells(table: ElementTree.Element) -> list[list[str]]:
    return [
        ["\n".join(_text(part) for part in cell.iter(f"{_WORD}p")).strip() for cell in row.iter(f"{_WORD}tc")]
        for row in table.iter(f"{_WORD}tr")
    ]


def _as_markdown(blocks: Iterable[Block]) -> str:
    return "\n\n".join(f"# {block.text}" if block.heading else block.text for block in blocks)


def _joined(head: bytes, stream: BinaryIO) -> BinaryIO:
    return io.BytesIO(head + stream.read()) if len(head) > LARGEST else io.BytesIO(head)


class _Page(HTMLParser):
    """Headings and paragraphs of a page, without what is no text: scripts, styles, menus, forms."""

    _SKIP = frozenset(("script", "style", "nav", "header", "footer", "aside", "form", "noscript", "svg", "template", "title"))
    _HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary"))
    _BLOCKS = frozenset(
        ("p", "li", "dd", "div", "section", "article", "details", "dl", "ul", "ol", "tr", "pre", "blockquote", "br")
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[Block] = []
        self._text: list[str] = []
        self._skipped = 0
        self._heading = False
        self._depth = 0
        self._cell: list[str] | None = None
        self.tables: list[list[list[str]]] = []
        """The cells of each table that is in no other."""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in self._SKIP:
            self._skipped += 1
        elif tag in self._HEADINGS:
            self._end()
            self._heading = True
        elif tag in self._BLOCKS and not self._heading:
            self._end()
        if tag == "table":
            self._end()
            self._depth += 1
            if self._depth == 1:
                self.tables.append([])
        elif tag == "tr" and self._depth == 1:
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._text.append(" ")
            if self._depth == 1 and self.tables[-1]:
                self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None and self._depth == 1:
            self.tables[-1][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None
        elif tag == "table":
            self._end()
            self._depth = max(self._depth - 1, 0)
        if tag in self._SKIP:
            self._skipped = max(self._skipped - 1, 0)
        elif tag in self._HEADINGS or (tag in self._BLOCKS and not self._heading):
            self._end()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._text.append(data)
            if self._cell is not None:
                self._cell.append(data)

    def blocks(self) -> list[Block]:
        """What was found."""
        self._end()
        return self._blocks

    def _end(self) -> None:
        text = " ".join("".join(self._text).split())
        if text:
            self._blocks.append(Block(text, self._heading, self.getpos()[0], in_table=self._depth > 0))
        self._text, self._heading = [], False
