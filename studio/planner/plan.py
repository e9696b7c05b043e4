"""The plan: what was decided and why, what the run needs, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.core.errors import DoesNotFit
from studio.core.text import count, duration, parameters, plural, size
from studio.hardware.history import OVERHEADS, UNCORRECTED, Correction
from studio.hardware.peak import Memory
from studio.hardware.speed import Rate
from studio.models.download import measured_rate
from studio.runs.plan import (
    Alternative,
    Counts,
    Decision,
    DiskEstimate,
    MemoryEstimate,
    Part,
    PlanRecord,
    RamEstimate,
    TeacherEstimate,
    Time,
)
from studio.spec import ResolvedSpec


@dataclass(frozen=True)
class Disk:
    """Disk the run will take, by part, and what is free. Bytes."""

    items: tuple[tuple[str, int], ...]
    free: int

    @property
    def total(self) -> int:
        """Bytes together."""
        return sum(size for _, size in self.items)


@dataclass(frozen=True)
class Ram:
    """RAM at the peak of each stage, and what is free. Bytes; the stages follow one another."""

    stages: tuple[tuple[str, int], ...]
    free: int

    @property
    def peak(self) -> tuple[str, int]:
        """The stage that takes most, and what it takes."""
        return max(self.stages, key=lambda stage: stage[1])


@dataclass(frozen=True, repr=False)
class Plan:
    """A run as it would be done on a machine. `spec` is resolved: nothing that a plan decides is left undecided."""

    spec: ResolvedSpec
    machine: str
    device: str
    decisions: tuple[Decision, ...]
    memory: Memory
    memory_budget: int
    """Bytes of memory the run may use: on the card, or in RAM on a CPU."""
    counts: Counts
    disk: Disk
    ram: Ram
    seconds: tuple[float, float] | None
    """Training time from and to; None if nothing is known of the card."""
    rate: Rate | None
    elsewhere: bool = False
    """True for a GPU that was named and is not in this machine."""
    parameters: int = 0
    """Of the base model."""
    expected: float = 0.0
    """Tokens/s that figures alone let expect at most; what is measured is compared with it by later plans."""
    corrected: Correction = UNCORRECTED
    """How earlier runs on this machine corrected the overheads in `memory`."""
    warnings: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = field(default=())
    judging: str = ""
    """What a judge will be asked, and its cost, in words."""
    generated: int = 0
    """Tokens that the model writes itself in training, at most."""
    teacher: TeacherEstimate | None = None
    """For a distillation: what the teacher takes, before the student."""
    teacher_hint: str = ""
    """What would fit, where the teacher does not."""

    @property
    def fits(self) -> bool:
        """True if memory and disk suffice; of a GPU elsewhere, if its memory does: the disk there is not known."""
        if self.teacher is not None and self.teacher.memory.total > self.memory_budget:
            return False
        return self.memory.total <= self.memory_budget and (self.elsewhere or self.disk.total <= self.disk.free)

    def __str__(self) -> str:
        verdict = "it fits" if self.fits else "it does not fit"
        lines = [f"{self.spec.name}: {self.spec.model.name} on {self.machine}", *self.summary, *self.warnings, verdict]
        return "\n".join(lines)

    def __repr__(self) -> str:
        fits = "fits" if self.fits else "does not fit"
        memory = f"{size(self.memory.total)} of {size(self.memory_budget)}"
        return f"<Plan of {self.spec.name}: {self.spec.model.name} on {self.machine}, {fits}, {memory} of memory>"

    @property
    def summary(self) -> tuple[str, ...]:
        """What the run works through, takes and needs, in a few lines."""
        counts = self.counts
        about = "about " if counts.estimated else ""
        general = f", {count(counts.replayed)} of them general ones mixed in" if counts.replayed else ""
        lines = [
            f"{plural(counts.rows, self._row)}{general} ({about}{count(counts.tokens)} tokens, "
            f"{count(counts.trained_tokens)} trained), "
            f"{plural(counts.held_out, self._row)} held out",
            f"{plural(counts.steps, 'step')} of {about}{count(counts.tokens_per_step)} tokens; "
            f"{parameters(counts.trained_parameters)} trained parameters; {counts.padding:.0%} padding",
            f"memory: {size(self.memory.total)} of {size(self.memory_budget)} that may be used on {self.machine}"
            + self._corrected,
            *self._host,
            *self._download,
        ]
        if method := self._method:
            lines.insert(0, method)
        if self.generated:
            lines.insert(2, f"up to {count(self.generated)} tokens are generated in training, which is most of its time")
        if self.teacher:
            lines.insert(2, self._teacher(self.teacher))
        low, high = self.seconds or (0.0, 0.0)
        if self.seconds and self.rate:
            lines.append(f"training: {duration(low)} to {duration(high)} ({self.rate.basis})")
        else:
            lines.append("training time: not known until the first steps")
        if self.judging:
            lines.append(self.judging)
        if folds := self.spec.evaluation.folds:
            took = f", together {duration(low * (folds - 1))} to {duration(high * (folds - 1))}" if self.seconds else ""
            lines.append(f"cross-validation: {folds} more trainings, each on all rows but one part{took}")
        return tuple(lines)

    @property
    def _host(self) -> tuple[str, str]:
        """RAM and disk: what is needed, and of this machine what is free."""
        stage, ram = self.ram.peak
        if self.elsewhere:
            return f"RAM: {size(ram)} at most ({stage})", f"disk: {size(self.disk.total)}"
        disk = f"disk: {size(self.disk.total)} of {size(self.disk.free)} free"
        return f"RAM: {size(ram)} of {size(self.ram.free)} free, at most ({stage})", disk

    @property
    def _download(self) -> tuple[str, ...]:
        """What is downloaded before the run, and how long that takes as the last download went."""
        wanted = dict(self.disk.items).get("base model (download)", 0)
        if not wanted or self.elsewhere:
            return ()
        rate = measured_rate()
        took = f"about {duration(wanted / rate)} at the rate of the last download" if rate else "its time is not known yet"
        return (f"download: {size(wanted)} before the device is taken, {took}",)

    @property
    def _row(self) -> str:
        """What one row is called, in the singular."""
        return {"pairs": "preference pair", "labels": "labelled answer", "prompts": "prompt", "texts": "text"}.get(
            self.spec.training.method.needs, "row"
        )

    @property
    def _method(self) -> str:
        """The method and its settings in words, empty for supervised fine-tuning."""
        method = self.spec.training.method
        if method.kind == "sft":
            return ""
        settings = ", ".join(f"{name} {value}" for name, value in method if name != "kind")
        once = "; every answer is scored once before the first step, no second model is loaded" if method.compares else ""
        return f"method: {method.kind}{f' ({settings})' if settings else ''}{once}"

    def _teacher(self, estimate: TeacherEstimate) -> str:
        """What the teacher takes, before the student is loaded."""
        took = f", {duration(estimate.time.low)} to {duration(estimate.time.high)}" if estimate.time else ""
        return (
            f"teacher: {estimate.model} {'reads the rows' if estimate.cache else 'answers the prompts'} first, alone: "
            f"{size(estimate.memory.total)} of memory{took}"
            + (f"; {size(estimate.cache)} of its probabilities are kept on disk" if estimate.cache else "")
            + ("; the rows are then also learned without it, to compare with" if self._with_baseline else "")
        )

    @property
    def _with_baseline(self) -> bool:
        """Whether the rows are learned a second time, without the teacher."""
        return getattr(self.spec.training.method, "baseline", "off") != "off"

    @property
    def _corrected(self) -> str:
        overhead = sum(self.memory.of(name) for name in OVERHEADS if name != "CUDA context")
        told = self.corrected.explained(self.memory.total, overhead)
        return f" ({told})" if told else ""

    def refuse_if_it_does_not_fit(self) -> None:
        """Raise DoesNotFit with the nearest settings that fit, if memory or disk do not suffice."""
        if self.teacher is not None and self.teacher.memory.total > self.memory_budget:
            raise DoesNotFit(
                f"the teacher {self.teacher.model} needs {size(self.teacher.memory.total)} of memory while it reads the rows, "
                f"and {size(self.memory_budget)} may be used on {self.machine}",
                hint=self.teacher_hint,
                where="training.method.teacher",
            )
        if self.memory.total > self.memory_budget:
            largest = max(self.memory.items, key=lambda item: item.bytes)
            hint = (
                f"Nearest that fits: {self.alternatives[0].change} ({size(self.alternatives[0].bytes)})."
                if self.alternatives
                else "Choose a smaller model (studio plan shows what each needs)."
            )
            raise DoesNotFit(
                f"this run needs {size(self.memory.total)} of memory and {size(self.memory_budget)} may be used on "
                f"{self.machine}; the largest part is {largest.name} with {size(largest.bytes)}",
                hint=hint,
                where=self.machine,
            )
        if self.disk.total > self.disk.free:
            raise DoesNotFit(
                f"this run needs {size(self.disk.total)} of disk space; only {size(self.disk.free)} is free",
                hint="Free some disk, ask for fewer exports, or choose another folder with --home.",
                where=self.machine,
            )

    def record(self) -> PlanRecord:
        """As a run keeps it in plan.json."""
        seconds, rate = self.seconds, self.rate
        return PlanRecord(
            spec=self.spec.model_dump(mode="json"),
            machine=self.machine,
            device=self.device,
            fits=self.fits,
            decisions=self.decisions,
            memory=MemoryEstimate(total=self.memory.total, items=self.memory.items, room=self.memory_budget),
            counts=self.counts,
            disk=DiskEstimate(total=self.disk.total, free=self.disk.free, items=_parts(self.disk.items)),
            ram=RamEstimate(peak=self.ram.peak[1], free=self.ram.free, stages=_parts(self.ram.stages)),
            time=Time(low=seconds[0], high=seconds[1], basis=rate.basis) if seconds and rate else None,
            rate=rate,
            parameters=self.parameters,
            expected=self.expected,
            corrected=self.corrected,
            teacher=self.teacher,
            summary=self.summary,
            warnings=self.warnings,
            alternatives=self.alternatives,
        )


def _parts(items: tuple[tuple[str, int], ...]) -> tuple[Part, ...]:
    return tuple(Part(name=name, bytes=size) for name, size in items)
