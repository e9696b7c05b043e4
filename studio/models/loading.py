"""Load: a base model in 4, 8 or 16 bit, an adapter on it, and the weights as the quantised model sees them.

The one door for the rest of the studio, so that what has to be put right after each load is put right everywhere:
bitsandbytes' packed CPU weights (`without_packing`), fused experts left unquantised, tensors missing from a checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from studio.core import noise
from studio.core.errors import HardwareError, ModelError
from studio.core.machine_errors import Fault, machine_fault
from studio.core.text import plural, shorten
from studio.hardware import machine
from studio.models import adapter_files, libraries
from studio.models.architectures import architecture_of
from studio.models.architectures.base import ConfigValues
from studio.models.dims import model_dims
from studio.models.finding import FoundModel, config, find
from studio.models.settings import Model
from studio.models.tokenizers import tokenizer
from studio.models.widening import widened

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

__all__ = [
    "FoundModel",
    "Loaded",
    "as_loaded",
    "attach_adapter",
    "config",
    "dequantize",
    "find",
    "load_base",
    "model_dims",
    "tokenizer",
    "without_packing",
]

log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound="nn.Module")

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
TEXT_PART = {r"^language_model\.": "", r"^model\.language_model\.": "model."}
"""Names of tensors in the checkpoint of a model that also sees, as its text part alone has them."""
_loading = threading.RLock()
"""Held while a model is loaded. transformers patches its own classes meanwhile (no initialisation, no tied weights) and puts
back what it found: two threads loading at once leave the patch in force, and every tied head after that is random numbers."""


class Loaded(NamedTuple):
    """A base model with an adapter on it, and the tokenizer of both."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase


def load_base(model: Model, device: str, found_model: FoundModel | None = None, *, as_stored: bool = False) -> Any:
    """The base model on a device ("cpu", "cuda"), frozen and in evaluation mode, held as a resolved `model` section says.

    Weights come from safetensors alone and no code of the model's own is run. With nf4, fused experts are quantised too
    (`studio.models.experts`). On a CPU that emulates 16 bit its weights are made fp32, with the same values; not
    so with `as_stored`, for training as the spec says and for what only rewrites weights.
    Raises ModelError for weights that do not belong to the architecture, HardwareError if memory runs out.
    """
    libraries.import_heavy()
    import torch
    import transformers

    found_model = found_model or find(model)
    dtype = getattr(torch, DTYPES[model.dtype or "fp32"])
    settings: dict[str, Any] = {"revision": found_model.revision} if found_model.revision else {}
    on = "cuda:0" if device == "cuda" else device
    with _quiet(), _translated(found_model.name, device), _experts(model):
        wanted = transformers.AutoConfig.from_pretrained(found_model.path_or_id, trust_remote_code=False, **settings)
        text = wanted.get_text_config()  # of a model that also sees, the part that reads and writes
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            found_model.path_or_id,
            config=text,
            key_mapping=TEXT_PART if text is not wanted else None,
            dtype=dtype,
            device_map={"": on},
            attn_implementation=_attention(model.attention, text),
            quantization_config=_quantization(model, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **settings,
        )
        base, report = loaded
        _all_there(report, found_model.name)
    base.requires_grad_(False)
    return without_packing(base.eval() if as_stored else widened(base.eval(), device))


def as_loaded(model: Model, device: str) -> Model:
    """A model section with what it leaves open decided for answering: 16 bit on a GPU, 32 bit on a CPU, not quantised.

    A GPU without bfloat16 computes fp16, or fp32 for the families that overflow it.
    """
    dtype = "fp32" if device == "cpu" else "bf16"
    gpu = machine.probe().gpu if device != "cpu" and model.dtype is None else None
    if gpu and not gpu.bf16:
        dtype = "fp32" if architecture_of(find(model).config, model.name).overflows_fp16 else "fp16"
    changes = {
        "quantization": model.quantization or "none",
        "dtype": model.dtype or dtype,
        "attention": model.attention or "sdpa",
    }
    return Model(**{**model.model_dump(), **changes})


def stored_dtype(config: ConfigValues) -> Any:
    """The number format that a config says the weights are stored in: bf16 where it says nothing."""
    own = str((config.get("text_config") or config).get("dtype") or config.get("torch_dtype") or "bfloat16")
    return {"float32": "fp32", "float16": "fp16"}.get(own, "bf16")


def attach_adapter(base: nn.Module, folder: str | Path, name: str = "default") -> Any:
    """The base with the adapter in `folder` on it, in evaluation mode. Raises ModelError if they do not fit.

    base may have adapters on it already; each has a `name` of its own.
    """
    libraries.import_heavy()
    from peft import PeftModel

    check_adapter(base.get_base_model() if isinstance(base, PeftModel) else base, Path(folder))
    with _quiet():
        try:
            if isinstance(base, PeftModel):
                base.load_adapter(str(folder), adapter_name=name, use_safetensors=True)
                model = base
            else:
                model = PeftModel.from_pretrained(base, str(folder), adapter_name=name, use_safetensors=True)
        except (ValueError, RuntimeError, KeyError, TypeError, OSError) as problem:
            said = f"it lacks {problem}" if isinstance(problem, KeyError) else shorten(str(problem), 300)
            raise ModelError(
                f"the adapter does not fit this base model: {said}",
                hint="Use the base it was trained on; adapter_config.json names it.",
                where=str(folder),
            ) from None
    return without_packing(model.eval())


