"""Node selectors, tolerations and affinities are those that Kubernetes 1.34 takes, tried there."""

from typing import Any

import pytest

from kfp_edge.spec.validation.lint_findings import join_path
from support.task_pods import CONFIG, FROM_A_RUN, assert_found, pod_findings

TERMS = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def constant(value: object) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}


@pytest.mark.parametrize(
    "labels", [{"a": "b"}, {"a": ""}, {"a": "true"}, {"topology.kubernetes.io/zone": "eu-1.a_b"}, {"b/C": "d"}]
)
def test_a_node_selector_that_kubernetes_takes_is_valid(labels: dict[str, str]) -> None:
    assert pod_findings(config={"nodeSelector": {"labels": labels}}) == []
    assert pod_findings(config={"nodeSelector": {"nodeSelectorJson": constant(labels)}}) == []
    assert pod_findings(config={"nodeSelector": {"nodeSelectorJson": FROM_A_RUN}}) == []


@pytest.mark.parametrize(
    "labels", [{"a b": "c"}, {"": "c"}, {"A.b/c": "d"}, {"a": "b c"}, {"a": "-b"}, {"a": "ü"}, {"a": "c" * 64}]
)
def test_a_node_selector_that_kubernetes_refuses_is_reported(labels: dict[str, str]) -> None:
    path = join_path(f"{CONFIG}.nodeSelector.labels", *labels)
    assert_found(pod_findings(config={"nodeSelector": {"labels": labels}}), path, "Kubernetes refuses the pod")


def test_a_label_that_is_no_text_is_reported() -> None:
    found = pod_findings(config={"nodeSelector": {"nodeSelectorJson": constant({"gpu": True})}})
    path = f"{CONFIG}.nodeSelector.nodeSelectorJson.runtimeValue.constant.gpu"
    assert_found(found, path, "put it in quotes")


