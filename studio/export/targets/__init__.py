"""Export targets. To add one: write its file, then add its name here. The union is the registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from studio.export.targets.adapter.settings import AdapterTarget
from studio.export.targets.coreml.settings import CoremlTarget
from studio.export.targets.executorch.settings import ExecutorchTarget
from studio.export.targets.gguf.settings import GgufTarget
from studio.export.targets.gguf_adapter.settings import GgufAdapterTarget
from studio.export.targets.litert.settings import LitertTarget
from studio.export.targets.merged.settings import MergedTarget
from studio.export.targets.merged_4bit.settings import Merged4BitTarget
from studio.export.targets.onnx.settings import OnnxTarget
from studio.export.targets.tensorrt_llm.settings import TensorrtLlmTarget

AnyTarget = Annotated[
    AdapterTarget
    | MergedTarget
    | Merged4BitTarget
    | GgufTarget
    | GgufAdapterTarget
    | OnnxTarget
    | ExecutorchTarget
    | LitertTarget
    | CoremlTarget
    | TensorrtLlmTarget,
    Field(discriminator="kind"),
]
