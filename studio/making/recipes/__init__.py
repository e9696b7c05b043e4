"""Recipes: one file each. This union is the list of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from studio.making.recipes.answers import Answers
from studio.making.recipes.conversations import Conversations
from studio.making.recipes.harder import Harder
from studio.making.recipes.labels import Labels
from studio.making.recipes.paraphrases import Paraphrases
from studio.making.recipes.preferences import Preferences
from studio.making.recipes.questions import Questions
from studio.making.recipes.tool_calls import ToolCalls
from studio.making.recipes.unanswerable import Unanswerable

AnyRecipe = Annotated[
    Questions | Unanswerable | Answers | Paraphrases | Harder | Conversations | Preferences | ToolCalls | Labels,
    Field(discriminator="kind"),
]
