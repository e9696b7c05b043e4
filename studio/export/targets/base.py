"""What every export target is: its settings, what it takes, how it is made, how it is checked, how it is served.

A target is a folder with `settings.py` (a subclass of `Target`), `write.py` and `verify.py`; where a toolchain converts,
`convert.py` and `runtime.py` run inside that toolchain. `make.export` calls the methods in the order in which they stand here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from studio.core.section import Section
from studio.export.work import MERGE, REFERENCE, Peak, Work

if TYPE_CHECKING:
    from studio.export.merging.source import Onto, Source
    from studio.export.resources import Need
    from studio.export.verification.comparison import Comparison
    from studio.export.verification.limits import Limits
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter
    from studio.training.settings import Adapter

MergeOnto = Annotated[
    Literal["dequantized", "original"] | None,
    Field(title="Merge into", description="Which base weights are merged, as for `merged`."),
]
ContextTokens = Annotated[
    int | None,
    Field(
        ge=128,
        le=131_072,
        title="Context (tokens)",
        description="Prompt and answer together, fixed in the file. Empty: twice the longest row trained on, between 1,024 "
        "and 4,096.",
    ),
]


class Target(Section, ABC, frozen=True):
    """The settings of one export, and what it does with them."""

    WORK: ClassVar[Mapping[str, Work]] = {"": Work(fixed=20, weights=150, token=300)}
    """What making and verifying it takes, by `quant` where that matters; "" is every other one."""

    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak()}
    """The main memory it takes at the peak, likewise."""

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Raise ExportError if the base's `config.json` alone rules this export out. The plan asks before training, the
        export before merging."""

    def refuse_adapter(self, adapter: Adapter) -> None:
        """Raise ExportError for an adapter that this export cannot carry. The plan asks before training; what is merged carries
        all kinds."""

    def missing(self) -> str | None:
        """What is not installed, with the command that installs it; None if everything is there."""
        return None

    @abstractmethod
    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""

    def resolved(self, source: Source) -> dict[str, Any]:
        """The settings with every empty one decided: what the manifest and the key of the export hold."""
        return self.model_dump(mode="json")

    @abstractmethod
    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Bytes of its files for a base of these dimensions. trained: weights of the adapter, where that is known."""

    def note(self, dims: ModelDims) -> str:
        """What to know before it is made of a base of these dimensions; empty where there is nothing."""
        return ""

    def seconds(self, dims: ModelDims, tokens: int, also: Collection[Work] = ()) -> float:
        """About how many CPU seconds making and verifying it takes on this machine, where so many tokens are answered. also:
        what has to be done before it."""
        from studio.export import pace

        own = self.WORK.get(getattr(self, "quant", ""), self.WORK[""])
        return sum(work.seconds(dims, tokens) for work in (own, *also)) * pace.slowness()

    def before(self, exports: Path) -> tuple[Work, ...]:
        """What has to be done before it that no earlier export of the run, in `exports`, has left."""
        from studio.export import resources

        return () if resources.reference_is_kept(exports) else (REFERENCE,)

    def memory(self, source: Source) -> int:
        """Bytes of main memory that making and verifying it takes at the peak."""
        from studio.export import resources

        peak = self.PEAK.get(getattr(self, "quant", ""), self.PEAK[""])
        return max(resources.compared_bytes(source), resources.process_bytes() + peak.bytes(source.dims))

    @abstractmethod
    def estimate(self, source: Source) -> Need:
        """Disk space and memory the export takes at its peak, in bytes."""

    @abstractmethod
    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Write the files into `out`. Returns details for the manifest. Raises ExportError if it cannot be made."""

    @abstractmethod
    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load the files in their own runtime and compare the answers with those of base + adapter."""

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve the export from `folder`; none where applications load it."""
        return []

    def finer(self) -> Self | None:
        """The same target with the next finer quantization; None if there is none."""
        return None