TOLERATIONS = [
    {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"},
    {"key": "a"},
    {"operator": "Exists"},
    {"key": "a", "operator": "Exists", "value": ""},
    {"key": "a", "effect": "NoExecute", "tolerationSeconds": -5},
    {"key": "nvidia.com/GPU", "operator": "Exists", "effect": "PreferNoSchedule"},
]


@pytest.mark.parametrize("toleration", TOLERATIONS)
def test_a_toleration_that_kubernetes_takes_is_valid(toleration: dict[str, Any]) -> None:
    assert pod_findings(config={"tolerations": [toleration]}) == []
    assert pod_findings(config={"tolerations": [{"tolerationJson": constant(toleration)}]}) == []
    assert pod_findings(config={"tolerations": [{"tolerationJson": constant([toleration])}]}) == []


def test_a_toleration_that_a_run_knows_is_not_checked() -> None:
    assert pod_findings(config={"tolerations": [{"tolerationJson": FROM_A_RUN}]}) == []
    assert pod_findings(config={"tolerations": [{"tolerationJson": constant({})}]}) == []


@pytest.mark.parametrize(
    ("toleration", "path"),
    [
        ({"operator": "Nope"}, ".operator"),
        ({"key": "a", "operator": "exists"}, ".operator"),
        ({"operator": "Equal", "value": "x"}, ""),
        ({"effect": "NoSchedule"}, ""),
        ({"key": "a", "operator": "Exists", "value": "x"}, ".value"),
        ({"key": "a b"}, ".key"),
        ({"key": "a/b/c"}, ".key"),
        ({"key": "a", "value": "b c"}, ".value"),
        ({"key": "a", "effect": "noschedule"}, ".effect"),
        ({"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}, ".tolerationSeconds"),
        ({"key": "a", "tolerationSeconds": 5}, ".tolerationSeconds"),
    ],
)
def test_a_toleration_that_kubernetes_refuses_is_reported(toleration: dict[str, Any], path: str) -> None:
    found = pod_findings(config={"tolerations": [toleration]})
    assert_found(found, f"{CONFIG}.tolerations[0]{path}", "Kubernetes refuses the pod")
    found = pod_findings(config={"tolerations": [{"tolerationJson": constant([toleration])}]})
    assert_found(found, f"{CONFIG}.tolerations[0].tolerationJson.runtimeValue.constant[0]{path}")


EXPRESSIONS = [
    {"key": "a", "operator": "In", "values": ["b", ""]},
    {"key": "a", "operator": "NotIn", "values": ["b"]},
    {"key": "a", "operator": "Exists"},
    {"key": "a", "operator": "DoesNotExist"},
    {"key": "a", "operator": "Gt", "values": ["5"]},
    {"key": "a.b/c", "operator": "Lt", "values": ["5"]},
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_that_kubernetes_takes_is_valid(expression: dict[str, Any]) -> None:
    assert pod_findings(config={"nodeAffinity": [{"matchExpressions": [expression]}]}) == []
    assert pod_findings(config={"nodeAffinity": [{"matchExpressions": [expression], "weight": 100}]}) == []
    affinity = {TERMS: {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    assert pod_findings(config={"nodeAffinity": [{"nodeAffinityJson": constant(affinity)}]}) == []


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ({"key": "a", "operator": "In", "values": []}, "values"),
        ({"key": "a", "operator": "NotIn"}, "values"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, "values"),
        ({"key": "a", "operator": "DoesNotExist", "values": ["b"]}, "values"),
        ({"key": "a", "operator": "Gt", "values": ["1", "2"]}, "values"),
        ({"key": "a", "operator": "Gt", "values": ["1.5"]}, "values[0]"),
        ({"key": "a", "operator": "in", "values": ["b"]}, "operator"),
        ({"key": "a", "operator": "", "values": ["b"]}, "operator"),
        ({"key": "a b", "operator": "Exists"}, "key"),
        ({"key": "", "operator": "Exists"}, "key"),
        ({"key": "a", "operator": "In", "values": ["b", "c d"]}, "values[1]"),
    ],
)
def test_an_expression_that_kubernetes_refuses_is_reported(expression: dict[str, Any], path: str) -> None:
    found = pod_findings(config={"nodeAffinity": [{"matchExpressions": [expression]}]})
    assert_found(found, f"{CONFIG}.nodeAffinity[0].matchExpressions[0].{path}")
    affinity = {PREFERRED: [{"weight": 1, "preference": {"matchExpressions": [expression]}}]}
    found = pod_findings(config={"nodeAffinity": [{"nodeAffinityJson": constant(affinity)}]})
    base = f"{CONFIG}.nodeAffinity[0].nodeAffinityJson.runtimeValue.constant.{PREFERRED}[0].preference"
    assert_found(found, f"{base}.matchExpressions[0].{path}")


def test_a_node_can_be_named_by_one_field() -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1.plant"]}]}
    assert pod_findings(config={"nodeAffinity": [term]}) == []


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"key": "metadata.namespace", "operator": "In", "values": ["b"]}, "key"),
        ({"key": "metadata.name", "operator": "Exists"}, "operator"),
        ({"key": "metadata.name", "operator": "In", "values": ["b", "c"]}, "values"),
        ({"key": "metadata.name", "operator": "In", "values": ["A b"]}, "values[0]"),
    ],
)
def test_another_field_is_reported(field: dict[str, Any], path: str) -> None:
    found = pod_findings(config={"nodeAffinity": [{"matchFields": [field]}]})
    assert_found(found, f"{CONFIG}.nodeAffinity[0].matchFields[0].{path}")


@pytest.mark.parametrize("weight", [0, 101, -1])
def test_a_weight_beyond_its_range_is_reported(weight: int) -> None:
    found = pod_findings(config={"nodeAffinity": [{"matchExpressions": EXPRESSIONS[:1], "weight": weight}]})
    assert_found(found, f"{CONFIG}.nodeAffinity[0].weight", "write a number from 1 to 100")


def test_a_term_that_the_driver_skips_is_valid() -> None:
    assert pod_findings(config={"nodeAffinity": [{"weight": 500}]}) == []
    assert pod_findings(config={"nodeAffinity": [{"nodeAffinityJson": FROM_A_RUN}]}) == []


def test_what_a_component_hands_on_is_not_on_its_pod() -> None:
    config = {"nodeSelector": {"labels": {"a b": "c"}}, "tolerations": [{}]}
    fields = ("KUBERNETES_NODE_SELECTOR", "KUBERNETES_TOLERATIONS")
    component = {"taskConfigPassthroughs": [{"field": field} for field in fields]}
    assert pod_findings(config=config, component=component) == []
    assert len(pod_findings(config=config)) == 2
