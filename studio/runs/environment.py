"""The environment a run is trained in: that of whoever asked for it, also when a supervisor starts it an hour later.

Variables are passed on by name, from a list. Secrets are not in it: they are never written to disk. A queued run takes them
from the keyring, or from the supervisor if that was started with the very same ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping

from studio.remote.endpoint import key_name
from studio.spec import RunSpec

PASSED_ON = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA",
    "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET", "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_RUN_GROUP", "WANDB_JOB_TYPE",
    "WANDB_TAGS", "TRACKIO_DIR", "TRACKIO_SERVER_URL",
    "STUDIO_OUTBOUND",
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy",
    "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""What changes which device, model or server a run uses."""
_SECRET_INSIDE = re.compile(r"@|token=|key=|password=", re.IGNORECASE)
SECRETS = ("WANDB_API_KEY", "HF_TOKEN")
"""What any run may need and no file may hold. A judge or teacher behind an API needs a key of its own."""


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a key that a run may use."""
    return name in SECRETS or name.endswith("_API_KEY") or name.startswith("STUDIO_KEY_")


def keys_of(spec: RunSpec) -> list[str]:
    """The names under which a run finds the keys of its judge and its teacher, where they are behind an API."""
    judge, method = spec.evaluation.judge, spec.training.method
    asked = [(judge.model, judge.key), (getattr(method, "teacher", ""), getattr(method, "teacher_key", None))]
    return [key or key_name(url.partition("#")[0]) for url, key in asked if url.startswith(("http://", "https://"))]


def of_asker(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that go with a run; an address with a password or a token in it stays behind."""
    values = os.environ if variables is None else variables
    return {name: values[name] for name in PASSED_ON if name in values and not _SECRET_INSIDE.search(values[name])}


def marks(also: Iterable[str] = ()) -> dict[str, str]:
    """Eight digits of a hash of each secret in this environment: enough to see that two are the same, too few to find one.

    also: names of further secrets, which a spec gives to the keys of its models.
    """
    names = {*filter(is_secret, os.environ), *also}
    return {name: _mark(os.environ[name]) for name in sorted(names) if os.environ.get(name)}


def _mark(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def for_run(requested: Mapping[str, str] | None, marks_of_asker: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the asker's variables in place of its own; None: the run asked for none.

    A secret of this process goes with the run only if the asker had the same: nobody's run is sent to another's account.
    """
    if requested is None:
        return dict(os.environ)
    here = marks(marks_of_asker or ())
    strange = {name for name in here if marks_of_asker is not None and marks_of_asker.get(name) != here[name]}
    own = {name: value for name, value in os.environ.items() if name not in PASSED_ON and name not in strange}
    return {**own, **{name: str(value) for name, value in requested.items() if name in PASSED_ON}}


def left_behind(marks_of_supervisor: Mapping[str, str], keys: Iterable[str] = ()) -> list[str]:
    """The secrets of this environment that a queued run will not have: the supervisor has another or none, and no keyring.

    keys: those that the spec's models need besides the common ones.
    """
    from studio.tracking import secrets

    here = marks(keys)
    wanted = [name for name in (*SECRETS, *keys) if name in here]
    return [name for name in wanted if here[name] != marks_of_supervisor.get(name) and not secrets.stored(name)]
