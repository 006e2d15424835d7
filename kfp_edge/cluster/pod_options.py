"""Options of a stage that its user sets in one mapping, validated as a whole."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kfp_edge.errors import ParameterError

#: A quantity of CPU or memory (Kubernetes: `Quantity`).
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


class _StrictModel(BaseModel):
    # KFP passes every number in a dict as a float: `cpu: 2` arrives as 2.0
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, use_attribute_docstrings=True)


class Toleration(_StrictModel):
    """A toleration of a pod (Kubernetes core/v1)."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None


class PodOptions(_StrictModel):
    """The base class of a stage's options: on which nodes its pod runs, and its resources."""

    #: The stage's parameter with the options, for errors.
    parameter: ClassVar[str]

    node_selector: dict[str, str] = {}
    """Labels of the nodes that the pod may run on, such as `{"topology.kubernetes.io/zone": "a"}`."""
    tolerations: tuple[Toleration, ...] = ()
    """Tolerations of the pod, as in a Kubernetes pod specification."""
    cpu: Quantity = "1"
    """CPU request and limit, a Kubernetes quantity."""
    memory: Quantity = "1Gi"
    """Memory request and limit, a Kubernetes quantity."""

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Validate the options that a user set.

        Raises:
            ParameterError: an option is unknown, or its value is not valid.
        """
        if unknown := sorted(set(options) - set(cls.model_fields)):
            known = ", ".join(sorted(cls.model_fields))
            raise ParameterError(f"{cls.parameter} has no option {unknown[0]!r}; its options are {known}.")
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            option = ".".join(str(part) for part in first["loc"])
            raise ParameterError(f"{cls.parameter}: {option}: {first['msg']} (got {first['input']!r}).") from error

    def tolerations_json(self) -> list[dict[str, Any]]:
        """Return the tolerations as the field `tolerations` of a pod."""
        return [toleration.model_dump(exclude_none=True) for toleration in self.tolerations]
