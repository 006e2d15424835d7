"""Quantities are those that Kubernetes 1.34 takes for a container, tried there."""

import pytest

from support.task_pods import CONTAINER, IN_A_TEXT, assert_found, pod_findings

RESOURCES = f"{CONTAINER}.resources"


def findings_of(**resources: object) -> list[str]:
    return pod_findings({"resources": resources})


@pytest.mark.parametrize(
    "quantity", ["1", "0", "500m", "0.0001", "1u", "1Gi", "+1Gi", ".5", "5.", "1e3", "1E", "100Ei", IN_A_TEXT]
)
def test_a_quantity_of_kubernetes_is_valid(quantity: str) -> None:
    assert findings_of(resourceCpuLimit=quantity) == []
    assert findings_of(resourceMemoryLimit=quantity) == []


@pytest.mark.parametrize("quantity", ["abc", "1Gx", "0.5 cores", "4GB", "4 Gi", "1ki", "Gi"])
def test_what_is_no_quantity_is_reported_with_what_to_write(quantity: str) -> None:
    found = findings_of(resourceCpuRequest=quantity)
    assert_found(found, f"{RESOURCES}.resourceCpuRequest", repr(quantity), "write processors, such as 2 or 500m")
    found = findings_of(resourceMemoryLimit=quantity)
    assert_found(found, f"{RESOURCES}.resourceMemoryLimit", "write bytes with a unit, such as 4Gi")


def test_a_negative_quantity_is_reported_in_both_of_its_fields() -> None:
    assert_found(findings_of(resourceCpuLimit="-1"), f"{RESOURCES}.resourceCpuLimit", "Kubernetes refuses the pod")
    assert_found(findings_of(cpuLimit=-1.0), f"{RESOURCES}.cpuLimit", "Kubernetes refuses the pod")
    assert_found(findings_of(memoryRequest="Infinity"), f"{RESOURCES}.memoryRequest", "no quantity")


@pytest.mark.parametrize(
    ("request_", "limit"), [("2Gi", "1Gi"), ("1073741825", "1Gi"), ("1025Mi", "1Gi"), ("2G", "1.9e9")]
)
def test_a_request_above_its_limit_is_reported(request_: str, limit: str) -> None:
    found = findings_of(resourceMemoryRequest=request_, resourceMemoryLimit=limit)
    assert_found(found, f"{RESOURCES}.resourceMemoryRequest", repr(request_), repr(limit), "raise the limit")


@pytest.mark.parametrize(
    ("request_", "limit"),
    [("1Gi", "1Gi"), ("1024Mi", "1Gi"), ("999.5m", "999.2m"), (IN_A_TEXT, "1Gi"), ("2Gi", IN_A_TEXT)],
)
def test_a_request_up_to_its_limit_or_known_to_a_run_only_is_valid(request_: str, limit: str) -> None:
    assert findings_of(resourceMemoryRequest=request_, resourceMemoryLimit=limit) == []


def test_numbers_of_older_versions_count_in_gigabytes_and_only_without_the_text() -> None:
    assert findings_of(memoryRequest=1.0, memoryLimit=1.0) == []
    assert_found(findings_of(memoryRequest=2.0, resourceMemoryLimit="1500M"), f"{RESOURCES}.memoryRequest", "1500M")
    assert findings_of(memoryRequest=9.0, resourceMemoryRequest="1Gi", resourceMemoryLimit="1Gi") == []


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "habana.ai/GAUDI", "cpu", IN_A_TEXT])
def test_a_resource_of_a_node_can_be_asked_for(name: str) -> None:
    assert findings_of(accelerator={"resourceType": name, "resourceCount": "1"}) == []


@pytest.mark.parametrize(
    "name", ["NVIDIA_TESLA_K80", "gpu", "tpu-v3", "nvidia gpu", "Nvidia.com/gpu", "a/b/c", "storage"]
)
def test_another_name_of_a_resource_is_reported(name: str) -> None:
    found = findings_of(accelerator={"resourceType": name, "resourceCount": "1"})
    assert_found(found, f"{RESOURCES}.accelerator.resourceType", repr(name), "such as nvidia.com/gpu")
    found = findings_of(accelerator={"type": name, "count": "1"})
    assert_found(found, f"{RESOURCES}.accelerator.type", repr(name))


@pytest.mark.parametrize("count", ["1", "0", "1000m", "1k", IN_A_TEXT])
def test_a_whole_number_of_accelerators_is_valid(count: str) -> None:
    assert findings_of(accelerator={"resourceType": "nvidia.com/gpu", "resourceCount": count}) == []


@pytest.mark.parametrize("count", ["1.5", "500m", "-1", "two"])
def test_another_number_of_accelerators_is_reported(count: str) -> None:
    found = findings_of(accelerator={"resourceType": "nvidia.com/gpu", "resourceCount": count})
    assert_found(found, f"{RESOURCES}.accelerator.resourceCount", repr(count), "write a whole number")


def test_limits_that_a_component_hands_on_are_not_those_of_its_pod() -> None:
    component = {"taskConfigPassthroughs": [{"field": "RESOURCES"}]}
    resources = {"resources": {"resourceMemoryRequest": "2Gi", "resourceMemoryLimit": "1Gi"}}
    assert pod_findings(resources, component=component) == []
    component["taskConfigPassthroughs"][0]["applyToTask"] = True
    assert len(pod_findings(resources, component=component)) == 1


def test_a_container_that_no_task_runs_is_not_checked() -> None:
    faulty = {"container": {"image": "a", "command": ["a"], "resources": {"resourceCpuLimit": "abc"}}}
    assert pod_findings(spare_executor=faulty) == []
