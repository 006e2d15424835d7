"""Where a pod may run: node selectors, affinity to nodes, tolerations."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format

from kfp_edge.kubernetes.names import describe_bad_label_key, describe_bad_label_value, describe_bad_object_name
from kfp_edge.kubernetes.tolerations import find_toleration_faults
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.task_pod import (
    POD_REFUSED,
    TASK_FAILS,
    Setting,
    TaskPod,
    constant_value,
    quote,
    task_finding,
)

_SETS, _EXISTENCE, _NUMBERS = ("In", "NotIn"), ("Exists", "DoesNotExist"), ("Gt", "Lt")
_NODE_NAME = "metadata.name"
_LARGEST_WEIGHT = 100
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def check_scheduling(pod: TaskPod) -> Iterator[Finding]:
    """Find node selectors, affinities and tolerations that a pod cannot have."""
    if pod.has(Setting.KUBERNETES_NODE_SELECTOR):
        yield from _check_node_selector(pod)
    if pod.has(Setting.KUBERNETES_TOLERATIONS):
        for toleration, path in _tolerations(pod):
            yield from _check_toleration(toleration, path)
    if pod.has(Setting.KUBERNETES_AFFINITY):
        yield from _check_affinity(pod)


def _check_node_selector(pod: TaskPod) -> Iterator[Finding]:
    selector, path = pod.platform.node_selector, join_path(pod.platform_path, "nodeSelector")
    labels: Mapping[str, Any] = dict(selector.labels)
    path_of_labels = join_path(path, "labels")
    if selector.HasField("node_selector_json"):
        labels, path_of_labels = (
            _constant_mapping(constant_value(selector.node_selector_json)),
            _constant_path(path, "nodeSelectorJson"),
        )
    for key, value in sorted(labels.items()):
        yield from _check_label_key(join_path(path_of_labels, key), key)
        yield from _check_label_value(join_path(path_of_labels, key), value)


def _check_label_key(path: str, key: str) -> Iterator[Finding]:
    if remedy := describe_bad_label_key(key):
        yield task_finding(path, f"is the key {quote(key)}, which no label can have, {POD_REFUSED}; {remedy}.")


def _check_label_value(path: str, value: object) -> Iterator[Finding]:
    if not isinstance(value, str):
        yield task_finding(path, f"is {quote(value)}, which is no text, {TASK_FAILS}; put it in quotes.")
    elif remedy := describe_bad_label_value(value):
        yield task_finding(path, f"is {quote(value)}, which no label can be, {POD_REFUSED}; {remedy}.")


def _tolerations(pod: TaskPod) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the tolerations as mappings, each with its path; one parameter may hold one of them or a list."""
    for index, toleration in enumerate(pod.platform.tolerations):
        path = f"{join_path(pod.platform_path, 'tolerations')}[{index}]"
        if not toleration.HasField("toleration_json"):
            yield json_format.MessageToDict(toleration), path
            continue
        path = _constant_path(path, "tolerationJson")
        match constant_value(toleration.toleration_json):
            case dict() as mapping if mapping:
                yield mapping, path
            case list() as items:
                yield from ((item, f"{path}[{i}]") for i, item in enumerate(items) if isinstance(item, dict))


def _check_toleration(toleration: Mapping[str, Any], path: str) -> Iterator[Finding]:
    for name in ("key", "operator", "value", "effect"):
        if not isinstance(text := toleration.get(name) or "", str):
            yield task_finding(
                join_path(path, name), f"is {quote(text)}, which is no text, {TASK_FAILS}; put it in quotes."
            )
            return
    for fault in find_toleration_faults(toleration):
        fault_path = join_path(path, fault.field) if fault.field else path
        yield task_finding(fault_path, f"{fault.problem}, {POD_REFUSED}; {fault.remedy}.")


def _check_affinity(pod: TaskPod) -> Iterator[Finding]:
    for index, term in enumerate(pod.platform.node_affinity):
        path = f"{join_path(pod.platform_path, 'nodeAffinity')}[{index}]"
        if term.HasField("node_affinity_json"):
            constant = _constant_mapping(constant_value(term.node_affinity_json))
            yield from _check_affinity_object(constant, _constant_path(path, "nodeAffinityJson"))
        elif term.match_expressions or term.match_fields:  # the driver skips a term without either
            yield from _check_term(json_format.MessageToDict(term), path)
            if term.HasField("weight"):
                yield from _check_weight(join_path(path, "weight"), term.weight)


