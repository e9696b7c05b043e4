"""Advice where the layout of a file must be asked for: readings a person can choose from, each with a row read that way.

Columns with known names come first. A proposal never takes a rejected answer, an identifier, or a column of objects; where
no name tells which column is which, none is proposed and the columns are listed with what is in them.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence

from studio.core.plain import is_list, is_object
from studio.core.text import nearest
from studio.data.choices import Choice, choice
from studio.data.columns import LABELS, SHARED, Table, identifies, matches, shared_columns
from studio.data.formats import FORMATS
from studio.data.leaves import Leaf, has_text, leaves, only_mark, without_copies
from studio.data.paths import value_at
from studio.data.speech import is_among_others, speech
from studio.data.usual_names import ANSWERS, CONTEXTS, QUESTIONS

_PAIRS = (("description", "close notes"), ("short description", "close notes"))
"""Columns that are known to belong together, by their whole names."""
_TITLES = (("subject",), ("title",))
"""What names a text and answers nothing."""
_WHO = frozenset(("role", "author", "sender", "speaker", "type", "kind", "direction"))
"""Keys within an object that say who speaks or what it is, and nothing to learn."""


def guesses(table: Table) -> list[Choice]:
    """Readings that names, or there being only two texts, speak for; the surest first."""
    if named := _task(table) or _misspelt(table) or _inner_messages(table):
        return [named]
    every = [leaf for leaf in leaves(table) if not is_among_others(table, leaf.path)]
    translates = any(leaf.words == ("target",) for leaf in every)
    candidates = [leaf for leaf in every if not identifies(" ".join(leaf.words)) or (translates and leaf.words == ("source",))]
    candidates = [leaf for leaf in candidates if "." not in leaf.path or leaf.words[-1] not in _WHO]
    candidates = [leaf for leaf in without_copies(table, candidates) if not _is_number_of_name(leaf, every)]
    if paired := _known_pair(table):
        return [paired]
    texts = [leaf for leaf in candidates if leaf.text]
    answer = _best([leaf for leaf in candidates if not _is_prose(leaf)], ANSWERS)
    if answer and answer.words[-1] == "text" and len(answer.words) == 1:
        answer = None  # `text` alone is rather what is asked
    question = _best([leaf for leaf in texts if leaf != answer], QUESTIONS)
    if answer and not question:
        question = next((leaf for leaf in texts if leaf != answer and _questions(table, leaf) > 0.5), None)
    if answer and not answer.text and len(texts) > 2:
        answer = None  # a number beside several texts, such as a score
    mark = only_mark(table)
    question = question or (texts[0] if mark and not answer and len(texts) == 1 else None)
    beside = [leaf for leaf in texts if leaf != question]
    if mark and not answer and question and (not beside or _best(beside, CONTEXTS) in beside[:1] == beside):
        answer = mark
    if question and not answer and len(texts) == 2 and "text" not in question.words:
        answer = next((leaf for leaf in texts if leaf != question and leaf.words[-1:] not in _TITLES), None)
    if answer and not question and len([leaf for leaf in texts if leaf != answer]) == 1:
        question = next(leaf for leaf in texts if leaf != answer)
    if numbered := next(((one, two) for one, two in itertools.pairwise(texts) if _follows(one, two)), None):
        question, answer = numbered
    if not (question and answer) and (told := speech(table)):
        shared = shared_columns(table, (told.column,), SHARED)
        return [item for item in (choice(table, {**told.columns, **shared}, roles=told.roles),) if item.sample]
    choices: list[Choice] = []
    by_last = {leaf.words[-1]: leaf.path for leaf in reversed(candidates) if leaf.words and not leaf.words[-1].isdigit()}
    roles = {role: by_last[role] for role in ("instruction", "input", "output") if role in by_last}
    if not ({"instruction", "output"} <= roles.keys() and any("." in path for path in by_last.values())):
        roles = {"question": by_last["q"], "answer": by_last["a"]} if {"q", "a"} <= by_last.keys() else {}
    if roles:
        return [item for item in (choice(table, _with_shared(table, roles)),) if item.sample]
    if question and answer:
        context = _best([leaf for leaf in texts if leaf not in (question, answer) and not _is_one_of_many(leaf)], CONTEXTS)
        between = {"context": context.path} if context else {}
        roles = {"question": question.path, **between, **_choices(table, answer), "answer": answer.path}
        choices.append(choice(table, _with_shared(table, roles)))
    elif not question and not answer and len(texts) == 2:
        one, two = texts
        asks = _questions(table, two) > _questions(table, one)
        roles = {"question": (two if asks else one).path, "answer": (one if asks else two).path}
        choices.append(choice(table, _with_shared(table, roles)))
    only = [leaf for leaf in texts if not LABELS.intersection(leaf.words) and not _is_one_of_many(leaf)]
    if len(only) == 1:
        choices.append(choice(table, {"text": only[0].path}))
    if question and not answer and len(texts) == 2 and "text" in question.words:
        others = [leaf for leaf in texts if leaf != question and leaf.words[-1:] not in _TITLES]
        pairs = [{"question": question.path, "answer": other.path} for other in others]
        choices += [choice(table, _with_shared(table, pair)) for pair in pairs]
    return [item for item in choices if item.sample]


def _choices(table: Table, answer: Leaf) -> dict[str, str]:
    """The column of choices that an answer's number, letter or text is one of."""
    known = matches(table, FORMATS["question_answer"].roles["choices"])
    listed = [name for name in known if name != answer.path and table.share(name, is_list) > 0.5]
    return {"choices": listed[0]} if listed else {}


def _is_number_of_name(leaf: Leaf, every: Sequence[Leaf]) -> bool:
    """Whether a label is a number that a column beside it has the name of: `label` beside `label_text`."""
    return not leaf.text and any(
        other.text and other.words in ((*leaf.words, "text"), (*leaf.words, "name")) for other in every
    )


