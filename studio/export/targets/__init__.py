"""Export targets. To add one: write its file, then add its name here. The union is the registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from studio.export.targets.adapter import AdapterTarget
from studio.export.targets.coreml import CoremlTarget
from studio.export.targets.executorch import ExecutorchTarget
from studio.export.targets.gguf import GgufTarget
from studio.export.targets.gguf_adapter import GgufAdapterTarget
from studio.export.targets.litert import LitertTarget
from studio.export.targets.merged import MergedTarget
from studio.export.targets.merged_4bit import Merged4BitTarget
from studio.export.targets.onnx import OnnxTarget
from studio.export.targets.tensorrt_llm import TensorrtLlmTarget

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
