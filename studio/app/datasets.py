"""Use cases of data: inspect files, and preview the token stream a model would be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from studio.app import scoring
from studio.app.preview_records import PreviewRecord, PreviewToken
from studio.core.files import studio_home
from studio.core.text import shorten
from studio.data import in_memory
from studio.data.curation import references, store
from studio.data.findings import Finding
from studio.data.render import LOOKALIKE, Piece
from studio.data.report import DataReport
from studio.data.settings import Data
from studio.models.settings import Model
from studio.spec import RunSpec, as_spec
from studio.tracking.reporter import Reporter, Silent


def inspect(*data: object, spec: RunSpec | None = None, home: str | Path | None = None, **settings: object) -> DataReport:
    """Detect, check and count; trains nothing. Raises DataError.

    data: paths, datasets of the library (`dataset:NAME`), DataFrames (pandas, polars), lists of mappings,
    `datasets.Dataset`s; none takes the data section of `spec`. A spec or the path of its YAML file, alone, stands for its
    data. settings are those of that section, such as `format="alpaca"`.
    """
    return inspect_with(Silent(), *data, spec=spec, home=home, **settings)


def inspect_with(
    reporter: Reporter, *data: object, spec: RunSpec | None = None, home: str | Path | None = None, **settings: object
) -> DataReport:
    """The same, telling how far it is; raises Stopped when the reporter asks to stop."""
    from studio.data import prepare

    return prepare.inspect(_settings(data, spec, home, settings), reporter)


def findings(*data: Any, spec: RunSpec | None = None, home: str | Path | None = None, **settings: Any) -> Findings:
    """What all checks of the content find in the usable rows, the most frequent first. Takes what `inspect` takes."""
    return findings_with(Silent(), *data, spec=spec, home=home, **settings)


def findings_with(
    reporter: Reporter,
    *data: object,
    spec: RunSpec | None = None,
    home: str | Path | None = None,
    model: Model | None = None,
    losses: int | None = None,
    names: str | None = None,
    **settings: object,
) -> Findings:
    """The same, telling how far it is; raises Stopped when the reporter asks to stop.

    model: its tokenizer counts the lengths. losses: the model also scores at most so many rows, which loads it here.
    names: a token-classification model that looks for names of people, which loads it here too.
    """
    from studio.data import prepare
    from studio.data.checks import CHECKS, base

    wanted = _settings(data, spec, home, settings)
    options = base.Options(regions=tuple(wanted.regions), count_tokens=scoring.token_counter(model) if model else None)
    found = base.findings(prepare.usable(wanted, reporter), CHECKS.values(), options, prepare.held_out(wanted), reporter)
    if model and losses:
        found += _scored(wanted, model, losses, reporter)
    if names:
        found.append(_named(wanted, names, reporter))
    return Findings(found)


def _named(settings: Data, model: str, reporter: Reporter) -> Finding:
    """The usable rows that name people, by a model."""
    from studio.data import people, prepare

    total = sum(1 for _ in prepare.usable(settings))
    named = scoring.named_people(enumerate(prepare.usable(settings)), total, model, reporter)
    first = named.rows[:3]
    begin = islice(enumerate(prepare.usable(settings)), first[-1] + 1 if first else 0)
    examples = tuple(people.example(row) for index, row in begin if index in first)
    return people.finding(named).model_copy(update={"examples": examples})


def _scored(settings: Data, model: Model, most: int, reporter: Reporter) -> list[Finding]:
    """The hardest and most surprising of the usable rows."""
    from studio.data import prepare, surprise

    total = sum(1 for _ in prepare.usable(settings))
    chosen = set(surprise.spread(total, most).tolist())
    rows = {index: row for index, row in enumerate(prepare.usable(settings)) if index in chosen}
    scores = scoring.scores(rows.items(), total, len(rows), model, reporter)
    losses = dict(zip(scores.rows.tolist(), zip(scores.with_question, scores.bare, strict=True), strict=True))
    return [
        finding.model_copy(update={"examples": tuple(surprise.example(rows[index], *losses[index]) for index in indices[:3])})
        for finding, indices in surprise.findings(scores)
    ]


def _settings(data: Sequence[Any], spec: RunSpec | None, home: str | Path | None, settings: Mapping[str, Any]) -> Data:
    """The data section that data and settings make, with the files of named datasets."""
    data, spec = _apart(data, spec)
    values: dict[str, Any] = spec.data.model_dump(exclude_unset=True) if spec else {"holdout": 0.0}
    if data:
        made = [in_memory.as_sources(item, "data.train") for item in data]
        sources = [source for item in made for source in ([item] if isinstance(item, str) else item)]
        values["train"] = [store.reference_of(studio_home(home), source) or source for source in sources]
    return references.located(Data(**{**values, **settings}), studio_home(home))


def _apart(data: Sequence[Any], spec: RunSpec | None) -> tuple[Sequence[Any], RunSpec | None]:
    """Data and spec, where a spec that was given alone in place of data is the spec."""
    alone = data[0] if len(data) == 1 and spec is None else None
    if isinstance(alone, RunSpec) or (isinstance(alone, str | Path) and Path(alone).suffix.lower() in (".yaml", ".yml")):
        return [], as_spec(alone)
    return data, spec


@dataclass(frozen=True)
class Preview:
    """One row as the model sees it: text pieces, each with its token id and whether it is trained on."""

    file: str
    line: int
    pieces: list[Piece]
    notes: tuple[str, ...] = ()
    """What a person should know of the chat template that wrote it."""

    @property
    def trained(self) -> int:
        """Tokens that are learned."""
        return sum(piece.trained for piece in self.pieces)

    @property
    def lookalikes(self) -> list[str]:
        """Texts such as `<|im_end|>` that people wrote and that were encoded as characters, not as the token."""
        text = "".join(piece.text if piece.quoted else "\n" for piece in self.pieces)
        return sorted(set(LOOKALIKE.findall(text)))

    def record(self) -> PreviewRecord:
        """As a record, for `--json` and pages."""
        tokens = tuple(
            PreviewToken(id=piece.id, text=piece.text, trained=piece.trained, control=piece.control, quoted=piece.quoted)
            for piece in self.pieces
        )
        return PreviewRecord(
            file=self.file, line=self.line, trained=self.trained, tokens=tokens, notes=self.notes,
            lookalikes=tuple(self.lookalikes),
        )  # fmt: skip

    def __repr__(self) -> str:
        learned = "".join(piece.text for piece in self.pieces if piece.trained)
        return f"<{self.file}, line {self.line}: {len(self.pieces)} tokens, {self.trained} trained: {shorten(learned)!r}>"


class Previews(list[Preview]):
    """Rows as the model sees them; a notebook shows them token by token."""

    def _repr_html_(self) -> str:
        from studio.app import display

        return display.previews(self)


class Findings(list[Finding]):
    """What the checks of the content found, the most frequent first."""

    def _repr_html_(self) -> str:
        from studio.app import display

        return display.findings(self)


def preview(
    data: object = None,
    model: str | None = None,
    rows: int = 3,
    spec: RunSpec | None = None,
    home: str | Path | None = None,
    **settings: object,
) -> Previews:
    """The first rows as token pieces, through the very code that trains. Raises DataError, ModelError.

    data: what `inspect` takes; nothing takes the data of `spec`, whose settings count too. model: whose tokenizer and chat
    template to use; None takes the spec's, else the starter. settings are those of the data section.
    """
    from studio.data import encode, prepare
    from studio.models import loading

    given, spec = _apart([] if data is None else [data], spec)
    read_as = _settings(given, spec, home, settings)
    wanted = spec.model if spec and model is None else Model(name=model or "starter")
    tokenizer = loading.tokenizer(loading.find(wanted), wanted.chat_template)
    found = list(islice(prepare.usable(read_as), rows))
    notes = encode.check_template(tokenizer).notes if any(row.messages for row in found) else ()
    return Previews(Preview(row.file, row.line, encode.preview(row, tokenizer, read_as.train_on), notes) for row in found)
