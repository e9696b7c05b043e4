"""Section: frozen settings that are checked wherever they are made, and describe themselves (`fields`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from studio.core.errors import SpecError
from studio.core.fields import leaves
from studio.core.plain import is_object
from studio.core.validation_errors import explain


class RenamedSetting(FutureWarning):
    """A setting was given by a name it had in an earlier release."""


class Section(BaseModel, frozen=True):
    """A group of settings: frozen, strict about unknown keys, documented at its fields."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, protected_namespaces=()
    )

    renamed: ClassVar[Mapping[str, str]] = {}
    """Names that fields had in the release before this one, each with the present name. They are still read, with a warning;
    in what a run has recorded, without one."""

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: object, info: ValidationInfo) -> Any:
        if not is_object(values) or not cls.renamed.keys() & values.keys():
            return values
        present = dict(values)
        for old, new in cls.renamed.items():
            if old in present and new not in present:  # given by both names, the old one is an unknown key
                present[new] = present.pop(old)
                if not (info.context or dict[str, Any]()).get("recorded"):
                    warnings.warn(
                        f"`{old}` is now called `{new}`; the old name is read until the next release",
                        RenamedSetting,
                        stacklevel=2,
                    )
        return present

    def __init__(self, **values: object) -> None:
        """Made in Python it is checked like anywhere else: raises SpecError in the studio's words."""
        try:
            super().__init__(**values)
        except ValidationError as found:
            raise explain(found, list(leaves(type(self))), type(self).__name__, {}) from None

    # pydantic else takes it for a constructor of another kind and calls it for every nested section too
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: object) -> None:
        section = type(self).__name__.removeprefix("Resolved").lower()
        path = name if section == "runspec" else f"{section}.{name}"
        raise SpecError(
            f"a spec is not changed in place: `{path}`",
            hint=f"Make a new one: spec = studio.edit(spec, {{{path!r}: {value!r}}}).",
            where=path,
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Only the settings that are not left at their defaults, of which there are a hundred."""
        for name, setting in type(self).model_fields.items():
            value = getattr(self, name)
            if setting.is_required() or value != setting.get_default(call_default_factory=True, validated_data={}):
                yield name, value

    def __str__(self) -> str:
        return repr(self)

    def model_copy(self, *, update: object = None, deep: bool = False):
        """Refused with `update`: it would skip every check. Use `studio.edit(spec, {"a.b": value})`."""
        if update:
            raise TypeError("model_copy(update=...) skips the checks; use studio.edit(spec, {'section.field': value})")
        return super().model_copy(deep=deep)


DECIDED: Any = Field()
"""A field that a section leaves open and its resolved form needs: `alpha: int = DECIDED`."""
