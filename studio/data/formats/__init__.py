"""Row formats. To add one: write its file, then add its name here and in `settings.FormatName`. The list is the registry."""

from __future__ import annotations

from studio.data.columns import Format
from studio.data.formats import alpaca, messages, preference, prompt_completion, question_answer, sharegpt, templated, text

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        preference.FORMAT,
        messages.FORMAT,
        sharegpt.FORMAT,
        templated.FORMAT,
        alpaca.FORMAT,
        prompt_completion.FORMAT,
        question_answer.FORMAT,
        text.FORMAT,
    )
}
"""Every format by its name, the more telling ones first."""
