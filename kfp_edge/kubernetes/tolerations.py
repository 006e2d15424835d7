"""Which tolerations Kubernetes takes (`ValidateTolerations` in pkg/apis/core/validation, Kubernetes 1.34)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kfp_edge.kubernetes.names import describe_bad_label_key, describe_bad_label_value

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
#: Lt and Gt are for numbers, and behind a feature gate of Kubernetes 1.35.
_OPERATORS = ("Exists", "Equal", "Lt", "Gt")


@dataclass(frozen=True)
class TolerationFault:
    """What Kubernetes refuses: the field, empty for the toleration as a whole; what is wrong; what to write."""

    field: str
    problem: str
    remedy: str


def find_toleration_faults(toleration: Mapping[str, object]) -> Iterator[TolerationFault]:
    """Yield what Kubernetes refuses of a toleration.

    Args:
        toleration: The fields as in a pod; key, operator, value and effect are texts.
    """
    key, operator, value, effect = (str(toleration.get(name) or "") for name in ("key", "operator", "value", "effect"))
    if operator and operator not in _OPERATORS:
        yield TolerationFault("operator", f"is {operator!r}, which is no operator", "write Exists or Equal")
    elif not key and operator != "Exists":
        remedy = "write a key, or the operator Exists for all of them"
        yield TolerationFault("", "has no key and not the operator Exists", remedy)
    elif operator == "Exists" and value:
        problem = f"is {value!r} with the operator Exists, which takes none"
        yield TolerationFault("value", problem, "remove it, or write Equal")
    if key and (remedy := describe_bad_label_key(key)):
        yield TolerationFault("key", f"is {key!r}, which no taint can have", remedy)
    if operator in ("", "Equal") and (remedy := describe_bad_label_value(value)):
        yield TolerationFault("value", f"is {value!r}, which no taint can have", remedy)
    if effect and effect not in EFFECTS:
        yield TolerationFault("effect", f"is {effect!r}, which is no effect", f"write one of {', '.join(EFFECTS)}")
    elif toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        problem = "is for the effect NoExecute only"
        yield TolerationFault("tolerationSeconds", problem, "remove it, or write that effect")
