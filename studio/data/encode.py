"""Encode: a file of conversations to memory-mapped token ids and masks, streamed, and made once for the same content.

`encode_file` keeps every row; `limit` then deals with over-long ones, so that the plan can look at the lengths first.
What is left out is counted and listed with file and line.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from studio.core import events
from studio.core.errors import DataError, Stopped
from studio.core.files import folder_aside, read_json, sha256, write_json
from studio.core.text import count, plural
from studio.data.arrays import Writer, mapped
from studio.data.limits import Overlong, shorten_into
from studio.data.pieces import Documents
from studio.data.reasoning import reasons_before_its_last_answer
from studio.data.render import TrainOn, attempt_many, check_template, preview
from studio.data.rows import Conversation, Needs, answers, numbered_lines
from studio.data.tokens import EMPTY, Tokens
from studio.models.chat import date_of
from studio.tracking.reporter import Reporter, Silent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["EMPTY", "Overlong", "Tokens", "encode_file", "limit", "load", "preview"]

LAYOUT = 4
"""Counted up when the same content would be encoded differently."""
BATCH = 256


def encode_file(
    file: Path,
    tokenizer: PreTrainedTokenizerBase,
    train_on: TrainOn,
    out: Path,
    reporter: Reporter | None = None,
    cache: Path | None = None,
    max_length: int | None = None,
    overlong: Overlong = "drop",
    needs: Needs = "conversations",
    replay: Path | None = None,
) -> Tokens:
    """Encode a JSON-lines file of conversations (`Conversation.as_dict`) into the folder `out`, or find it done.

    replay: a file of the same layout whose rows come after those of `file`.
    The same file, tokenizer, template and settings are encoded once: `out`, or `cache` if given, is used again. With
    max_length, `limit` follows. Rows that the template refuses or that have nothing to train are left out and listed
    in `meta["dropped"]`. needs: what the training method learns from. Of pairs the preferred answer is encoded, and where
    both are needed the rejected one after it; of all rows but conversations, only the last turn is then trained. Raises
    DataError if no row is left, ModelError for a template that cannot be used, Stopped.
    """
    train_on = train_on if needs in ("conversations", "texts") else "last_assistant"
    files = [file, *([replay] if replay else [])]
    key = _key(files, tokenizer, train_on, needs)
    kept = cache / key if cache is not None else None
    if _is_done(out, key):
        tokens = load(out, tokenizer)
    else:
        if kept is not None and _is_done(kept, key):
            _copy(kept, out)
        else:
            _encode_into(out, files, tokenizer, train_on, needs, key, reporter or Silent())
            if kept is not None:
                _copy(out, kept)
        tokens = load(out, tokenizer)
    return limit(tokens, max_length, overlong) if max_length is not None else tokens


def load(folder: Path, tokenizer: Any = None) -> Tokens:
    """The tokens `encode_file` or `limit` left in a folder, memory-mapped. tokenizer is needed only to truncate."""
    arrays = {name: mapped(folder / f"{name}.npy") for name in ("ids", "mask", "offsets")}
    positions = mapped(folder / "places.npy")
    wanted = mapped(folder / "wanted.npy") if (folder / "wanted.npy").exists() else None
    meta = read_json(folder / "meta.json")
    return Tokens(folder=folder, positions=positions, meta=meta, tokenizer=tokenizer, wanted=wanted, **arrays)


def limit(tokens: Tokens, max_length: int | None, overlong: Overlong = "drop", out: Path | None = None) -> Tokens:
    """The tokens with no row longer than max_length; the same object if none was.

    drop: over-long rows are left out and listed. truncate: the oldest turns go first, then the beginning of the
    question; an answer keeps its end and its end-of-turn token, and a row whose last answer alone is too long is
    dropped. split: a row of which every token is learned, such as a text, becomes several (`pieces.spans`), others are
    dropped. error: DataError naming file and line. Writes a folder of its own beside the tokens (or `out`).
    """
    longest = tokens.lengths.reshape(-1, tokens.per_row).max(axis=1)
    long = np.flatnonzero(longest > max_length) if max_length is not None else np.empty(0, dtype=np.int64)
    if max_length is None or not len(long):
        return tokens
    if overlong == "error":
        raise DataError(
            f"{plural(len(long), 'row')} are longer than {count(max_length)} tokens; this one has "
            f"{count(int(longest[long[0]]))}",
            hint="Shorten it, raise data.max_length, or set data.overlong to drop, truncate or split.",
            where=tokens.where(int(long[0]) * tokens.per_row),
        )
    out = out or tokens.folder.with_name(f"{tokens.folder.name}-{overlong}-{max_length}")
    key = hashlib.sha256(f"{tokens.meta['key']} {max_length} {overlong}".encode()).hexdigest()[:32]
    if not _is_done(out, key):
        shorten_into(out, tokens, max_length, overlong, set(long.tolist()), key)
    return load(out, tokens.tokenizer)


def _encode_into(
    out: Path,
    files: list[Path],
    tokenizer: PreTrainedTokenizerBase,
    train_on: TrainOn,
    needs: Needs,
    key: str,
    reporter: Reporter,
) -> None:
    size, done = max(sum(file.stat().st_size for file in files), 1), 0
    forgotten, talks = 0, False
    with folder_aside(out) as aside:
        with Writer(aside, per_row=2 if needs == "pairs" else 1, labelled=needs in ("pairs", "labels")) as writer:
            every = numbered_lines(*files)
            documents = Documents(writer) if needs == "texts" else None
            while lines := list(islice(every, BATCH)):
                rows = [Conversation.from_dict(orjson.loads(line)) for _, line in lines]
                forgotten += sum(map(reasons_before_its_last_answer, rows)) if train_on != "last_assistant" else 0
                talks = talks or any(row.messages for row in rows)
                sides = [answers(row, needs) for row in rows]
                made = iter(attempt_many([side for row in sides for side in row], tokenizer, train_on))
                for (place, line), row in zip(lines, sides, strict=True):
                    done += len(line)
                    if documents is not None:
                        documents.put(row[0], place, next(made))
                        continue
                    for group in [row] if needs == "pairs" else [[side] for side in row]:
                        writer.put(group[0], place, [next(made) for _ in group], [side.good is not False for side in group])
                reporter.progress(done, size, "Encoding rows")
                if reporter.should_stop():
                    raise Stopped
            if documents is not None:
                documents.flush()
        if not writer.rows:
            raise _nothing_left(writer, files[0])
        notes = _notes(tokenizer, forgotten) if talks else []
        values = {"source": [str(file) for file in files], "train_on": train_on, "notes": notes, **writer.meta(key)}
        write_json(aside / "meta.json", values)
    if writer.dropped:
        first = writer.list[0]
        reason = f"{Path(first['file']).name}, line {first['line']}: {first['reason']}"
        message = f"{plural(writer.dropped, 'row')} left out because encoding failed; the first: {reason}"
        reporter.event(events.Warning(message=message, hint=writer.hint, rows=tuple(writer.list)))


def _notes(tokenizer: PreTrainedTokenizerBase, forgotten: int) -> list[str]:
    """What a person should know of how the template writes these rows."""
    report = check_template(tokenizer)
    notes = [f"chat template: {note}" for note in report.notes]
    if forgotten and report.forgets and not report.apart:
        notes.append(
            f"{plural(forgotten, 'row')} lose the reasoning of earlier answers, which are learned without it; "
            "data.rows_per: answer learns each answer with its own, data.train_on: last_assistant the last one only"
        )
    return notes


def _nothing_left(writer: Writer, file: Path) -> DataError:
    if not writer.list:
        return DataError("there is no row in it", hint="Check the data with `studio data inspect`.", where=str(file))
    first = writer.list[0]
    return DataError(
        f"none of its {plural(writer.dropped, 'row')} can be trained; the first: {first['reason']}",
        hint=writer.hint or "Check the data with `studio data inspect` and `studio data preview`.",
        where=f"{first['file']}, line {first['line']}",
    )


def _key(files: list[Path], tokenizer: Any, train_on: str, needs: Needs = "conversations") -> str:
    """What the result depends on: the files, the tokenizer with its template, the settings, this code's layout."""
    parts = [
        LAYOUT,
        *map(sha256, files),
        hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        tokenizer.chat_template,
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        train_on,
        *([needs] if needs != "conversations" else []),
        *([str(date_of(tokenizer))] if "strftime_now" in str(tokenizer.chat_template) else []),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _is_done(folder: Path, key: str) -> bool:
    meta = folder / "meta.json"
    return meta.exists() and read_json(meta).get("key") == key


def _copy(source: Path, target: Path) -> None:
    """Hard links where the disk allows them: the files are never written to again."""
    with folder_aside(target) as aside:
        for item in source.iterdir():
            try:
                os.link(item, aside / item.name)
            except OSError:
                shutil.copyfile(item, aside / item.name)