def _is_one_of_many(leaf: Leaf) -> bool:
    """Whether a text is the first of a list, of which the others would be left out."""
    return leaf.path.rpartition(".")[2].isdigit()


def _task(table: Table) -> Choice | None:
    """A task with its definition: what is asked for above what it is asked of."""
    names = {table.plain[name]: name for name in table.names}
    wanted = (("definition",), ("inputs", "input"), ("targets", "target", "output"))
    columns = [next((names[known] for known in each if known in names), "") for each in wanted]
    if not all(columns):
        return None
    found = choice(table, _with_shared(table, dict(zip(("instruction", "input", "output"), columns, strict=True))))
    return found if found.sample else None


def _is_prose(leaf: Leaf) -> bool:
    """Whether a name such as `description_text` only says that it is the text of what is asked."""
    return leaf.words[-1:] == ("text",) and bool(set(QUESTIONS).difference(("text",)).intersection(leaf.words))


def _inner_messages(table: Table) -> Choice | None:
    """A conversation one name down: `chat.messages`."""
    for name in table.names:
        inner = next((value for row in table.rows if is_object(value := row.values.get(name))), dict[str, object]())
        for key, value in inner.items():
            if is_list(value) and value and is_object(value[0]) and {"role", "content"} <= value[0].keys():
                found = choice(table, _with_shared(table, {"messages": f"{name}.{key}"}))
                return found if found.sample else None
    return None


def _known_pair(table: Table) -> Choice | None:
    """A question and an answer of a tool whose columns' names are known as a whole."""
    for pair in _PAIRS:
        found = [next((name for name in table.names if table.plain[name] == wanted), None) for wanted in pair]
        if all(found):
            made = choice(table, _with_shared(table, {"question": str(found[0]), "answer": str(found[1])}))
            return made if made.sample else None
    return None


def _follows(one: Leaf, two: Leaf) -> bool:
    """Whether two columns are the first and the second of a kind: `message_1` and `message_2`."""
    return (
        "." not in one.path and one.words[:-1] == two.words[:-1] != () and (one.words[-1:], two.words[-1:]) == (("1",), ("2",))
    )


def preferences(table: Table) -> list[Choice]:
    """How pairs of a preferred and a rejected answer can be read for training on the preferred one alone."""
    chosen = next((name for name in table.names if table.plain[name] in FORMATS["preference"].roles["chosen"]), None)
    if chosen is None:  # two answers and a verdict: no column holds the better ones
        return []
    if table.share(chosen, lambda value: is_list(value) and len(value) > 1) > 0.5:
        return [choice(table, {"messages": chosen})]
    for role, names in (("messages", ("messages",)), ("conversations", ("conversations", "conversation"))):
        for name in table.names:
            if table.plain[name] in names:
                own = "messages" if table.share(name, lambda value: is_list(value) and "role" in value[0]) > 0.5 else role
                return [choice(table, _with_shared(table, {own: name, "answer": chosen}))]
    others = [leaf for leaf in leaves(table) if leaf.text and leaf.path != chosen]
    asked = _best(others, QUESTIONS)
    if asked:
        return [choice(table, _with_shared(table, {"question": asked.path, "answer": chosen}))]
    if table.share(chosen, lambda value: isinstance(value, str)) > 0.5:
        return [item for item in (choice(table, {"templated": chosen}),) if item.sample]
    return []


def _with_shared(table: Table, roles: dict[str, str]) -> dict[str, str]:
    """The roles with a system prompt, earlier turns and the like, where the file has them."""
    return {**roles, **shared_columns(table, roles.values(), SHARED)}


def _misspelt(table: Table) -> Choice | None:
    """A known layout whose columns are all there, some of them misspelt."""
    for name in ("alpaca", "question_answer", "prompt_completion"):
        form = FORMATS[name]
        roles: dict[str, str] = {}
        for role, known in form.roles.items():
            if name == "question_answer" and role not in form.required:
                continue
            usual = [word for word in known if len(word) > 4] if name == "question_answer" else known
            for column in table.names:
                if column not in roles.values() and (table.plain[column] in usual or _is_near(table.plain[column], usual)):
                    roles[role] = column
                    break
        if set(form.required) <= roles.keys() and any(
            table.plain[column] not in form.roles[role] for role, column in roles.items()
        ):
            found = choice(table, roles)
            return found if found.sample else None
    return None


def _is_near(name: str, known: Sequence[str]) -> bool:
    """Whether a name is a known one with a letter amiss: `ouput`, but not `agent` for `target`."""
    near = nearest(name, known)
    return near is not None and abs(len(near) - len(name)) <= 1 and difflib.SequenceMatcher(None, near, name).ratio() >= 0.8


def _best(candidates: Sequence[Leaf], known: Sequence[str]) -> Leaf | None:
    """The candidate whose name holds the surest of the known words; the last word of a name weighs most."""
    ranked = [
        (known.index(word), position, leaf)
        for leaf in candidates
        for position, word in enumerate(reversed(leaf.words))
        if word in known and (leaf.text or "." not in leaf.path or not has_text(candidates, leaf))
    ]
    ranked.sort(key=lambda item: item[:2])
    if len(ranked) > 1 and ranked[0][:2] == ranked[1][:2] and "." in ranked[0][2].path:
        return None  # parts of one object: the name they share tells nothing
    return ranked[0][2] if ranked else None


def _questions(table: Table, leaf: Leaf) -> float:
    """The share of a column's values that end with a question mark."""
    values = [str(value_at(row.values, leaf.path) or "") for row in table.rows]
    return sum(value.rstrip().endswith(("?", "？")) for value in values) / max(len(values), 1)
