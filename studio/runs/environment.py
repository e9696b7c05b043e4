"""The environment a run is trained in: that of whoever asked for it, also when a supervisor starts it an hour later.

Variables are passed on by name, from a list. Secrets are not in it: they are never written to disk. A queued run takes them
from the keyring, or from the supervisor if that was started with the very same ones.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

PASSED_ON = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA",
    "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE",
    "WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_RUN_GROUP", "WANDB_JOB_TYPE",
    "WANDB_TAGS",
    "STUDIO_OUTBOUND",
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What changes which device, model or server a run uses."""
SECRETS = ("WANDB_API_KEY", "HF_TOKEN")
"""What a run may need and no file may hold."""


def of_asker(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that go with a run; a value with a user name and password in an address stays behind."""
    values = os.environ if variables is None else variables
    return {name: values[name] for name in PASSED_ON if name in values and "@" not in values[name]}


def marks(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Eight digits of a hash of each secret in an environment: enough to see that two are the same, too few to find one."""
    values = os.environ if variables is None else variables
    return {name: hashlib.sha256(values[name].encode()).hexdigest()[:8] for name in SECRETS if values.get(name)}


def for_run(asked: Mapping[str, str] | None, marks_of_asker: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the asker's variables in place of its own; None: the run asked for none.

    A secret of this process goes with the run only if the asker had the same: nobody's run is sent to another's account.
    """
    if asked is None:
        return dict(os.environ)
    here = marks()
    strange = {name for name in here if marks_of_asker is not None and marks_of_asker.get(name) != here[name]}
    own = {name: value for name, value in os.environ.items() if name not in PASSED_ON and name not in strange}
    return {**own, **{name: str(value) for name, value in asked.items() if name in PASSED_ON}}


def left_behind(marks_of_supervisor: Mapping[str, str]) -> list[str]:
    """The secrets of this environment that a queued run will not have: the supervisor has another or none, and no keyring."""
    from studio.tracking import secrets

    here = marks()
    return [name for name in here if here[name] != marks_of_supervisor.get(name) and not secrets.stored(name)]
