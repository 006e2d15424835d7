"""Node selectors and tolerations of a pipeline's parameters are those that Kubernetes takes."""

from typing import Any

import pytest

from kfp_edge.errors import ParameterError
from kfp_edge.kubernetes.pod_options import check_pod_parameters


@pytest.mark.parametrize(
    "values",
    [
        {"node_selector": {"topology.kubernetes.io/zone": "eu-1", "gpu": ""}},
        {"tolerations": [{"operator": "Exists"}, {"key": "a", "value": "b"}]},
        {"tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}]},
    ],
)
def test_what_kubernetes_takes_is_taken(values: dict[str, Any]) -> None:
    check_pod_parameters(values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"node_selector": {"a b": "c"}}, "node_selector is .* 'a b' is the key of no label; write letters"),
        ({"node_selector": {"a": "b c"}}, "node_selector is .* no label can be 'b c'; write letters"),
        ({"tolerations": [{"effect": "NoSchedule"}]}, "tolerations.0 is .* it has no key .* write a key"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "its value is 'b' with .* remove it"),
        ({"tolerations": [{"key": "a b"}]}, "its key is 'a b', which no taint can have; write letters"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "its tolerationSeconds is for .* NoExecute only"),
    ],
)
def test_what_kubernetes_refuses_is_refused_before_anything_is_sent(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        check_pod_parameters(values)
