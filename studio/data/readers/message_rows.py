"""Tables with one message a row: an identifier of the conversation, who speaks, and what is said. They are put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.errors import DataError
from studio.core.text import plural
from studio.data import times
from studio.data.columns import plain, words
from studio.data.marks import is_flag, is_number
from studio.data.readers.facts import Facts
from studio.data.readers.message_order import in_order
from studio.data.readers.speakers import who
from studio.data.rows import Rejected, Row
from studio.data.shared import is_marked
from studio.data.speakers import known

MESSAGES = 2_000_000
"""Messages of a file that are held at once."""
_CONVERSATIONS = (
    *("conversation", "conv", "thread", "ticket", "chat", "session", "dialog", "dialogue", "case", "issue", "call"),
    *("vorgang", "vorgangs", "fall", "gespräch", "gesprächs", "konversation", "konversations", "unterhaltung"),
    *("conversación", "conversacion", "caso", "hilo", "sesión", "sesion", "discussion", "dossier", "conversa", "conversazione"),
)
_NUMBERS = ("", " id", " number", " no", " key", "id", " nr", "nr", " nummer", "nummer", " número", " numero", " numéro")
_OF_ONE = frozenset(
    (
        *("", *(f"{name}{end}" for name in _CONVERSATIONS for end in _NUMBERS)),
        *(f"{begin}{name}" for name in _CONVERSATIONS for begin in ("número de ", "numero de ", "numéro de ")),
    )
)
_SPEAKERS = (
    *("sender type", "sender role", "author type", "author role", "user type", "role", "speaker", "sender", "from", "author"),
    *("participant", "actor", "who", "direction", "inbound", "is inbound", "incoming", "from customer"),
    *("absender", "absenderin", "sprecher", "sprecherin", "verfasser", "autor", "rolle", "von"),
    *("remitente", "emisor", "autor", "rol", "expéditeur", "expediteur", "auteur", "rôle", "mittente", "autore", "remetente"),
    *("type", "poster", "name"),
)
_SAID = (
    *("message", "message text", "message body", "nachricht", "nachrichtentext", "mensaje", "messaggio", "mensagem"),
    *("text", "content", "body", "inhalt", "texto", "contenido", "contenu", "testo"),
    *("utterance", "msg", "comment", "reply"),
)
_TURNS = frozenset(
    (
        *("turn", "turn id", "turn number", "turn index", "turn no", "order", "position", "seq", "sequence", "sequence number"),
        *("step", "utterance idx", "utterance id", "message number", "message no", "message index", "message order", "index"),
    )
)
_TIMES = frozenset(
    (
        *words("created timestamp time date datetime ts sent received posted datum zeit uhrzeit fecha hora heure epoch"),
        *(
            f"{what} {at}"
            for what in words("created sent posted received submitted added")
            for at in words("at on time date utc")
        ),
        *(
            f"{at} {what}"
            for what in words("created sent posted received submitted added")
            for at in words("time date datetime")
        ),
        *(f"{what} {at}" for what in words("message msg event comment reply") for at in words("time date timestamp datetime")),
        *(
            "date time",
            "time stamp",
            "creation date",
            "creation time",
            "timestamp utc",
            "timestamp ms",
            "unix time",
            "createdate",
        ),
        *("erstellt am", "gesendet am", "unix timestamp", "date and time", "message created at", "createdat", "sentat"),
        *("datum uhrzeit", "datum zeit", "datum und uhrzeit", "zeitpunkt", "zeitstempel", "erstellt", "gesendet"),
        *("fecha hora", "fecha y hora", "date heure", "date et heure", "envoyé le", "data ora", "data e ora", "data hora"),
    )
)
_IDS = ("message id", "tweet id", "post id", "comment id", "id")
_PARENTS = frozenset(
    ("in response to tweet id", "in reply to", "in reply to id", "reply to", "reply to id", "parent id", "parent")
)
_PRIVATE = frozenset(("private", "is private", "internal", "is internal"))
_CAME_IN = {
    **dict.fromkeys(("in", "inbound", "incoming", "received", "true", "1", "m"), "user"),
    **dict.fromkeys(("out", "outbound", "outgoing", "sent", "false", "0", "r"), "assistant"),
    "n": "note",
}
"""What says whether a message came in; help desks write M for a message, R for a reply, N for a note among the staff."""
_COMING = frozenset(("direction", "inbound", "is inbound", "incoming", "from customer", "type"))


@dataclass(frozen=True)
class Columns:
    """Which columns of a table of messages say what."""

    conversation: str
    speaker: str
    said: str
    order: tuple[str, ...]
    """The turn's number or the message's time; or its date, and the time of day in a column of its own."""
    private: str | None


def columns_of(head: Sequence[Row], facts: Facts) -> Columns | None:
    """The columns of a table whose rows are single messages; None for any other table."""
    names = {plain(name): name for row in head for name in row.values}
    conversation = next((names[name] for name in names if name in _OF_ONE and name), None)
    said = next((names[name] for name in _SAID if name in names), None)
    if facts.format == "text" or _answers(names, said):
        return None
    if said is None or not all(isinstance(row.values.get(said), str | None) for row in head):
        return None
    if conversation is None:
        _refuse_loose(head, names, facts)
        return None
    ids = [str(row.values.get(conversation)) for row in head]
    if len(set(ids)) == len(ids):
        return None
    speakers = [names[name] for name in _SPEAKERS if name in names and names[name] != said]
    usable = [name for name in speakers if len({_text(row, name) for row in head}) > 1]
    sure = next((name for name in usable if all(_role(row.values, name, facts) for row in head)), None)
    speaker = sure or next((name for name in usable if plain(name) not in _COMING), None)
    if speaker is None:
        return None
    private = next((name for key, name in names.items() if key in _PRIVATE), None)
    return Columns(conversation, speaker, said, _ordering(head, names), private)


def _ordering(head: Sequence[Row], names: Mapping[str, str]) -> tuple[str, ...]:
    """The columns by which messages are put in order, if there are any."""
    held = {name: [value for row in head if (value := _text(row, name))] for name in names.values()}
    numbers = next(
        (name for key, name in names.items() if key in _TURNS and held[name] and all(map(is_number, held[name]))), None
    )
    if numbers:
        return (numbers,)
    dated = [name for key, name in names.items() if key in _TIMES and held[name] and not all(map(is_flag, held[name]))]
    clocks = [name for name in dated if all(map(times.is_clock, held[name]))]
    whole = [name for name in dated if name not in clocks]
    whole.sort(key=lambda name: not any(map(times.moment, held[name])))  # those that can be read come first
    if whole and clocks and all(times.is_date(value) for value in held[whole[0]]):
        return whole[0], clocks[0]
    return tuple((whole or clocks)[:1])


def _answers(names: Mapping[str, str], said: str | None) -> bool:
    """Whether a column beside the messages holds answers to them: then a row is a question with its answer."""
    from studio.data.formats import FORMATS

    known = {*FORMATS["question_answer"].roles["answer"], "chosen", "summary", "resolution"}
    return any(key in known and name != said for key, name in names.items())


def _refuse_loose(head: Sequence[Row], names: Mapping[str, str], facts: Facts) -> None:
    """Raise DataError for messages of user and assistant that nothing puts together."""
    speaker = next((names[name] for name in ("role", "speaker", "sender") if name in names), None)
    if speaker is None or len(names) > 4 or facts.format == "text":
        return
    if {_role(row.values, speaker, facts) for row in head} >= {"user", "assistant"}:
        raise DataError(
            f"its rows are single messages (`{speaker}` says who speaks), and nothing says which of them belong together",
            hint="Add a column `conversation_id` with the same value in each message of a conversation.",
            where=facts.name,
        )


def answering(rows: Iterable[Row | Rejected], head: Sequence[Row], facts: Facts) -> Iterator[Row | Rejected] | None:
    """The rows with `message_id`, `parent_id`, `role` and `text`, where each says which message it answers; else None."""
    names = {plain(name): name for row in head for name in row.values}
    parent = next((name for key, name in names.items() if key in _PARENTS), None)
    own = next((names[name] for name in _IDS if name in names), None)
    said = next((names[name] for name in _SAID if name in names), None)
    speakers = [names[name] for name in _SPEAKERS if name in names]
    speaker = next((name for name in speakers if all(_role(row.values, name, facts) for row in head)), None)
    if not (parent and own and said and speaker) or not any(_text(row, parent) for row in head):
        return None
    return (row if isinstance(row, Rejected) else _linked(row, own, parent, speaker, said, facts) for row in rows)


def _linked(row: Row, own: str, parent: str, speaker: str, said: str, facts: Facts) -> Row:
    values = row.values
    linked = {"message_id": values.get(own), "parent_id": values.get(parent) or None, "text": values.get(said)}
    return Row({**linked, "role": _role(values, speaker, facts)}, row.file, row.line)


def conversations(rows: Iterable[Row | Rejected], columns: Columns, facts: Facts) -> Iterator[Row | Rejected]:
    """Each conversation as a row, in the order they begin. Raises DataError if it is not clear who is the assistant."""
    found: dict[str, list[Row]] = {}
    held = notes = 0
    unknown: dict[str, None] = {}
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        role = _role(row.values, columns.speaker, facts)
        if role == "note" or _is_private(row.values, columns):
            notes += 1
            continue
        if not role:
            unknown.setdefault(_text(row, columns.speaker) or "(empty)")
        found.setdefault(str(row.values.get(columns.conversation)), []).append(row)
        held += 1
        if held > MESSAGES:
            raise DataError(
                f"it holds more than {plural(MESSAGES, 'message')}, too many to put together",
                hint="Split it so that each conversation is whole in one file.",
                where=facts.name,
            )
    if unknown:
        raise who(list(unknown), facts, f"its rows are single messages, spoken by `{columns.speaker}`", text=True)
    left = f"; left out: {plural(notes, 'private note')}" if notes else ""
    made = f"{plural(len(found), 'conversation')} were put together by `{columns.conversation}`"
    facts.remarks.append(f"Its rows are single messages; {made}{left}.")
    ordered = _in_order(list(found.values()), columns.order, facts)
    for messages in ordered:
        yield _conversation(messages, columns, facts)


def _in_order(conversations: list[list[Row]], order: tuple[str, ...], facts: Facts) -> list[list[Row]]:
    """The messages of each conversation by number or time; as they stand where there is neither."""
    if not order and not facts.message_order:
        return conversations
    return in_order(conversations, lambda row: " ".join(_text(row, name) for name in order), " ".join(order), facts)


def _conversation(messages: list[Row], columns: Columns, facts: Facts) -> Row:
    first = messages[0]
    taken = (columns.speaker, columns.said, *columns.order, columns.private)
    beside = {name: value for name, value in first.values.items() if name not in taken}
    spoken = [{"role": _role(row.values, columns.speaker, facts), "content": row.values.get(columns.said)} for row in messages]
    return Row({**beside, "messages": [turn for turn in spoken if turn["content"]]}, first.file, first.line)


def _role(values: Mapping[str, Any], column: str, facts: Facts) -> str:
    said = str(values.get(column)).strip().lower()
    return known(said, facts.roles) or (_CAME_IN.get(said, "") if plain(column) in _COMING else "")


def _is_private(values: Mapping[str, Any], columns: Columns) -> bool:
    return columns.private is not None and is_marked(values, columns.private)


def _text(row: Row, name: str) -> str:
    value = row.values.get(name)
    return str(value).strip() if value is not None else ""
