"""Web pages: the article without menus, links and what else surrounds it."""

from __future__ import annotations

import logging
from html.parser import HTMLParser
from pathlib import Path

from studio.core.text import plural
from studio.documents.readers import text
from studio.documents.reading import Block, Kind, Reading
from studio.documents.records import Dropped
from studio.tracking.reporter import Reporter


def read(path: Path, name: str, reporter: Reporter) -> Reading:
    """A web page: its main content as trafilatura finds it; all of its text where it finds none."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs an error for a page without an article
    content, remarks = text.decoded(path, name)
    main = trafilatura.extract(
        content, output_format="html", include_comments=False, include_tables=True, include_links=False, include_images=False
    )
    everything, title = blocks_of(content)
    blocks = blocks_of(main)[0] if main else everything
    known = {" ".join(block.text.split()) for block in blocks}
    joined = "\n".join(known)
    left = [block.text for block in everything if " ".join(block.text.split()) not in joined]
    dropped = ()
    if main and left:
        dropped = (Dropped(reason="around the article", text="\n".join(left)[:2_000]),)
        remarks = (*remarks, f"{plural(len(left), 'block')} around the article (menus, links, comments) left out.")
    if not main:
        remarks = (*remarks, "No article was found in the page: all of its text was used.")
    return text.one_page(blocks, remarks, title).model_copy(update={"dropped": dropped})


def blocks_of(content: str) -> tuple[list[Block], str]:
    """The blocks of HTML and its title."""
    parser = _Blocks()
    parser.feed(content)
    parser.close()
    return parser.blocks(), " ".join("".join(parser.title).split())


class _Blocks(HTMLParser):
    """Headings, paragraphs, lists, tables and code, without scripts, menus and forms."""

    _SKIP = frozenset(("script", "style", "nav", "form", "noscript", "svg", "template", "iframe", "object", "button", "select"))
    _BREAKS = frozenset(
        ("p", "div", "section", "article", "main", "header", "footer", "aside", "blockquote", "dl", "dt", "dd", "caption")
    ) | frozenset(("figure", "figcaption", "hr", "body", "details", "summary"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._blocks: list[Block] = []
        self._text: list[str] = []
        self._kind: Kind = "paragraph"
        self._level = 0
        self._skipped = 0
        self._in_title = False
        self._rows: list[list[str]] | None = None
        self._tables = 0
        """How many tables we are in; those inside a cell are its text."""
        self._in_cell = False
        self._items: list[str] = []
        self._lists: list[int] = []
        """A number for each list we are in: 0 in one without numbers."""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in self._SKIP:
            self._skipped += 1
        elif tag == "title":
            self._in_title = True
        elif tag == "table":
            self._tables += 1
            if self._rows is None:
                self._end()
                self._rows = []
        elif self._rows is not None:
            if tag in ("td", "th", "tr") and self._tables == 1:
                self._cell()
                self._in_cell = tag != "tr"
                if tag == "tr" or not self._rows:
                    self._rows.append([])
            else:
                self._text.append(" ")
        elif tag in ("ul", "ol"):
            self._end_item()
            self._lists.append(1 if tag == "ol" else 0)
        elif tag == "li":
            self._end_item()
        elif tag == "br":
            self._text.append("\v")
        elif tag == "pre":
            self._end()
            self._kind = "code"
        elif level := _heading_level(tag):
            self._end()
            self._kind, self._level = "heading", level
        elif tag in self._BREAKS and not self._lists:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SKIP:
            self._skipped = max(self._skipped - 1, 0)
        elif tag == "title":
            self._in_title = False
        elif tag == "table" and self._rows is not None:
            self._tables -= 1
            if self._tables:
                return
            self._cell()
            rows, self._rows = self._rows, None
            if content := text.table(rows):
                self._blocks.append(Block(kind="table", text=content))
        elif self._rows is not None:
            return
        elif tag == "li":
            self._end_item()
        elif tag in ("ul", "ol") and self._lists:
            self._end_item()
            self._lists.pop()
            if not self._lists and self._items:
                self._blocks.append(Block(kind="list", text="\n".join(self._items)))
                self._items = []
        elif tag == "pre" or _heading_level(tag) or (tag in self._BREAKS and not self._lists):
            self._end()

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._skipped:
            self._text.append(data)

    def blocks(self) -> list[Block]:
        """What was found, after the end."""
        while self._lists:
            self.handle_endtag("ul")
        while self._rows is not None:
            self.handle_endtag("table")
        self._end()
        return self._blocks

    def _cell(self) -> None:
        if self._rows and self._in_cell:
            self._rows[-1].append(" ".join("".join(self._text).split()))
        self._text, self._in_cell = [], False

    def _end_item(self) -> None:
        content = " ".join("".join(self._text).split())
        self._text = []
        if not self._lists:
            if content:
                self._blocks.append(Block(kind="paragraph", text=content))
            return
        if content:
            number = self._lists[-1]
            self._items.append("  " * (len(self._lists) - 1) + (f"{number}. " if number else "- ") + content)
            if number:
                self._lists[-1] += 1

    def _end(self) -> None:
        raw = "".join(self._text)
        if self._kind == "code":
            content = f"```\n{raw.strip(chr(10))}\n```" if raw.strip() else ""
        else:
            content = "\n".join(line for part in raw.split("\v") if (line := " ".join(part.split())))
        if content:
            self._blocks.append(Block(kind=self._kind, text=content, level=self._level if self._kind == "heading" else 0))
        self._text, self._kind, self._level = [], "paragraph", 0


def _heading_level(tag: str) -> int:
    """1 to 6 for `h1` to `h6`, 0 for any other tag."""
    return int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456" else 0
