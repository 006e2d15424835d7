"""Options that a user hands to a stage as one mapping: checked as a whole, refused in one sentence."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kfp_edge.errors import KfpEdgeError

#: A quantity of CPU or memory as Kubernetes writes it ("Quantity").
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


class _Fields(BaseModel):
    # KFP hands every number in a dict as a float: `cpu: 2` arrives as 2.0
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Toleration(_Fields):
    """A toleration of Kubernetes (core/v1), field by field."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None


class PodOptions(_Fields):
    """The base of a stage's options: where its pod runs, and what it may use."""

    #: The stage's parameter that holds them.
    parameter: ClassVar[str]

    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    #: What the pod asks for and may use.
    cpu: Quantity = "1"
    memory: Quantity = "1Gi"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Check what a user gave.

        Raises:
            KfpEdgeError: an option is unknown, or its value is not possible.
        """
        if unknown := sorted(set(given) - set(cls.model_fields)):
            known = ", ".join(sorted(cls.model_fields))
            raise KfpEdgeError(f"{cls.parameter} has no option {unknown[0]!r}; it knows {known}.")
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise KfpEdgeError(f"{cls.parameter}: {where}: {first['msg']} (got {first['input']!r}).") from error
