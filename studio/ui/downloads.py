"""Downloads: an export as one file, a run's evidence page, a document's page as a picture. Names come from our own lists,
never paths from a request."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import answer_comparison, audit, benchmark_results, documents
from studio.app.documents import Collection, DocumentRecord
from studio.core.errors import StudioError
from studio.ui import access, visit

if TYPE_CHECKING:
    from starlette.applications import Starlette


def add_routes(app: Starlette, home: Path) -> None:
    """`/download/bench/{name}`, `/download/comparison/{name}/{what}`,
    `/download/{run}/evidence` and `/download/{run}/export/{folder}`."""
    from starlette.requests import Request
    from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

    async def evidence(request: Request) -> Response:
        run = request.path_params["run"]
        page = _report(home, run)
        if page is None:
            return PlainTextResponse("there is no such report\n", 404)
        return FileResponse(page, filename=f"{run}-evidence.html", media_type="application/octet-stream")

    async def export(request: Request) -> Response:
        run, folder = request.path_params["run"], request.path_params["folder"]
        found = export_folder(home, run, folder)
        if found is None:
            return PlainTextResponse("there is no such export\n", 404)
        if here := visit.of(request):
            access.require_role(here, "export.download")
            audit.record(home, here.person, "export.download", f"{run}/{folder}", address=here.address)
        weights = sorted(found.glob("*.gguf"))
        if len(weights) == 1 and not (found / "deploy").is_dir():
            return FileResponse(weights[0], filename=f"{run}-{weights[0].name}", media_type="application/octet-stream")
        name = f"{run}-{folder}.zip"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(zipped(found, Path(name).stem), media_type="application/zip", headers=headers)

    def measured(request: Request) -> Response:  # not async: it may draw the page first
        name = request.path_params["name"]
        page = benchmark_results.written_page(name, home)
        if page is None:
            return PlainTextResponse("there is no such measurement\n", 404)
        return FileResponse(page, filename=f"bench-{name}.html", media_type="application/octet-stream")

    async def compared(request: Request) -> Response:
        found = comparison_file(home, request.path_params["name"], request.path_params["what"])
        if found is None:
            return PlainTextResponse("there is no such comparison\n", 404)
        return FileResponse(
            found, filename=f"comparison-{found.parent.name}{found.suffix}", media_type="application/octet-stream"
        )

    def page(request: Request) -> Response:  # not async: it may draw the page first
        found = _picture(home, request.path_params["name"], request.path_params["folder"], request.path_params["number"])
        if found is None:
            return PlainTextResponse("there is no such page\n", 404)
        return FileResponse(found, media_type="image/png")

    app.add_route("/documents/{name}/{folder}/{number:int}.png", page, methods=["GET"])
    app.add_route("/download/comparison/{name}/{what}", compared, methods=["GET"])
    app.add_route("/download/bench/{name}", measured, methods=["GET"])
    app.add_route("/download/{run}/evidence", evidence, methods=["GET"])
    app.add_route("/download/{run}/export/{folder}", export, methods=["GET"])


def comparison_file(home: Path, name: str, what: str) -> Path | None:
    """The page or the answers of a comparison of exactly that id."""
    folder = {folder.name: folder for folder in answer_comparison.comparisons(home)}.get(name)
    file = {"page": "report.html", "answers": "answers.jsonl"}.get(what)
    return folder / file if folder is not None and file is not None else None


def picture_address(collection: Collection, document: DocumentRecord, number: int) -> str:
    """Where a page of a document is shown as a picture."""
    return f"/documents/{collection.name}/{collection.folder(document.name).name}/{number}.png"


def _picture(home: Path, name: str, folder: str, number: int) -> Path | None:
    collection = next((item for item in documents.collections(home) if item.name == name), None)
    if collection is None:
        return None
    record = next((item for item in collection.documents if collection.folder(item.name).name == folder), None)
    with contextlib.suppress(StudioError):
        return documents.picture(collection, record, number, home) if record else None
    return None


def export_folder(home: Path, run: str, folder: str) -> Path | None:
    """The folder of an export, if a run of exactly that id has one of exactly that name."""
    found = _run(home, run)
    names = {file.parent.name: file.parent for file in found.glob("exports/*/artifact.json")} if found else {}
    return names.get(folder)


def _run(home: Path, run: str) -> Path | None:
    return {file.parent.name: file.parent for file in (home / "runs").glob("*/asked.yaml")}.get(run)


def _report(home: Path, run: str) -> Path | None:
    found = _run(home, run)
    page = found / "evaluation" / "report.html" if found else None
    return page if page and page.is_file() else None


class _Outlet:
    """Where zipfile writes and a response reads: a file without a beginning to go back to."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


def zipped(folder: Path, root: str) -> Iterator[bytes]:
    """A folder as an uncompressed zip file, piece by piece, so that a model of many gigabytes takes no memory or disk."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[arg-type] - writes only
        for file in sorted(item for item in folder.rglob("*") if item.is_file() and not item.is_symlink()):
            inside = file.relative_to(folder)
            if any(part.startswith(".") for part in inside.parts):  # being written, or left by something that was killed
                continue
            info = zipfile.ZipInfo.from_file(file, f"{root}/{inside.as_posix()}", strict_timestamps=False)
            with open(file, "rb") as source, archive.open(info, "w", force_zip64=True) as target:
                while block := source.read(1 << 20):
                    target.write(block)
                    yield outlet.take()
    yield outlet.take()
