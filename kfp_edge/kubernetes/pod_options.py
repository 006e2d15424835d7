"""Options of a stage that its user sets in one mapping, validated as a whole."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from kfp_edge.errors import ParameterError
from kfp_edge.kubernetes.names import (
    LONGEST_OBJECT_NAME,
    OBJECT_NAME,
    describe_bad_label_key,
    describe_bad_label_value,
)
from kfp_edge.kubernetes.quantities import Cpu, Memory, parse_quantity
from kfp_edge.kubernetes.tolerations import find_toleration_faults
from kfp_edge.suggestions import did_you_mean

#: What each task that processes the data requests. Its limits are the parameters `cpu` and `memory` of a pipeline.
TASK_REQUESTS = {"cpu": "500m", "memory": "1Gi"}

#: The name of an object (Kubernetes: "DNS Subdomain Names"), and one that may be empty.
ObjectName = Annotated[str, Field(pattern=rf"^{OBJECT_NAME}$", max_length=LONGEST_OBJECT_NAME)]
OptionalObjectName = Annotated[str, Field(pattern=rf"^({OBJECT_NAME})?$", max_length=LONGEST_OBJECT_NAME)]
_REMEDIES = {
    **dict.fromkeys(
        (
            *("data_connection", "ca_bundle", "image_pull_secret", "registry_secret", "pull_secret", "git_secret"),
            *("forge_secret", "metrics_secret", "service_account"),
        ),
        "name an object of Kubernetes: lower-case letters, digits, - and .",
    ),
    "node_selector": "write each label as a text in quotes",
    "tolerations": 'write [{"key": "gpu", "operator": "Exists"}]',
}


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return labels of nodes as they are.

    Raises:
        ValueError: no node can have one of them.
    """
    for key, value in labels.items():
        if remedy := describe_bad_label_key(key):
            raise ValueError(f"{key!r} is the key of no label; {remedy}")
        if remedy := describe_bad_label_value(value):
            raise ValueError(f"no label can be {value!r}; {remedy}")
    return labels


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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if fault := next(find_toleration_faults(self.model_dump()), None):
            where = f"its {fault.field}" if fault.field else "it"
            raise ValueError(f"{where} {fault.problem}; {fault.remedy}")
        return self


class PodOptions(_StrictModel):
    """The base class of a stage's options: on which nodes its pod runs, and its resources."""

    #: The stage's parameter with the options, for errors.
    parameter: ClassVar[str]

    node_selector: Annotated[dict[str, str], AfterValidator(_check_labels)] = {}
    """Labels of the nodes that the pod may run on, such as `{"topology.kubernetes.io/zone": "a"}`."""
    tolerations: tuple[Toleration, ...] = ()
    """Tolerations of the pod, as in a Kubernetes pod specification."""
    cpu: Cpu = "1"
    """CPU request and limit, a Kubernetes quantity."""
    memory: Memory = "1Gi"
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
            reason = _describe(first)
            # pydantic's words about a pattern mean nothing to most people
            if first["type"] in ("string_pattern_mismatch", "string_too_long"):
                description = cls.model_fields[str(first["loc"][0])].description or ""
                meaning = f"it is: {description.partition('. ')[0].rstrip('.')}"
                reason = _REMEDIES.get(option, meaning)
            raise ParameterError(f"{cls.parameter}: {option} cannot be {first['input']!r}; {reason}.") from error

    def tolerations_json(self) -> list[dict[str, Any]]:
        """Return the tolerations as the field `tolerations` of a pod."""
        return [toleration.model_dump(exclude_none=True) for toleration in self.tolerations]


class _PodParameters(_StrictModel):
    """The parameters of a pipeline that set the pods of its tasks."""

    cpu: Cpu = TASK_REQUESTS["cpu"]
    memory: Memory = TASK_REQUESTS["memory"]
    data_connection: ObjectName = "a"
    ca_bundle: ObjectName = "a"
    image_pull_secret: ObjectName = "a"
    registry_secret: ObjectName = "a"
    git_secret: ObjectName = "a"
    forge_secret: ObjectName = "a"
    metrics_secret: ObjectName = "a"
    node_selector: Annotated[dict[str, StrictStr], AfterValidator(_check_labels)] = {}
    tolerations: tuple[Toleration, ...] = ()


def check_pod_parameters(values: Mapping[str, Any]) -> None:
    """Refuse parameters with which no pod of the pipeline would start.

    Args:
        values: The parameters of a pipeline; others than those of its pods are ignored.

    Raises:
        ParameterError: with the first that is not valid.
    """
    given = {name: values[name] for name in _PodParameters.model_fields if name in values}
    try:
        parameters = _PodParameters.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        own_words = first["type"] == "value_error"
        remedy = _describe(first) if own_words else _REMEDIES.get(str(first["loc"][0]), _describe(first))
        raise ParameterError(f"{where} is {first['input']!r}, which no pod can have; {remedy}.") from error
    for name, request in TASK_REQUESTS.items():
        limit = str(getattr(parameters, name))
        if parse_quantity(limit) < parse_quantity(request):
            raise ParameterError(
                f"{name} is {limit!r}, but a task requests {request}, and Kubernetes refuses a pod whose limit is "
                f"below its request; write {request} or more."
            )


def _describe(error: ErrorDetails) -> str:
    """Return what is wrong with a value, in the words of our own check if that refused it."""
    return str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