def check_adapter(base: nn.Module, folder: Path) -> None:
    """Raise ModelError unless an adapter folder is whole and fits a base, which may be without its weights; warn of one that
    changes nothing, or much more than adapters do."""
    adapter_files.match(folder, adapter_files.check(folder), base)
    if not adapter_files.check_values(folder):
        log.warning("all B matrices of the adapter in %s are zero: it changes nothing", folder)
    if scaling := adapter_files.unusual_scaling(folder):
        log.warning("the adapter in %s multiplies what it learned by %s; usual is 1 to 4 (see its lora_alpha)", folder, scaling)


def dequantize(model: Any) -> Any:
    """The model with its quantised weights turned back into plain ones of its compute type: what it was trained on.

    An unquantised model is returned as it is.
    """
    import torch
    from torch.nn.utils import parametrize

    quantized = getattr(model, "is_quantized", False)
    for module in list(model.modules()):
        if not parametrize.is_parametrized(module):
            continue
        for name in list(module.parametrizations):
            kind = type(module.parametrizations[name][0]).__name__
            if kind == "Bnb4bitParametrization":
                full = getattr(module, name).detach().clone()
                parametrize.remove_parametrizations(module, name, leave_parametrized=False)
                module.register_parameter(name, torch.nn.Parameter(full, requires_grad=False))
    if quantized:
        with _quiet():
            model = model.dequantize()
    return without_packing(model)


def without_packing(model: _Model) -> _Model:
    """The model, with bitsandbytes kept from repacking its 4-bit weights on CPUs that have AVX512-BF16.

    Repacked weights (done silently by the first forward in evaluation mode, bitsandbytes 0.50) have no gradient
    afterwards, and are garbage when merged. The switch belongs to each module, so this is called after every load.
    """
    modules: Iterator[Any] = model.modules()
    for module in modules:
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _attention(wanted: str | None, config: PretrainedConfig) -> str | None:
    """sdpa where the architecture has it; Gemma 2, which caps its attention scores, is computed by eager."""
    import transformers

    kind: Any = transformers.AutoModelForCausalLM._model_mapping.get(type(config), None)
    if wanted == "sdpa" and kind is not None and not getattr(kind, "_supports_sdpa", True):
        log.warning("%s has no sdpa attention: computed by eager, with the same result", config.model_type)
        return "eager"
    return wanted


def _quantization(model: Model, dtype: torch.dtype) -> Any:
    if model.quantization not in ("nf4", "int8"):
        return None
    from transformers import BitsAndBytesConfig

    if model.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=model.double_quantization,
        bnb_4bit_compute_dtype=dtype,
    )


def _experts(model: Model) -> contextlib.AbstractContextManager[None]:
    if model.quantization != "nf4":
        return contextlib.nullcontext()
    from studio.models.experts import quantized_while_loading

    return quantized_while_loading()


def _all_there(report: dict[str, Any], name: str) -> None:
    """A tensor that is missing would be made of random numbers, with a warning at most."""
    missing, wrong = sorted(report.get("missing_keys", ())), list(report.get("mismatched_keys", ()))
    if missing or wrong:
        raise ModelError(
            f"its weights do not belong to its architecture: {plural(len(missing), 'tensor')} missing, {len(wrong)} of "
            f"another shape, e.g. {(missing or wrong)[0]!s}",
            hint="Download the model again; if it stays so, the checkpoint is not a causal language model.",
            where=name,
        )


def free_memory() -> None:
    """Give back the memory of models that nothing refers to any more, on the GPU too."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextlib.contextmanager
def _translated(name: str, device: str) -> Iterator[None]:
    """transformers', torch's and the disk's errors, translated."""
    from safetensors import SafetensorError

    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        fault = machine_fault(problem)
        if fault is None or not fault.is_memory:
            raise
        on_gpu = fault is Fault.GPU_MEMORY or device.startswith("cuda")
        raise _no_memory(name, "GPU" if on_gpu else "this machine's") from None
    except (OSError, ValueError, SafetensorError) as problem:
        raise ModelError(
            f"it cannot be loaded: {shorten(str(problem), 300)}",
            hint="Check the name and revision, and that the download is complete.",
            where=name,
        ) from None


def _no_memory(name: str, whose: str) -> HardwareError:
    return HardwareError(
        f"there is not enough {whose} memory to load the base model",
        hint="Set model.quantization to nf4, choose a smaller model, or close what else uses it (`studio doctor` shows).",
        where=name,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lines of other libraries that say nothing a person can act on; int8's one per layer and forward stays off."""
    from transformers.utils import logging as told

    with _loading:
        noise.quiet_loggers()
        bars, level = told.is_progress_bar_enabled(), told.get_verbosity()
        told.disable_progress_bar()
        told.set_verbosity_error()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=UserWarning, module=r"(peft|transformers|bitsandbytes)\.")
                yield
        finally:
            told.set_verbosity(level)
            if bars:
                told.enable_progress_bar()
