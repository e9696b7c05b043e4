"""Word documents, presentations and books are zip archives of XML: opened with limits, and never followed elsewhere."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from studio.core.errors import DataError
from studio.core.text import size
from studio.data.readers import containers

LARGEST_PART = 64 << 20
"""Bytes of one part of a document."""
_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class Parts:
    """The parts of a document that is an archive. Raises DataError for what is unsafe or cannot be read."""

    def __init__(self, path: Path, name: str, what: str) -> None:
        self._name, self._what = name, what
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as problem:
            raise self._unreadable(problem) from None
        try:
            containers.refuse_bomb(self._archive, name)
            for entry in self._archive.infolist():
                containers.refuse_unsafe(entry, name)
                if PurePosixPath(entry.filename).name.lower() == "vbaproject.bin":
                    raise DataError(
                        "it contains macros, which can run code",
                        hint="Save it again without macros (.docx, .pptx).",
                        where=name,
                    )
        except BaseException:
            self._archive.close()
            raise
        self.names = frozenset(self._archive.namelist())

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def bytes(self, part: str) -> bytes:
        """A part, unpacked."""
        try:
            with self._archive.open(part) as stream:
                content = stream.read(LARGEST_PART + 1)
        except KeyError:
            raise self._unreadable(f"its part `{part}` is missing") from None
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as problem:
            raise self._unreadable(problem) from None
        if len(content) > LARGEST_PART:
            raise DataError(
                f"its part `{part}` is larger than {size(LARGEST_PART)}", hint="Split the document.", where=self._name
            )
        return content

    def xml(self, part: str) -> Element:
        """A part as a tree of elements; one with a document type, and so with entities, is refused."""
        return parse(self.bytes(part), f"{self._name}:{part}")

    def relations(self, part: str) -> tuple[dict[str, str], int]:
        """The parts that `part` names, by relation id, and how many it names outside of the document (never followed)."""
        folder = PurePosixPath(part).parent
        file = str(folder / "_rels" / f"{PurePosixPath(part).name}.rels")
        inside: dict[str, str] = {}
        outside = 0
        for relation in self.xml(file).iter(_RELATION) if file in self.names else ():
            if relation.get("TargetMode") == "External":
                outside += not relation.get("Type", "").endswith("/hyperlink")
                continue
            inside[relation.get("Id", "")] = resolve(folder, relation.get("Target", ""))
        return inside, outside

    def _unreadable(self, problem: object) -> DataError:
        return DataError(f"it cannot be read as {self._what}: {problem}", hint="Open it and save it again.", where=self._name)


def parse(content: bytes, where: str) -> Element:
    """An XML document as a tree. Raises DataError if it is not well formed, or declares a document type: entities can
    unpack to any size and name files of this machine."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise DataError(
            "it declares an XML document type (DTD), which can contain decompression bombs",
            hint="Open it in the program that created it and save it again.",
            where=where,
        )

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        builder.start(_named(name), {_named(key): value for key, value in attributes.items()})

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda name: builder.end(_named(name))
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as problem:
        raise DataError(f"its XML is damaged: {problem}", hint="Open it and save it again.", where=where) from None
    return builder.close()


def resolve(folder: PurePosixPath, target: str) -> str:
    """The part that `target` names, seen from a folder of the archive."""
    steps: list[str] = [] if target.startswith("/") else list(folder.parts)
    for step in PurePosixPath(target.lstrip("/")).parts:
        if step == "..":
            steps = steps[:-1]
        elif step != ".":
            steps.append(step)
    return "/".join(steps)


def _named(name: str) -> str:
    return "{" + name if "}" in name else name