def _check_affinity_object(affinity: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Check a `NodeAffinity` of Kubernetes."""
    required = _constant_mapping(affinity.get(_REQUIRED)).get("nodeSelectorTerms")
    for index, term in enumerate(required if isinstance(required, list) else ()):
        yield from _check_term(_constant_mapping(term), f"{join_path(path, _REQUIRED, 'nodeSelectorTerms')}[{index}]")
    preferred = affinity.get(_PREFERRED)
    for index, item in enumerate(preferred if isinstance(preferred, list) else ()):
        mapping, item_path = _constant_mapping(item), f"{join_path(path, _PREFERRED)}[{index}]"
        yield from _check_term(_constant_mapping(mapping.get("preference")), join_path(item_path, "preference"))
        yield from _check_weight(join_path(item_path, "weight"), mapping.get("weight", 0))


def _check_weight(path: str, weight: object) -> Iterator[Finding]:
    if isinstance(weight, int | float) and not 1 <= weight <= _LARGEST_WEIGHT:
        message = f"is {weight:g}, {POD_REFUSED}; write a number from 1 to {_LARGEST_WEIGHT}."
        yield task_finding(path, message)


def _check_term(term: Mapping[str, Any], path: str) -> Iterator[Finding]:
    for kind in ("matchExpressions", "matchFields"):
        requirements = term.get(kind)
        for index, item in enumerate(requirements if isinstance(requirements, list) else ()):
            item_path = f"{join_path(path, kind)}[{index}]"
            requirement = _constant_mapping(item)
            key, operator = str(requirement.get("key", "")), requirement.get("operator", "")
            values = requirement.get("values") or []
            if not isinstance(values, list):
                continue
            if kind == "matchFields":
                yield from _check_field(item_path, key, operator, values)
            else:
                yield from _check_expression(item_path, key, operator, values)


def _check_expression(path: str, key: str, operator: str, values: list[Any]) -> Iterator[Finding]:
    yield from _check_label_key(join_path(path, "key"), key)
    values_path = join_path(path, "values")
    if operator not in (*_SETS, *_EXISTENCE, *_NUMBERS):
        message = (
            f"is {quote(operator)}, which is no operator, {POD_REFUSED}; write one of "
            f"{', '.join((*_SETS, *_EXISTENCE, *_NUMBERS))}."
        )
        yield task_finding(join_path(path, "operator"), message)
    elif operator in _SETS and not values:
        yield task_finding(values_path, f"is empty with the operator {operator}, {POD_REFUSED}; write a value.")
    elif operator in _EXISTENCE and values:
        message = f"has values with the operator {operator}, which takes none, {POD_REFUSED}; remove them, or write In."
        yield task_finding(values_path, message)
    elif operator in _NUMBERS and len(values) != 1:
        message = f"has {len(values)} values with the operator {operator}, {POD_REFUSED}; write one number."
        yield task_finding(values_path, message)
    elif operator in _NUMBERS and isinstance(values[0], str) and not re.fullmatch(r"[0-9]+", values[0]):
        message = f"is {quote(values[0])} with the operator {operator}, which no node fits; write a whole number."
        yield task_finding(f"{values_path}[0]", message)
    else:
        for index, value in enumerate(values):
            yield from _check_label_value(f"{values_path}[{index}]", value)


def _check_field(path: str, key: str, operator: str, values: list[Any]) -> Iterator[Finding]:
    if key != _NODE_NAME:
        yield task_finding(join_path(path, "key"), f"is {quote(key)}, {POD_REFUSED}; the field is {_NODE_NAME}.")
    elif operator not in _SETS:
        yield task_finding(join_path(path, "operator"), f"is {quote(operator)}, {POD_REFUSED}; write In or NotIn.")
    elif len(values) != 1:
        yield task_finding(join_path(path, "values"), f"has {len(values)} names, {POD_REFUSED}; write one node.")
    elif remedy := describe_bad_object_name(str(values[0])):
        message = f"is {quote(values[0])}, and no node can have that name, {POD_REFUSED}; {remedy}."
        yield task_finding(f"{join_path(path, 'values')}[0]", message)


def _constant_path(path: str, key: str) -> str:
    return join_path(path, key, "runtimeValue", "constant")


def _constant_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