class MergedModelTarget(Target, frozen=True):
    """A target that is made from the merged model, in one of its `QUANTS` where it quantizes.

    Subclasses declare `merge_into`.
    """

    renamed: ClassVar[Mapping[str, str]] = {"onto": "merge_into"}

    STEM: ClassVar[str]
    """How its folder's name begins."""
    QUANTS: ClassVar[tuple[str, ...]] = ()
    """Values of `quant`, the coarsest first."""
    PACKAGES: ClassVar[tuple[str, ...]] = ()
    """Modules of the extra it needs, which is called as its kind."""
    TOOLCHAIN: ClassVar[str] = ""
    """The toolchain it needs."""

    if TYPE_CHECKING:
        merge_into: Onto | None

    def missing(self) -> str | None:
        """The extra's packages or the toolchain, with the command that installs it."""
        from studio.core import extras
        from studio.export import toolchains

        if self.TOOLCHAIN:
            return toolchains.missing(self.TOOLCHAIN)
        return extras.missing(self.STEM, self.PACKAGES) if self.PACKAGES else None

    def before(self, exports: Path) -> tuple[Work, ...]:
        """The reference, and the merged model."""
        merged = self.STEM == "merged" or any(exports.glob("merged/artifact.json"))
        return (*super().before(exports), *(() if merged else (MERGE,)))

    def folder(self, source: Source) -> str:
        """Stem, quantization, and the base weights where they are not those a merge takes by itself."""
        quant = getattr(self, "quant", "")
        return self.STEM + (f"-{quant}" if quant else "") + source.folder_suffix(self.merge_into)

    def resolved(self, source: Source) -> dict[str, Any]:
        """The settings, the base weights decided."""
        return {**super().resolved(source), "merge_into": source.onto(self.merge_into)}

    def finer(self) -> Self | None:
        """The next finer quantization."""
        coarse = self.QUANTS[:-1]
        quant = getattr(self, "quant", "")
        if quant not in coarse:
            return None
        return type(self)(**{**self.model_dump(), "quant": self.QUANTS[self.QUANTS.index(quant) + 1]})

    def merged_scratch(self, source: Source) -> int:
        """Bytes of the merged model that is made on the way; 0 if a merged export is there."""
        from studio.export.merging import merge
        from studio.export.targets.merged_model import merged_export

        return 0 if merged_export(source, source.onto(self.merge_into)) else merge.merged_bytes(source, None)

    def merged(self, source: Source, out: Path, reporter: Reporter) -> Path:
        """The folder of the merged model: an export that is there, else one in the scratch of `out`."""
        from studio.export.targets.merged_model import merged_folder

        return merged_folder(source, source.onto(self.merge_into), out, reporter)

    def statement(self, source: Source) -> dict[str, Any]:
        """Which weights it was converted from, for the manifest."""
        from studio.export.merging import merge

        onto = source.onto(self.merge_into)
        text = merge.statement(source, onto, merge.saved_dtype(source, None)).replace("saved as", "converted from")
        return {"onto": onto, "statement": text}

    def limits(self, source: Source, limits: Limits) -> Limits:
        """The limits it is judged by: none where it is merged into other weights than those trained on."""
        from studio.export.verification.limits import ORIGINAL

        return ORIGINAL if self.merge_into == "original" and source.quantized else limits

    def comparison(
        self,
        source: Source,
        out: Path,
        probe: Probe,
        reporter: Reporter,
        limits: Limits,
        exact: bool,
        context: int | None = None,
    ) -> Comparison:
        """The comparison with base + adapter and with the merged model, whose conversion is judged by itself.

        exact: the conversion does not quantize. context: only the cases that fit into so many tokens are asked.
        """
        from studio.export.verification.comparison import Comparison

        comparison = Comparison.prepare(source, out, probe, self.limits(source, limits), reporter, context)
        return comparison.with_merged(self.merged(source, out, reporter), limits, exact)


class FixedContextTarget(MergedModelTarget, frozen=True):
    """A target whose cache has its size from the start. Subclasses declare `context`."""

    if TYPE_CHECKING:
        context: int | None

    def positions(self, source: Source) -> int | None:
        """The most tokens the format computes, where that is less than the base takes."""
        return None

    def tokens(self, source: Source) -> int:
        """Tokens of prompt and answer the files are made for."""
        from studio.export.targets.context import context

        return context(source, self.context, self.positions(source)).tokens

    def resolved(self, source: Source) -> dict[str, Any]:
        """The settings, the context decided."""
        return {**super().resolved(source), "context": self.tokens(source)}

    def cache(self, source: Source, bytes_per_number: int) -> dict[str, Any]:
        """The context and what its cache takes, for the manifest."""
        from studio.core.text import size
        from studio.export.targets.context import context

        decided, dims = context(source, self.context, self.positions(source)), source.dims
        numbers = decided.tokens * dims.layers * dims.kv_heads * dims.head_dim * 2
        return {"context": decided.tokens, "context_because": decided.why, "cache": size(numbers * bytes_per_number)}
