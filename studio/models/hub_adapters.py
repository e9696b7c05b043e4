"""Adapters on the hub: `hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION`; only their settings and safetensors are downloaded."""

from __future__ import annotations

from pathlib import Path

from studio.core import outbound
from studio.core.errors import ModelError
from studio.models.adapter_files import CONFIG, PICKLED, WEIGHTS
from studio.models.finding import TIMEOUT

PREFIX = "hub:"


def download(name: str) -> Path:
    """The folder of an adapter on the hub, called as its commit.

    What was downloaded before is used where the hub cannot be reached. Raises ModelError with what to do.
    """
    from huggingface_hub import errors, hf_hub_download

    outbound.require_hub()
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ModelError(f"`{name}` names no repository", hint="Write hub:OWNER/NAME, or hub:OWNER/NAME@REVISION.", where=name)
    here = not _answers(repository, revision)
    try:
        config = Path(hf_hub_download(repository, CONFIG, revision=revision or None, local_files_only=here))
        commit = config.parent.name
        hf_hub_download(repository, WEIGHTS, revision=commit, local_files_only=here)
    except errors.GatedRepoError:
        raise ModelError(
            "this adapter is gated: its owner wants its terms accepted first",
            hint=f"Accept them on huggingface.co/{repository}, then run `hf auth login` or set HF_TOKEN.",
            where=name,
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(f"it has no revision `{revision}`", hint="Check what stands after the @.", where=name) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise ModelError("there is no such repository on the hub", hint="Check the name, or its access.", where=name) from None
    except errors.LocalEntryNotFoundError:
        raise ModelError(
            "the hub cannot be reached, and this adapter is not on this machine",
            hint="Go online once, or name a folder.",
            where=name,
        ) from None
    except errors.EntryNotFoundError as problem:
        missing = WEIGHTS if WEIGHTS in str(problem) else CONFIG
        raise ModelError(
            f"it holds no {missing}",
            hint=f"Only LoRA adapters in safetensors are read; {PICKLED} can run any code when opened."
            if missing == WEIGHTS
            else "Name the repository of an adapter, not of a model.",
            where=name,
        ) from None
    except OSError as problem:
        raise ModelError(
            f"the hub cannot be reached ({type(problem).__name__})", hint="Go online once, or name a folder.", where=name
        ) from None
    return config.parent


def _answers(repository: str, revision: str) -> bool:
    """Whether the hub answers at all, asked once: a download would try for half a minute."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repository, CONFIG, revision=revision or None), timeout=TIMEOUT)
    except (errors.HfHubHTTPError, errors.HFValidationError):
        return True  # with a refusal, which the download puts into words
    except Exception:
        return False
    return True
