"""distil: knowledge distillation (Hinton et al. 2015): the student learns what a teacher thinks of every token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.training.methods.method import Figures, Method, Scored

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Distil(Method, frozen=True):
    """Distillation of the teacher's probabilities at every trained token. The teacher is scored once, before the student is
    loaded, so that both never share the memory."""

    summary: ClassVar[str] = "the rows as a larger or better model, the teacher, would write them"
    distils: ClassVar[bool] = True
    kind: Literal["distil"] = "distil"
    teacher: Annotated[str, Ui(placeholder="a run, a model, or URL#MODEL")] = Field(default="", max_length=500, title="Teacher")
    """A run of this studio, the folder of a model, its name on the hub, or a model behind an API as URL#MODEL."""
    learn: Literal["probabilities", "answers"] | None = Field(default=None, title="What is learned")
    """probabilities: the teacher's at every token of the rows, which needs the same tokens. answers: what the teacher answers
    to the rows' prompts. Empty: probabilities where both have the same tokens, else answers."""
    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = Field(default="forward_kl", title="Divergence")
    """forward_kl: all that the teacher finds likely; reverse_kl: what the teacher finds most likely; jsd: between both."""
    jsd_beta: Annotated[float, Ui(advanced=True, step=0.1)] = Field(default=0.5, gt=0, lt=1, title="Weight within jsd")
    """The teacher's share in the mixture that both are compared with."""
    hard: Annotated[float, Ui(step=0.1)] = Field(default=0.0, ge=0, le=1, title="Share of the true labels")
    """0: the teacher alone; 1: the rows alone, as `sft`."""
    top_k: Annotated[int, Ui(advanced=True)] = Field(default=8, ge=1, le=1_000_000, title="Words kept of the teacher")
    """The teacher's likeliest words at each token; all others count as one, so that nothing is renormalised away."""
    teacher_quantization: Annotated[Literal["none", "nf4"], Ui(advanced=True)] = Field(default="none", title="Teacher in")
    """nf4: the teacher in 4 bit while it is scored. A teacher that is a run is loaded as it was trained."""

    ceiling: Annotated[float | None, Ui(advanced=True)] = Field(default=None, gt=0, le=100_000, title="Ceiling (US dollars)")
    """The most that a teacher behind a paid API may cost; it is never exceeded."""
    teacher_key: Annotated[str | None, Ui(advanced=True)] = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200, title="Name of the key"
    )
    """The environment variable or keyring entry with the key of the teacher's API, never the key itself. Empty: by host."""
    price_in: Annotated[float | None, Ui(advanced=True)] = Field(default=None, ge=0, title="Price of a million tokens read")
    """In US dollars. Empty: the published price."""
    price_out: Annotated[float | None, Ui(advanced=True)] = Field(default=None, ge=0, title="Price of a million tokens written")
    """In US dollars. Empty: the published price."""
    baseline: Literal["sft", "off"] = Field(default="sft", title="Compared with")
    """sft: the student is also trained on the same rows without the teacher, for the evidence, which takes as long again."""

    @property
    def beta(self) -> float:
        """The divergence as a number: 0 forward, 1 reverse, else between."""
        return {"forward_kl": 0.0, "reverse_kl": 1.0}.get(self.divergence, self.jsd_beta)

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean over the trained tokens of the mixed loss, which the head has made."""
        trained = max(1, totals.trained)
        figures = {name: values.sum() / trained for name, values in (scored.distilled or {}).items()}
        return scored.losses.sum() / trained, figures
