"""What a file is by its first bytes, whatever its name ends in: one that is something else is said to be, before it is read."""

from __future__ import annotations

from pathlib import Path

from studio.core.errors import DataError

_KNOWN = (
    (b"%PDF-", "a PDF", ".pdf"),
    (b"PK\x03\x04", "a zip archive, as Word, PowerPoint and EPUB files are", ".docx, .pptx, .epub or .zip"),
    (b"\xd0\xcf\x11\xe0", "an Office file of before 2007, or one with a password", ""),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
)
_ZIPS = (".docx", ".pptx", ".epub", ".zip")


def check(path: Path, name: str) -> None:
    """Raise DataError for an empty file, and for one whose first bytes are those of another kind than its name says."""
    with path.open("rb") as file:
        first = file.read(8)
    if not first:
        raise DataError("the file is empty (0 bytes)", hint="Get it again whole.", where=name)
    suffix = Path(name).suffix.lower()
    for begins, kind, endings in _KNOWN:
        if not first.startswith(begins) or suffix in endings:
            continue
        if endings:
            hint = f"Rename it to end in {endings}."
        elif kind == "a picture":
            hint = "Print it to a PDF: scans are read where the extra `ocr` is installed."
        else:
            hint = f"Open it and save it again as {suffix if suffix in _ZIPS else '.docx'}, without a password."
        raise DataError(f"its content is {kind}, but its name ends in {suffix}", hint=hint, where=name)
