"""The desk of a dataset version: its rows, and the edits that people make to them, batch by batch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import orjson

from studio.core import people
from studio.core.errors import DataError
from studio.data.collected import CollectedRow
from studio.data.curation import added
from studio.data.curation import edits as edit_records
from studio.data.curation.database import DeskDatabase
from studio.data.curation.edits import (
    DECISIONS,
    Add,
    Approve,
    Content,
    Edit,
    Exclude,
    Join,
    KeepAnswer,
    Mask,
    Relabel,
    Rewrite,
    checked_content,
    joined,
    rows_of,
)
from studio.data.curation.masking import masked
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import Batch, DeskRow, Query
from studio.tracking.reporter import Reporter

REPEATS, CONTRADICTIONS = "repeats", "contradictions"
Which: TypeAlias = Literal["first", "last", "longest"]
_Make: TypeAlias = Callable[[DeskRow], Edit | None]


class Desk(DeskDatabase):
    """An open desk. Use it in a `with` statement; `open_desk` makes its rows where they are missing."""

    # Edits: each method is one batch, which `undo` takes back as a whole.

    def approve(self, query: Query, why: str = "") -> Batch:
        """Mark rows as good."""
        return self._decide(query, Approve, why)

    def exclude(self, query: Query, why: str = "") -> Batch:
        """Leave rows out of the next version."""
        return self._decide(query, Exclude, why)

    def mask(self, query: Query, kinds: Sequence[str] = (), why: str = "") -> Batch:
        """Replace personal data, of these kinds or of all, by tokens in rows that are not excluded."""

        def edit(row: DeskRow) -> Edit | None:
            found = masked(row.content, kinds, self.item.data.regions) if row.status != "excluded" else None
            return Mask(row=row.id, after=found.content, kinds=found.kinds, before=row.content.digest) if found else None

        return self._each(query, "mask", why, edit)

    def rewrite(self, name: str | int, content: Content, why: str = "") -> Batch:
        """Let a row say something else. Raises DataError if it could not be trained on."""
        content = checked_content(content, self.turns, f"row {name}")
        return self._each(
            Query(rows=(str(name),)),
            "edit",
            why,
            lambda row: Rewrite(row=row.id, after=content, before=row.content.digest) if content != row.content else None,
        )

    def relabel(self, query: Query, answer: str, why: str = "") -> Batch:
        """Give rows another answer. Raises DataError for an empty one."""
        if not answer.strip():
            raise DataError("the new answer is empty", hint="Write the label the rows should have.", where="relabel")
        return self._each(
            query, "relabel", why, lambda row: Relabel(row=row.id, answer=answer) if row.content.answer != answer else None
        )

    def keep_answer(self, name: str | int, why: str = "") -> Batch:
        """Of the rows that ask the same, keep this one's answer: rows that answer otherwise are left out."""
        row = self.row(name)
        others = tuple(
            other.id for other in self.same_question(row) if other.id != row.id and other.content.answer != row.content.answer
        )
        if not others:
            raise DataError("no other row answers this question differently", hint="Approve the row.", where=f"row {name}")
        return self._do("keep_answer", [KeepAnswer(row=row.id, others=others)], why)

    def keep_answers(self, which: Which, query: Query | None = None, why: str = "") -> Batch:
        """For every question with different answers keep the first, the last or the longest one."""
        asked = query or Query(check=CONTRADICTIONS)
        made: list[Edit] = []
        done: set[str] = set()
        for row in self.rows(asked):
            if row.id in done or row.status == "excluded":
                continue
            group = self.same_question(row)
            done.update(item.id for item in group)
            chosen = (
                group[0] if which == "first" else group[-1] if which == "last"
                else max(group, key=lambda item: len(item.content.answer))
            )  # fmt: skip
            others = tuple(item.id for item in group if item.content.answer != chosen.content.answer)
            if others:
                made.append(KeepAnswer(row=chosen.id, others=others))
        return self._do("keep_answer", made, why)

    def join(self, names: Sequence[str | int], why: str = "") -> Batch:
        """Make one conversation of several rows, in this order, in the place of the first."""
        rows = [self.row(name) for name in names]
        if len({row.id for row in rows}) < 2:
            raise DataError("one row cannot be joined", hint="Name two rows or more.", where="join")
        kinds = {row.content.format for row in rows}
        if len(kinds) > 1 or "preference" in kinds:
            raise DataError(
                "only conversations, or only plain texts, can be joined", hint="Join rows of one kind.", where="join"
            )
        after = checked_content(joined([row.content for row in rows]), self.turns, f"row {rows[0].number}")
        return self._do("join", [Join(row=rows[0].id, others=tuple(row.id for row in rows[1:]), after=after)], why)

    def add(self, rows: Iterable[tuple[Content, CollectedRow]], why: str = "") -> Batch:
        """Add rows that people made of a model's answers. Rows that are there already are left out; raises DataError for one
        that could not be trained on, or of another kind than the version's rows."""
        first = next(self.rows(most=1), None)
        made: dict[str, Edit] = {}
        unchanged = 0
        for content, source in rows:
            where = f"feedback {source.number}"
            content = checked_content(content, self.turns, where)
            if first is not None and content.kind != first.content.kind:
                raise DataError(
                    f"{self.item.reference} holds {first.content.kind}, and this adds {content.kind}",
                    hint="Add them to another dataset, or make a new one.",
                    where=where,
                )
            known = self._db.execute("SELECT 1 FROM rows WHERE id = ?", (content.digest,)).fetchone()
            if known or content.digest in made:
                unchanged += 1
            else:
                made[content.digest] = Add(row=content.digest, after=content, source=source)
        return self._do("add", list(made.values()), why, unchanged)

    def source_of(self, row: DeskRow) -> CollectedRow | None:
        """The rated answer that a row was added for by an edit of this desk."""
        return next((edit.source for edit in added.counting(self._db) if edit.row == row.id), None)

    def apply(self, edits: Iterable[Edit], where: str = "") -> Batch:
        """Edits from elsewhere, e.g. a JSONL file, as one batch. Raises DataError for a row that is not there, or that says
        something else than the edit was made for; nothing is applied then."""
        made: list[Edit] = []
        for place, edit in enumerate(edits, 1):
            line = f"{where}, line {place}" if where else f"edit {place}"
            if isinstance(edit, Add):
                content = checked_content(edit.after, self.turns, line)
                made.append(edit.model_copy(update={"after": content, "row": content.digest}))
                continue
            known = {name: self._known(name, line) for name in rows_of(edit)}
            present = known[edit.row]
            if isinstance(edit, (Rewrite, Mask)):
                if edit.before and edit.before != present.content.digest:
                    raise DataError(
                        f"row {present.number} says something else by now",
                        hint="Make the edit again from the present row: studio data curate NAME --json lists rows.",
                        where=line,
                    )
                edit = edit.model_copy(update={"after": checked_content(edit.after, self.turns, line)})
            if isinstance(edit, Join):
                edit = edit.model_copy(update={"after": checked_content(edit.after, self.turns, line)})
            ids = {name: row.id for name, row in known.items()}  # a file may name rows by their numbers
            changes: dict[str, object] = {"row": ids[edit.row]}
            if isinstance(edit, (KeepAnswer, Join)):
                changes["others"] = tuple(ids[name] for name in edit.others)
            made.append(edit.model_copy(update=changes))
        return self._do("apply", made, "")

    def undo(self) -> Batch:
        """Take back the last batch that was not taken back yet. Raises DataError if there is none."""
        with self._writing():
            row = self._db.execute("SELECT MAX(batch) FROM edits WHERE undone IS NULL").fetchone()
            if row[0] is None:
                raise DataError("there is nothing to undo", hint="No edit was made on this version.", where=self.item.title)
            number = int(row[0])
            texts = [text for (text,) in self._db.execute("SELECT edit FROM edits WHERE batch = ?", (number,))]
            undone = [edit_records.parse(json.loads(text)) for text in texts]
            self._db.execute("UPDATE edits SET undone = ? WHERE batch = ?", (time.time(), number))
            added.remove(self._db, added.of(undone))
            self._settle(name for edit in undone for name in rows_of(edit))
            return Batch(number, len(undone), undone[0].action)

    def edits(self) -> Iterator[Edit]:
        """The edits that count, in order."""
        for (text,) in self._db.execute("SELECT edit FROM edits WHERE undone IS NULL ORDER BY seq"):
            yield edit_records.parse(json.loads(text))

    def _decide(self, query: Query, kind: type[Approve] | type[Exclude], why: str) -> Batch:
        """An approval or exclusion of each row of a query that does not stand there yet."""
        action = kind.model_fields["action"].default
        _need_rows(query, action)
        where, values = self._where(query)
        found = self._db.execute(f"SELECT id, status FROM rows {where} ORDER BY number", values).fetchall()
        made: list[Edit] = [kind(row=name) for name, status in found if status != DECISIONS[action]]
        return self._do(action, made, why, len(found) - len(made))

    def _each(self, query: Query, action: str, why: str, make: _Make) -> Batch:
        """One edit for each row of a query that has something to change."""
        _need_rows(query, action)
        made: list[Edit] = []
        unchanged = 0
        for row in self.rows(query):
            edit = make(row)
            if edit is None:
                unchanged += 1
            else:
                made.append(edit)
        return self._do(action, made, why, unchanged)

    def _do(self, action: str, edits: list[Edit], why: str, unchanged: int = 0) -> Batch:
        """Keep edits as one batch and settle the rows they touch."""
        if not edits:
            return Batch(0, 0, action, unchanged)
        now, who = round(time.time(), 3), people.who()
        with self._writing():
            batch, first = self._db.execute(
                "SELECT COALESCE(MAX(batch), 0) + 1, COALESCE(MAX(seq), 0) + 1 FROM edits"
            ).fetchone()
            sign = {"who": who, "when": now, "why": why}
            lines = (edit_records.as_line(edit) for edit in edits)
            signed = ({**line, **{name: value for name, value in sign.items() if value}, **line} for line in lines)
            self._db.executemany(
                "INSERT INTO edits (seq, batch, edit) VALUES (?, ?, ?)",
                ((seq, batch, orjson.dumps(line).decode()) for seq, line in enumerate(signed, first)),
            )
            touched = [(name, seq) for seq, edit in enumerate(edits, first) for name in rows_of(edit)]
            self._db.executemany("INSERT OR IGNORE INTO touched VALUES (?, ?)", touched)
            self._insert(added.of(edits))
            self._settle(name for name, _ in touched)
        return Batch(batch, len(edits), action, unchanged)

    def _known(self, name: str, where: str) -> DeskRow:
        try:
            return self.row(name)
        except DataError as problem:
            raise DataError(problem.message, hint=problem.hint, where=where) from None


def open_desk(
    item: DatasetVersion,
    reporter: Reporter | None = None,
    count: Callable[[Sequence[str]], Sequence[int]] | None = None,
    model: str = "",
) -> Desk:
    """The desk of a version; its rows are read and checked where that was not done yet. Raises DataError, Stopped.

    count: counts the tokens of texts by the tokenizer of `model`; rows whose lengths another one counted are checked again.
    """
    desk = Desk(item)
    try:
        if not desk.ready or (model and desk.counted_by != model):
            desk.build(reporter, count, model)
    except BaseException:
        desk.close()
        raise
    return desk


def _need_rows(query: Query, action: str) -> None:
    if not query:
        raise DataError("no rows are chosen", hint="Choose a finding, a status, a text or rows; --all means all.", where=action)
