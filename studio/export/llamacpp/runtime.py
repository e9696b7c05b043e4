"""llama.cpp in this process (through `cyllama`'s prebuilt wheel): asking a GGUF file.

llama.cpp is what Ollama, LM Studio and llama-server run; what it computes here is what they compute.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import ExportError

INSTALL = "pip install cyllama"
_F32, _NO_FLASH = 0, 0


def missing() -> str:
    """Why llama.cpp cannot be used here, or nothing."""
    try:
        import cyllama.llama.llama_cpp  # noqa: F401
    except ImportError as problem:
        return f"llama.cpp is not installed ({problem}); to check the file here: {INSTALL}"
    return ""


def version() -> str:
    """The wheel's version and the llama.cpp build in it."""
    import importlib.metadata
    import json

    import cyllama

    build = json.loads((Path(cyllama.__file__).parent / "build_config.json").read_text("utf-8"))
    return f"{importlib.metadata.version('cyllama')} (llama.cpp {build['versions']['llama_cpp_version']})"


def name() -> str:
    """What a manifest calls the runtime."""
    return f"llama.cpp through cyllama {version()}"


class Gguf:
    """A GGUF file opened in llama.cpp, on the CPU, with a float32 cache so that only the file's own error is measured."""

    def __init__(self, file: Path, context: int, threads: int = 1) -> None:
        """Load `file` for prompts and answers of together at most `context` tokens. Raises ExportError if it cannot be."""
        from cyllama.llama import llama_cpp

        self._native = llama_cpp
        with quiet():
            try:
                self._model = load_model(file)
            except (RuntimeError, ValueError) as problem:
                raise ExportError(
                    f"llama.cpp cannot load it: {problem}", hint="Its log says why: llama-cli -m FILE.", where=file.name
                ) from None
            params = llama_cpp.LlamaContextParams()
            params.n_ctx = params.n_batch = params.n_ubatch = context
            params.type_k = params.type_v = _F32
            params.flash_attn_type = _NO_FLASH
            params.n_threads = params.n_threads_batch = threads
            self._context = llama_cpp.LlamaContext(model=self._model, params=params, verbose=False)
        self._words = self._model.get_vocab()
        self.size = context

    @property
    def template(self) -> str:
        """The chat template in the file."""
        return str(self._model.get_default_chat_template() or "")

    @property
    def adds_bos(self) -> bool:
        """True if llama.cpp puts the beginning-of-sequence token before every prompt."""
        return bool(self._words.get_add_bos())

    def tokenize(self, text: str, special: bool = True, add_bos: bool | None = None) -> list[int]:
        """Ids of a text. special: marks such as <|im_end|> are tokens. add_bos: as llama.cpp would unless told."""
        return list(self._words.tokenize(text, self.adds_bos if add_bos is None else add_bos, special))

    def ends(self, token: int) -> bool:
        """True if generation stops at this token."""
        return bool(self._words.is_eog(token))

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`, computed in one pass over `ids`; float32 [positions, vocabulary]."""
        self._context.kv_cache_clear()
        wanted = set(positions)
        self._decode(ids, 0, wanted)
        return np.stack([np.asarray(self._context.get_logits_ith(place), np.float32) for place in positions])

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """The likeliest continuation of each prompt by at most `longest` tokens, without its end mark; True if it ended."""
        return [self._continued(prompt, longest) for prompt in prompts]

    def _continued(self, ids: Sequence[int], longest: int) -> tuple[list[int], bool]:
        self._context.kv_cache_clear()
        self._decode(ids, 0, {len(ids) - 1})
        said: list[int] = []
        while len(said) < longest and len(ids) + len(said) < self.size:
            token = int(np.argmax(self._context.get_logits_ith(-1)))
            if self.ends(token):
                return said, True
            said.append(token)
            self._decode([token], len(ids) + len(said) - 1, {0})
        return said, False

    def close(self) -> None:
        """Free the model."""
        self._context.close()
        self._model.close()

    def _decode(self, ids: Sequence[int], start: int, wanted: set[int]) -> None:
        batch = self._native.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
        for place, token in enumerate(ids):
            batch.add(int(token), start + place, [0], place in wanted)
        self._context.decode(batch)
        batch.close()


def load_model(file: Path, gpu_layers: int = 0) -> Any:
    """The model in a GGUF file, with that many of its layers on the GPU. Raises RuntimeError or ValueError."""
    from cyllama.llama import llama_cpp

    with quiet():
        settings = llama_cpp.LlamaModelParams()
        settings.n_gpu_layers = gpu_layers
        return _model_class()(path_model=str(file), params=settings, verbose=False)


def adapter_problem(base: Path, adapter: Path) -> str:
    """Why llama.cpp cannot load the LoRA file `adapter` on the model file `base`, or nothing."""
    with quiet():
        model = load_model(base)
        try:
            model.lora_adapter_init(str(adapter)).close()
        except (ValueError, RuntimeError) as problem:
            return str(problem)
        finally:
            model.close()
    return ""


@functools.cache
def _model_class() -> Any:
    """cyllama 0.2.18 asks its model for `n_vocab` when logits of one position are read, and its model has none."""
    from cyllama.llama import llama_cpp

    class Model(llama_cpp.LlamaModel):
        n_vocab = property(lambda self: self.get_vocab().n_vocab)

    return Model


@contextlib.contextmanager
def opened(file: Path, context: int, threads: int = 1) -> Iterator[Gguf]:
    """A GGUF file in llama.cpp, closed afterwards."""
    model = Gguf(file, context, threads)
    try:
        yield model
    finally:
        model.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """llama.cpp's log on stderr switched off while it loads."""
    from cyllama.llama import llama_cpp

    with contextlib.suppress(Exception):
        llama_cpp.disable_logging()
    yield
