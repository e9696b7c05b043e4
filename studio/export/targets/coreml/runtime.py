"""Inside the environment `coreml`: a package looked into and, off a Mac, computed in torch from the very weights it holds."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn


class Stepping:
    """A model with a cache that gives the last token's logits, as a runtime."""

    def __init__(self, context: int, ends: Sequence[int]) -> None:
        self.context, self.ends = context, set(ends)
        self.settings: Mapping[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """What the package declares and holds, see `look`."""
        return look(self.settings)

    def step(self, ids: Sequence[int], end: int) -> np.ndarray:
        """Logits float32 [vocabulary] after the last of `ids`, which lie at the places up to `end`; a text begins at 0."""
        raise NotImplementedError

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`; float32 [positions, vocabulary]."""
        first, last = min(positions), max(positions)
        rows = {first: self.step(ids[: first + 1], first + 1)}
        for place in range(first + 1, last + 1):
            rows[place] = self.step(ids[place : place + 1], place + 1)
        return np.stack([rows[place] for place in positions])

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself before the context did."""
        return [self._continued(list(prompt), longest) for prompt in prompts]

    def _continued(self, ids: list[int], longest: int) -> tuple[list[int], bool]:
        said: list[int] = []
        end = len(ids)
        while end <= self.context:
            token = int(self.step(ids, end).argmax())
            if token in self.ends:
                return said, True
            if len(said) == longest:
                break
            said.append(token)
            ids, end = [token], end + 1
        return said, False


class InTorch(Stepping):
    """The package's weights in the decoder it was made from."""

    def __init__(self, merged: Path, package: Path, context: int, ends: Sequence[int]) -> None:
        import torch

        from studio.export.targets.coreml.stateful import Stateful

        super().__init__(context, ends)
        self.model = Stateful(merged, context).eval()
        with torch.no_grad():
            for _, tensor, held in pairs(self.model, weights(package)):
                if held:
                    tensor.copy_(torch.from_numpy(held.values.astype(np.float32).reshape(tensor.shape)))

    def step(self, ids: Sequence[int], end: int) -> np.ndarray:
        """As torch computes it, in float32."""
        import torch

        from studio.export.targets.coreml.stateful import mask

        with torch.inference_mode():
            return self.model(torch.tensor([list(ids)]), mask(len(ids), end)).reshape(-1).numpy()


class Predicting(Stepping):
    """The package itself, run by Core ML. Only on a Mac."""

    def __init__(self, package: Path, context: int, ends: Sequence[int]) -> None:
        import coremltools as ct

        super().__init__(context, ends)
        self.model = ct.models.MLModel(str(package), compute_units=ct.ComputeUnit.CPU_AND_GPU)
        self.state: Any = None

    def step(self, ids: Sequence[int], end: int) -> np.ndarray:
        """As Core ML computes it."""
        from studio.export.targets.coreml.stateful import mask

        if end == len(ids):
            self.state = self.model.make_state()
        given = {"inputIds": np.array([list(ids)], np.int32), "causalMask": mask(len(ids), end).numpy().astype(np.float16)}
        return np.asarray(self.model.predict(given, state=self.state)["logits"], np.float32).reshape(-1)


def opened(settings: Mapping[str, Any]) -> Stepping:
    """settings: merged, package, context, ends (token ids)."""
    package, context, ends = Path(settings["package"]), settings["context"], settings["ends"]
    on_mac = sys.platform == "darwin"
    merged = Path(settings["merged"])
    model = Predicting(package, context, ends) if on_mac else InTorch(merged, package, context, ends)
    model.settings = settings
    return model


def look(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the package at request["package"] declares and holds, against the model in request["merged"].

    `inputs`, `outputs`, `states`: shapes by name (-1: any length); `version`: of its specification; `operations`: how many of
    each kind; `missing`: weights of the model that are not in it; `error`: the most that a weight differs, over the largest
    weight of its tensor, by how it is held (`fp16`, `int8`, `int4`).
    """
    import coremltools as ct

    from studio.export.targets.coreml.stateful import Stateful

    package = Path(request["package"])
    spec = ct.models.utils.load_spec(str(package))
    model = Stateful(Path(request["merged"]), request["context"]).eval()
    error: dict[str, float] = {}
    missing = []
    for name, tensor, held in pairs(model, weights(package)):
        if held:
            error[held.kind] = max(error.get(held.kind, 0.0), _far(held, tensor.numpy()))
        else:
            missing.append(name)
    return {
        "inputs": {item.name: _shape(item.type.multiArrayType) for item in spec.description.input},
        "outputs": {item.name: list(item.type.multiArrayType.shape) for item in spec.description.output},
        "states": {item.name: list(item.type.stateType.arrayType.shape) for item in spec.description.state},
        "version": spec.specificationVersion,
        "operations": dict(Counter(operation.op_type for operation in program(package).functions["main"].operations)),
        "missing": missing,
        "error": error,
        "coremltools": ct.__version__,
    }


def program(package: Path) -> Any:
    """The package's program, as coremltools reads it back."""
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = ct.models.utils.load_spec(str(package))
    folder = package / "Data" / "com.apple.CoreML" / "weights"
    return load(spec, specification_version=spec.specificationVersion, file_weights_dir=str(folder))


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the file, dequantised. kind: `fp16`, `int8` or `int4`."""

    values: np.ndarray
    kind: str


def weights(package: Path) -> dict[str, StoredTensor]:
    """The tensors of the file by their names in torch with underscores."""
    from coremltools.converters.mil.mil import types

    found = {}
    for operation in program(package).functions["main"].operations:
        name = operation.outputs[0].name
        if operation.op_type == "const" and name.endswith("_to_fp16"):
            found[name.removesuffix("_to_fp16")] = StoredTensor(np.asarray(operation.outputs[0].val), "fp16")
        elif operation.op_type.startswith("constexpr"):
            kind = types.builtin_to_string(operation.data.dtype)
            found[name.removesuffix("_to_fp16_quantized")] = StoredTensor(operation.materialized_val_inference(), kind)
    return found


def pairs(model: nn.Module, tensors: Mapping[str, StoredTensor]) -> Iterator[tuple[str, Any, StoredTensor | None]]:
    """Each weight and table of the decoder with what the file holds for it.

    The file holds equal tensors once, under the name of one of them, so one that is not there by name may be there by value.
    """
    for name, tensor in [*model.decoder.named_parameters(), *model.decoder.named_buffers()]:
        if name == "places":
            continue
        held = tensors.get(f"decoder_{name.replace('.', '_')}")
        if held is None or held.values.size != tensor.numel():
            alike = (item for item in tensors.values() if item.values.size == tensor.numel() and item.kind == "fp16")
            held = next((item for item in alike if _far(item, tensor.detach().numpy()) < SAME), None)
        yield name, tensor, held


SAME = 1e-3
"""Tensors that differ by less, over the largest number, are the same in float16."""


def _far(actual: StoredTensor, wanted: np.ndarray) -> float:
    values = actual.values.astype(np.float32).reshape(wanted.shape)
    return float(np.abs(values - wanted).max() / max(float(np.abs(wanted).max()), 1e-9))


def _shape(array: object) -> list[int]:
    """The shape with -1 where a range is allowed."""
    ranges = array.shapeRange.sizeRanges
    return [-1 if item.upperBound != item.lowerBound else item.lowerBound for item in ranges] or list(array.shape)
