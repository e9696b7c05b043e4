"""What a model hub answers instead of a file, in our words: one table for models, their weights and adapters."""

from __future__ import annotations

from studio.core.errors import ModelError


def hub_error(problem: Exception, name: str, revision: str | None) -> ModelError | None:
    """An answer of the hub as an error that says what to do; None where the hub was not reached at all."""
    from huggingface_hub import errors

    site = f"{_host()}/{name}"
    response = getattr(problem, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(problem, errors.GatedRepoError):
        return ModelError(
            "this model is gated: its owner wants its terms accepted first",
            hint=f"Accept them on {site}, then run `hf auth login` or set HF_TOKEN.",
            where=name,
        )
    if isinstance(problem, errors.RevisionNotFoundError):
        return ModelError(f"it has no revision `{revision}`", hint="Check model.revision.", where=name)
    if isinstance(problem, errors.EntryNotFoundError) and not isinstance(problem, errors.LocalEntryNotFoundError):
        return ModelError("it has no config.json", hint="Name a transformers model.", where=name)
    if isinstance(problem, errors.RepositoryNotFoundError):
        return None
    if status == 429:
        wait = response.headers.get("retry-after", "") if response is not None else ""
        return ModelError(
            "the hub answers no more requests for now (429)",
            hint=f"Try again {f'in {wait} seconds' if wait.isdigit() else 'in a few minutes'}; with a token (`hf auth login`) "
            "the hub allows more.",
            where=name,
        )
    if status in (401, 403):
        return ModelError(
            f"the hub refuses access to it ({status})",
            hint=f"Check that your token may read {site} (`hf auth whoami`), or log in with `hf auth login`.",
            where=name,
        )
    return None


def _host() -> str:
    """The hub's address without its scheme: the mirror's, where HF_ENDPOINT names one."""
    from huggingface_hub import constants

    return constants.ENDPOINT.partition("://")[2].rstrip("/")
