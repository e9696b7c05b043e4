"""What is asked is what was given: a text or a list of messages, and nothing else is turned into a question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from studio.app.chat import Conversation, Talker, as_messages
from studio.core.errors import SpecError

USER = {"role": "user", "content": "How high is it?"}
ANSWER = {"role": "assistant", "content": "Nine metres."}


def test_a_text_is_one_question_after_the_system_prompt_it_was_trained_with() -> None:
    assert as_messages("How high is it?") == [USER]
    assert as_messages("How high is it?", "Be brief.") == [{"role": "system", "content": "Be brief."}, USER]


def test_a_conversation_is_taken_as_it_is_and_its_own_system_prompt_wins() -> None:
    turns = [USER, ANSWER, {"role": "user", "content": "And how wide?"}]
    assert as_messages(turns) == turns
    assert as_messages(tuple(turns)) == turns
    own = [{"role": "system", "content": "Rhyme."}, USER]
    assert as_messages(own, "Be brief.") == own


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ([], "messages", "got []"),
        (" \n", "messages", "the question is empty"),
        ({"role": "user", "content": "a"}, "messages", "got {'role'"),
        (7, "messages", "got 7"),
        (["How high?"], "messages[0]", "got 'How high?'"),
        ([[USER]], "messages[0]", "got [{'role'"),
        ([{"content": "a"}], "messages[0]", "expected a role, got none"),
        ([{"role": "human", "content": "a"}], "messages[0]", "expected a role, got 'human'"),
        ([USER, {"role": "assistant", "content": None}, USER], "messages[1]", "expected content, got None"),
        ([USER, ANSWER], "messages[1]", "from assistant: there is nothing to answer"),
    ],
)
def test_anything_else_is_refused_naming_the_message(given: Any, where: str, message: str) -> None:
    with pytest.raises(SpecError) as found:
        as_messages(given)
    assert found.value.where == where
    assert message in found.value.message
    assert found.value.hint


class Parrot(Talker):
    """Answers with what it was asked, so that a test sees it."""

    def __init__(self, tuned: bool) -> None:
        self.system, self.tuned = "Be brief.", tuned

    def say(self, messages: Any, tuned: bool, **sampling: Any) -> Iterator[str]:
        yield f"{'tuned' if tuned else 'base'}:"
        yield ">".join(message["content"] for message in messages)


def test_each_side_of_a_conversation_goes_on_from_its_own_answers() -> None:
    talk = Conversation(Parrot(tuned=True))
    talk.say("one")
    sides = talk.say("two")
    assert sides.base == "base:Be brief.>one>base:Be brief.>one>two"
    assert sides.tuned == "tuned:Be brief.>one>tuned:Be brief.>one>two"
    assert [message["role"] for message in talk.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert str(talk).count("you:") == 2
    assert Conversation(Parrot(tuned=False), system="").say("one").tuned == ""


def test_a_conversation_is_shown_with_every_text_escaped() -> None:
    talk = Conversation(Parrot(tuned=True))
    talk.say("<script>alert(1)</script>")
    assert "<script>" not in talk._repr_html_()
    assert "&lt;script&gt;" in talk._repr_html_()
