"""What every export starts from, and what it is measured on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from studio.core.files import read_json, sha256
from studio.export.merging.run_info import RunInfo
from studio.models import adapter_files
from studio.models.settings import Model
from studio.tracking.secrets import redact

if TYPE_CHECKING:
    from studio.hardware.dims import ModelDims
    from studio.models.loading import FoundModel

Onto = Literal["dequantized", "original"]
GREETING = "Hello!"
"""The question that examples ask."""


@dataclass(frozen=True)
class Source:
    """A finished run as its exports see it."""

    base: FoundModel
    """The base model as `studio.models.loading.find` found it."""
    model: Model
    """How it was held while training: resolved settings."""
    adapter: Path
    """The trained PEFT folder."""
    name: str
    """The run's name, for file names and titles."""
    exports: Path
    """Where `<kind>/` folders go."""
    longest: int = 0
    """Tokens of the longest row it was trained on; 0: not known."""
    about: RunInfo = field(default_factory=RunInfo)
    """What else is known of the run."""
    day: date | None = None
    """The day on which the run was planned, for chat templates that write one."""
    train: Path | None = None
    """The encoded training rows, `data/train.tokens`, where the run still has them."""

    @property
    def quantized(self) -> bool:
        """True if the base weights were held in 4 or 8 bit while the adapter was trained."""
        return self.model.quantization in ("nf4", "int8")

    @cached_property
    def adapter_files(self) -> dict[str, str]:
        """SHA-256 of the adapter's settings and weights, by file name."""
        return {file.name: sha256(file) for file in sorted(self.adapter.glob("adapter_*")) if file.is_file()}

    @cached_property
    def base_config(self) -> Any:
        """The transformers config of the base model's language part, the one that is trained."""
        from transformers import AutoConfig

        settings = {"revision": self.base.revision} if self.base.revision else {}
        return AutoConfig.from_pretrained(self.base.path_or_id, trust_remote_code=False, **settings).get_text_config()

    @cached_property
    def dims(self) -> ModelDims:
        """The base's dimensions."""
        from studio.models.dims import model_dims

        return model_dims(self.base.config)

    @property
    def parameters(self) -> int:
        """How many weights the base has."""
        return self.dims.parameters

    @property
    def system(self) -> str:
        """The system prompt that every row without one was trained with; empty where there was none."""
        return str((self.about.spec.get("data") or {}).get("system") or "")

    @property
    def first_messages(self) -> list[dict[str, str]]:
        """A first question as the run was trained to be asked, under its system prompt, in which what looks like a secret is
        masked: the example of every card, prompt file and command that comes with an export."""
        system = [{"role": "system", "content": redact(self.system)}] if self.system else []
        return [*system, {"role": "user", "content": GREETING}]

    @property
    def base_name(self) -> str:
        """The base's name without a machine's path: a hub id, `starter`, or a local folder's own name."""
        return self.base_id or self._local_name

    @property
    def base_id(self) -> str:
        """The base model's hub id; empty for a folder of which nobody says what it holds."""
        return self.base.hub_id or ("" if self.base.local else self.base.name)

    @property
    def base_place(self) -> str:
        """What stands for the base in a command: its hub id, or a folder that the user puts in."""
        return self.base_id or f"FOLDER_OF/{Path(self.base_name).name}"

    @property
    def _local_name(self) -> str:
        return Path(self.base.name).name if self.base.local and Path(self.base.name).is_absolute() else self.base.name

    @property
    def rank(self) -> int:
        """The adapter's rank, the highest where layers differ; 0 after full fine-tuning."""
        settings = read_json(self.adapter / "adapter_config.json")
        if adapter_files.is_full(settings):
            return 0
        return max([int(settings.get("r", 0)), *map(int, (settings.get("rank_pattern") or {}).values())])

    @property
    def by_name(self) -> bool:
        """Whether servers can load the adapter by name on its base: plain LoRA, no DoRA and no modules trained whole."""
        settings = read_json(self.adapter / "adapter_config.json")
        return not any(settings.get(name) for name in ("use_dora", "modules_to_save"))

    def onto(self, wanted: Onto | None) -> Onto:
        """Which base weights a merge is made into: those trained on, unless the original ones are asked for."""
        return (wanted or "dequantized") if self.quantized else "original"

    def folder_suffix(self, wanted: Onto | None) -> str:
        """What a folder's name adds when other base weights are asked for than a merge takes by itself."""
        return "" if self.onto(wanted) == self.onto(None) else f"-{wanted}"

    def describe(self) -> dict[str, Any]:
        """The sources as the manifest names them: no machine paths, a hash for everything that has no revision."""
        return {
            "base": {
                "name": self.base_name,
                "revision": self.base.revision,
                "license": self.base.license,
                "weights": self._base_files(),
            },
            "held_as": {"quantization": self.model.quantization, "dtype": self.model.dtype},
            "adapter": self.adapter_files,
        }

    def _model_values(self) -> dict[str, Any]:
        """The model section; what the user calls a folder counts only where it is said."""
        values = self.model.model_dump(mode="json")
        return {name: value for name, value in values.items() if value is not None or name not in ("hub_id", "license")}

    def key(self, *more: object) -> str:
        """Sixteen hex digits that change whenever anything this export depends on does."""
        values = [self.adapter_files, self.base.name, self.base.revision, self._model_values(), *more]
        return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def _base_files(self) -> dict[str, str]:
        """SHA-256 of a local base's files; a hub model is named by its commit."""
        folder = self.base.folder
        if folder is None:
            return {}
        return {file.name: sha256(file) for file in sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])}


def source_tokenizer(source: Source) -> Any:
    """The tokenizer with the template that was trained, which writes the run's day where it writes one."""
    from studio.models import loading
    from studio.models.chat import write_day

    made = loading.tokenizer(source.base, source.model.chat_template)
    write_day(made, source.day)
    return made
