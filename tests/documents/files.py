"""Documents of every kind, written by hand so that what is in them is known to the letter."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class PdfPage:
    """A page of A4: texts as (x, y, size, bold, text), lines as (x0, y0, x1, y1), and an RGB picture over all of it."""

    texts: list[tuple[float, float, float, bool, str]] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)
    picture: tuple[int, int, bytes] | None = None

    def write(self, lines: Sequence[str], x: float = 60, top: float = 740, size: float = 10, bold: bool = False) -> PdfPage:
        """Lines of text below each other."""
        for index, line in enumerate(lines):
            self.texts.append((x, top - index * size * 1.3, size, bold, line))
        return self

    def content(self) -> bytes:
        """The page's drawing commands."""
        parts = ["q 595 0 0 842 0 0 cm /Pic Do Q"] if self.picture else []
        parts += [f"{x0} {y0} m {x1} {y1} l S" for x0, y0, x1, y1 in self.lines]
        for x, y, size, bold, text in self.texts:
            escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            parts.append(f"BT /{'F2' if bold else 'F1'} {size} Tf {x} {y} Td ({escaped}) Tj ET")
        return "\n".join(parts).encode("cp1252")


def pdf(path: Path, pages: Sequence[PdfPage], title: str = "") -> Path:
    """A PDF of these pages in Helvetica."""
    objects: list[bytes] = []

    def add(content: bytes) -> int:
        objects.append(content)
        return len(objects)

    def stream(content: bytes, head: str = "") -> int:
        return add(f"<< {head} /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")

    fonts = [
        add(f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode())
        for name in ("Helvetica", "Helvetica-Bold")
    ]
    tree = len(objects) + 1
    objects.append(b"")
    kids = []
    for page in pages:
        picture = ""
        if page.picture:
            width, height, pixels = page.picture
            head = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB /BitsPerComponent 8"
            picture = f"/XObject << /Pic {stream(pixels, head)} 0 R >>"
        body = stream(page.content())
        kids.append(
            add(
                f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Contents {body} 0 R /Resources << "
                f"/Font << /F1 {fonts[0]} 0 R /F2 {fonts[1]} 0 R >> {picture} >> >>".encode()
            )
        )
    objects[tree - 1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>".encode()
    catalog = add(f"<< /Type /Catalog /Pages {tree} 0 R >>".encode())
    about = add(f"<< /Title ({title}) >>".encode())
    out = io.BytesIO(b"%PDF-1.7\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + content + b"\nendobj\n")
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write(b"".join(f"{place:010} 00000 n \n".encode() for place in places))
    out.write(
        f"trailer << /Size {len(objects) + 1} /Root {catalog} 0 R /Info {about} 0 R >>\nstartxref\n{start}\n%%EOF".encode()
    )
    path.write_bytes(out.getvalue())
    return path


def zipped(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    """A zip archive of these parts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_STYLES = (
    f'<w:styles {_W}><w:style w:styleId="Heading1"><w:name w:val="heading 1"/></w:style><w:style w:styleId="berschrift2">'
    '<w:name w:val="heading 2"/></w:style><w:style w:styleId="Mine"><w:basedOn w:val="berschrift2"/></w:style></w:styles>'
)


def docx(path: Path, body: str, **parts: str | bytes) -> Path:
    """A Word document with this body; parts by name with `__` for `/` and `_` for `.`."""
    others = {name.replace("__", "/").replace("_", "."): content for name, content in parts.items()}
    document = f"<w:document {_W}><w:body>{body}</w:body></w:document>"
    return zipped(path, {"word/document.xml": document, "word/styles.xml": _STYLES, **others})


def paragraph(text: str, style: str = "", inside: str = "") -> str:
    """A paragraph of a Word document."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r>{inside}<w:t>{text}</w:t></w:r></w:p>"


def docx_part(kind: str, text: str) -> str:
    """The text of a header (`hdr`) or footer (`ftr`)."""
    return f"<w:{kind} {_W}>{paragraph(text)}</w:{kind}>"


def pptx(path: Path, slides: Sequence[tuple[str, Sequence[str], str]]) -> Path:
    """A presentation: (title, lines, speaker notes) each, with a footer and a number on every slide."""
    names = (
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    )
    relations = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'

    def shape(lines: Sequence[str], kind: str) -> str:
        holder = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        text = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
        return f"<p:sp>{holder}<p:txBody>{text}</p:txBody></p:sp>"

    parts: dict[str, str | bytes] = {}
    listed, targets = "", ""
    for number, (title, lines, notes) in enumerate(slides, 1):
        shapes = (
            shape(lines, "body") + shape([title], "title") + shape(["Meridian Tools"], "ftr") + shape([str(number)], "sldNum")
        )
        parts[f"ppt/slides/slide{number}.xml"] = f"<p:sld {names}>{shapes}</p:sld>"
        parts[f"ppt/notesSlides/notesSlide{number}.xml"] = f"<p:notes {names}>{shape([notes], 'body')}</p:notes>"
        parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = (
            f'<Relationships {relations}><Relationship Id="r1" Target="../notesSlides/notesSlide{number}.xml"/></Relationships>'
        )
        listed += f'<p:sldId id="{number}" r:id="s{number}"/>'
        targets += f'<Relationship Id="s{number}" Target="slides/slide{number}.xml"/>'
    parts["ppt/presentation.xml"] = f"<p:presentation {names}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
    parts["ppt/_rels/presentation.xml.rels"] = f"<Relationships {relations}>{targets}</Relationships>"
    return zipped(path, parts)


def epub(path: Path, title: str, chapters: Sequence[str]) -> Path:
    """A book of these chapters' HTML."""
    items = "".join(
        f'<item id="c{number}" href="c{number}.xhtml" media-type="application/xhtml+xml"/>' for number in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{number}"/>' for number in range(len(chapters)))
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>{title}</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    bodies = {f"OEBPS/c{number}.xhtml": f"<html><body>{body}</body></html>" for number, body in enumerate(chapters)}
    return zipped(path, {"META-INF/container.xml": container, "OEBPS/book.opf": package, **bodies})
