"""Books (EPUB): each file of the reading order is a chapter."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from studio.core.errors import DataError
from studio.documents.readers import web
from studio.documents.readers.office import Parts, resolve
from studio.documents.reading import Reading, ReadPage
from studio.tracking.reporter import Reporter

_CONTAINER = "META-INF/container.xml"
_ROOT = "{urn:oasis:names:tc:opendocument:xmlns:container}rootfile"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


def read(path: Path, name: str, reporter: Reporter) -> Reading:
    """A book, in its reading order. Raises DataError for one with copy protection."""
    pages: list[ReadPage] = []
    with Parts(path, name, "an EPUB book") as parts:
        if "META-INF/rights.xml" in parts.names or (
            "META-INF/encryption.xml" in parts.names and b".xhtml" in parts.bytes("META-INF/encryption.xml")
        ):
            raise DataError("it is copy-protected (DRM)", hint="Only books without copy protection are read.", where=name)
        root = next(parts.xml(_CONTAINER).iter(_ROOT), None)
        package = "" if root is None else root.get("full-path", "")
        tree = parts.xml(package)
        folder = PurePosixPath(package).parent
        items = {item.get("id", ""): item for item in tree.iter(f"{_OPF}item")}
        title = next((item.text or "" for item in tree.iter(f"{_DC}title")), "")
        for reference in tree.iter(f"{_OPF}itemref"):
            item = items.get(reference.get("idref", ""))
            if item is None or "html" not in item.get("media-type", "") or "nav" in item.get("properties", "").split():
                continue
            part = resolve(folder, unquote(item.get("href", "")))
            blocks, _ = web.blocks_of(parts.bytes(part).decode("utf-8", "replace"))
            if blocks:
                pages.append(ReadPage(number=len(pages) + 1, blocks=tuple(blocks)))
    return Reading(title=title, has_pages=True, pages=tuple(pages))
