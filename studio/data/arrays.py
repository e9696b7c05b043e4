"""Encoded rows written one by one to arrays on disk, which are read memory-mapped."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import StudioError
from studio.data.render import Encoded
from studio.data.rows import Conversation

if TYPE_CHECKING:
    import numpy.typing as npt

LISTED = 100_000
"""So many left-out rows are listed one by one; all are counted."""


class Growing:
    """A .npy file appended to; its header, of fixed length, is put right at the end."""

    def __init__(self, path: Path, kind: npt.DTypeLike, width: int = 0) -> None:
        self.kind, self.width, self.count = np.dtype(kind), width, 0
        self.file = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self._header()
        self.begin = self.file.tell()

    def add(self, values: object) -> None:
        """Append values; one row of them if the array is two-dimensional."""
        array = np.asarray(values, dtype=self.kind)
        self.file.write(array.tobytes())
        self.count += 1 if self.width else len(array)

    def close(self) -> None:
        """Write the true length and close the file."""
        self.file.seek(0)
        self._header()
        if self.file.tell() != self.begin:
            raise AssertionError("the header of a .npy file changed its length")
        self.file.close()

    def _header(self) -> None:
        shape = (self.count, self.width) if self.width else (self.count,)
        header = {"descr": np.lib.format.dtype_to_descr(self.kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)


def mapped(path: Path) -> np.ndarray:
    """The array in a .npy file, read from disk only where it is looked at."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


class Writer:
    """Rows appended to .npy files whose length is known only at the end; counts what was left out."""

    def __init__(self, folder: Path, per_row: int = 1, labelled: bool = False) -> None:
        """per_row: sequences that make one row; labelled: whether each is good or bad."""
        self.per_row = per_row
        self.wanted = Growing(folder / "wanted.npy", np.bool_) if labelled else None
        self.ids, self.mask = Growing(folder / "ids.npy", np.int32), Growing(folder / "mask.npy", np.uint8)
        self.offsets, self.places = Growing(folder / "offsets.npy", np.int64), Growing(folder / "places.npy", np.int64, 3)
        self.rows = self.tokens = self.trained = self.dropped = self.truncated = 0
        self.files: list[str] = []
        self.hint = ""
        """What to do about the first row that could not be encoded."""
        self.list: list[dict[str, Any]] = []
        self.cuts: list[dict[str, Any]] = []
        self.seen = array("q")
        self.offsets.add([0])

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *problem: object) -> None:
        for growing in (self.ids, self.mask, self.offsets, self.places, self.wanted):
            if growing is not None:
                growing.close()

    def put(
        self, row: Conversation, index: int, sequences: Sequence[Encoded | StudioError], wanted: Sequence[bool] = (True,)
    ) -> None:
        """One row with its sequences as they were encoded, or why one was not."""
        error = next((side for side in sequences if isinstance(side, StudioError)), None)
        sides = [side for side in sequences if isinstance(side, Encoded)]
        if error is not None:
            self.hint = self.hint or error.hint
            self.drop(row.file, row.line, error.message)
        elif not all(side.trained for side in sides):
            self.drop(row.file, row.line, "it has no token to train")
        else:
            if row.file not in self.files:
                self.files.append(row.file)
            for side, good in zip(sides, wanted, strict=True):
                self.add(side.ids, side.mask, self.files.index(row.file), row.line, index, good)

    def add(self, ids: Sequence[int] | np.ndarray, mask: object, file: int, line: int, index: int, wanted: bool = True) -> None:
        """One sequence, with where it came from, and whether its answer is a preferred one."""
        if self.wanted is not None:
            self.wanted.add([wanted])
        mask = np.asarray(mask, dtype=np.uint8)
        self.ids.add(ids)
        self.mask.add(mask)
        self.rows += 1
        self.tokens += len(ids)
        self.trained += int(mask.sum())
        self.seen.append(len(ids))
        self.offsets.add([self.tokens])
        self.places.add([file, line, index])

    def drop(self, file: str, line: int, reason: str) -> None:
        """A row that is left out, and why."""
        self.dropped += 1
        if len(self.list) < LISTED:
            self.list.append({"file": file, "line": line, "reason": reason})

    def cut(self, file: str, line: int, was: int, now: int) -> None:
        """A row that was shortened."""
        self.truncated += 1
        if len(self.cuts) < LISTED:
            self.cuts.append({"file": file, "line": line, "tokens": was, "kept": now})

    def meta(self, key: str) -> dict[str, Any]:
        """What `meta.json` says."""
        lengths = np.array(self.seen)
        shares = {f"p{share}": int(np.percentile(lengths, share)) for share in (5, 25, 50, 75, 90, 95, 99)}
        return {
            "key": key,
            "rows": self.rows,
            "per_row": self.per_row,
            "tokens": self.tokens,
            "trained": self.trained,
            "lengths": {"shortest": int(lengths.min()), **shares, "longest": int(lengths.max())},
            "dropped": {"count": self.dropped, "rows": self.list},
            "truncated": {"count": self.truncated, "rows": self.cuts},
            "files": self.files,
        }
