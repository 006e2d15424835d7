"""Quantities of CPU, memory and accelerators."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation

from kfp_edge.kubernetes.names import describe_bad_resource_name
from kfp_edge.kubernetes.quantities import parse_quantity
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.task_pod import (
    POD_REFUSED,
    TASK_FAILS,
    Setting,
    TaskPod,
    is_known,
    quote,
    task_finding,
)

_REMEDIES = {"cpu": "write processors, such as 2 or 500m", "memory": "write bytes with a unit, such as 4Gi or 512Mi"}
#: In which a number of the fields of before KFP 2.13 counts.
_UNITS = {"cpu": Decimal(1), "memory": Decimal(10) ** 9}
#: Kubernetes rounds up to thousandths before it compares.
_PRECISION = Decimal("0.001")
_NATIVE = ("cpu", "memory", "ephemeral-storage", "hugepages-")


@dataclass(frozen=True)
class _Amount:
    """A request or limit as it is written, and its number; None if it is no quantity."""

    path: str
    text: str
    number: Decimal | None


def check_resources(pod: TaskPod) -> Iterator[Finding]:
    """Find quantities that are none, negative ones, and requests above their limit."""
    for resource, remedy in _REMEDIES.items():
        request, limit = (_read_amount(pod, resource, kind) for kind in ("request", "limit"))
        for amount in (request, limit):
            if amount is not None:
                yield from _check_amount(amount, remedy)
        if request is not None and limit is not None and pod.has(Setting.RESOURCES):
            yield from _compare(request, limit)
    yield from _check_accelerator(pod)


def find_quantity_fault(text: str, *, above_zero: bool = False) -> str:
    """Return what is wrong with a quantity; empty if Kubernetes takes it."""
    number = read_quantity(text)
    if number is None:
        return f"is {quote(text)}, which is no quantity of Kubernetes" if text else "is missing"
    if number < 0 or (above_zero and number == 0):
        return (
            f"is {quote(text)}, and must be above zero"
            if above_zero
            else f"is {quote(text)}, and must not be below zero"
        )
    return ""


def read_quantity(text: str) -> Decimal | None:
    """Return the number that a quantity stands for, which may be negative here; None if it is none."""
    try:
        number = parse_quantity(text[1:] if text.startswith(("+", "-")) else text)
    except ValueError:
        return None
    return -number if text.startswith("-") else number


def _read_amount(pod: TaskPod, resource: str, kind: str) -> _Amount | None:
    """Return a request or limit: the text, which may be a parameter, or else the number of older versions of KFP."""
    resources = pod.container.resources
    path = join_path(pod.path, "resources")
    if text := getattr(resources, f"resource_{resource}_{kind}"):
        text_path = join_path(path, f"resource{resource.title()}{kind.title()}")
        return _Amount(text_path, text, read_quantity(text)) if is_known(text) else None
    if number := getattr(resources, f"{resource}_{kind}"):
        try:
            exact = Decimal(repr(number)) * _UNITS[resource]
        except InvalidOperation:
            exact = Decimal("nan")
        return _Amount(
            join_path(path, f"{resource}{kind.title()}"), f"{number:g}", exact if exact.is_finite() else None
        )
    return None


def _check_amount(amount: _Amount, remedy: str) -> Iterator[Finding]:
    if amount.number is None:
        yield task_finding(
            amount.path, f"is {quote(amount.text)}, which is no quantity of Kubernetes, {TASK_FAILS}; {remedy}."
        )
    elif amount.number < 0:
        yield task_finding(amount.path, f"is {quote(amount.text)}, below zero, {POD_REFUSED}; {remedy}.")


def _compare(request: _Amount, limit: _Amount) -> Iterator[Finding]:
    if request.number is None or limit.number is None or limit.number < 0:
        return
    requested, allowed = (
        number.quantize(_PRECISION, ROUND_CEILING) if number < _PRECISION**-4 else number
        for number in (request.number, limit.number)
    )
    if requested > allowed:
        above = f"is {quote(request.text)}, above the limit of {quote(limit.text)}"
        message = f"{above}, {POD_REFUSED}; lower it or raise the limit."
        yield task_finding(request.path, message)


def _check_accelerator(pod: TaskPod) -> Iterator[Finding]:
    accelerator = pod.container.resources.accelerator
    path = join_path(pod.path, "resources", "accelerator")
    kind, kind_key = accelerator.resource_type or accelerator.type, "resourceType"
    if not accelerator.resource_type:
        kind_key = "type"
    count, count_key = accelerator.resource_count, "resourceCount"
    if not count:
        count, count_key = str(accelerator.count) if accelerator.count > 0 else "", "count"
    if not kind or not count:
        return
    if is_known(kind) and pod.has(Setting.RESOURCES) and (remedy := describe_bad_resource_name(kind)):
        message = f"is {quote(kind)}, which is no resource that a container can have, {POD_REFUSED}; {remedy}."
        yield task_finding(join_path(path, kind_key), message)
    if is_known(count):
        yield from _check_count(join_path(path, count_key), count, kind, pod)


def _check_count(path: str, count: str, kind: str, pod: TaskPod) -> Iterator[Finding]:
    number = read_quantity(count)
    if number is None:
        yield task_finding(
            path, f"is {quote(count)}, which is no number, {TASK_FAILS}; write a whole number, such as 1."
        )
    elif pod.has(Setting.RESOURCES) and (
        number < 0 or (number % 1 and not kind.startswith(_NATIVE) and is_known(kind))
    ):
        yield task_finding(path, f"is {quote(count)}, {POD_REFUSED}; write a whole number, such as 1.")
