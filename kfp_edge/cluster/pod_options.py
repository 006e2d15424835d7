"""Options of a stage that its user sets in one mapping, validated as a whole."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from kfp_edge.errors import ParameterError
from kfp_edge.suggestions import did_you_mean

#: A quantity of CPU or memory (Kubernetes: `Quantity`).
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]

#: The name of an object (Kubernetes: "DNS Subdomain Names").
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
_REMEDIES = {
    "cpu": "write a quantity of Kubernetes such as 2 or 500m",
    "memory": "write a quantity of Kubernetes such as 4Gi",
    **dict.fromkeys(
        ("data_connection", "ca_bundle", "image_pull_secret", "registry_secret", "git_secret"),
        "name an object of Kubernetes: lower-case letters, digits, - and .",
    ),
    "node_selector": "write each label as a text in quotes",
    "tolerations": 'write [{"key": "gpu", "operator": "Exists"}]',
}


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
            known = sorted(cls.model_fields)
            hint = did_you_mean(str(unknown[0]), known)
            raise ParameterError(
                f"{cls.parameter} has no option {unknown[0]!r}; {hint}its options are {', '.join(known)}."
            )
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            option = ".".join(str(part) for part in first["loc"])
            reason = first["msg"]
            if first["type"] == "string_pattern_mismatch":  # the pattern means nothing to most people
                description = cls.model_fields[str(first["loc"][0])].description or ""
                reason = f"it is: {description.partition('. ')[0].rstrip('.')}"
            raise ParameterError(f"{cls.parameter}: {option} cannot be {first['input']!r}; {reason}.") from error

    def tolerations_json(self) -> list[dict[str, Any]]:
        """Return the tolerations as the field `tolerations` of a pod."""
        return [toleration.model_dump(exclude_none=True) for toleration in self.tolerations]


class _PodParameters(_StrictModel):
    """The parameters of a pipeline that set the pods of its tasks."""

    cpu: Quantity = "1"
    memory: Quantity = "1Gi"
    data_connection: ObjectName = "a"
    ca_bundle: ObjectName = "a"
    image_pull_secret: ObjectName = "a"
    registry_secret: ObjectName = "a"
    git_secret: ObjectName = "a"
    node_selector: dict[str, StrictStr] = {}
    tolerations: tuple[Toleration, ...] = ()


def check_pod_parameters(values: Mapping[str, Any]) -> None:
    """Refuse parameters with which no pod of the pipeline would start.

    Args:
        values: The parameters of a pipeline; others than those of its pods are ignored.

    Raises:
        ParameterError: with the first that is not valid.
    """
    try:
        _PodParameters.model_validate({name: values[name] for name in _PodParameters.model_fields if name in values})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        remedy = _REMEDIES.get(str(first["loc"][0]), "see docs/parameters.md")
        raise ParameterError(f"{where} is {first['input']!r}, which no pod can have; {remedy}.") from error
