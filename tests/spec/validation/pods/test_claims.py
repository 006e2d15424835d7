"""Claims that a pipeline creates are those that Kubernetes takes, and its driver can make."""

import json
from typing import Any

import pytest
import yaml
from kfp import dsl, kubernetes

from kfp_edge.spec import validate_text
from kfp_edge.spec.backends.profiles import BACKENDS, DEFAULT_BACKEND, Backend
from kfp_edge.spec.compiling.compiler import compile_to_yaml
from support.task_pods import assert_found, pod_findings

PARAMETERS = "root.dag.tasks.createpvc.inputs.parameters"


def findings_of(backend: Backend = DEFAULT_BACKEND, **arguments: Any) -> list[str]:
    given = {"access_modes": ["ReadWriteOnce"], "size": "1Gi", "storage_class_name": "fast"} | arguments

    @dsl.pipeline(name="claim")
    def claim(name: str = "a") -> None:
        created = kubernetes.CreatePVC(**{key: name if value == "NAME" else value for key, value in given.items()})
        kubernetes.DeletePVC(pvc_name=created.outputs["name"])

    report = validate_text(compile_to_yaml(claim), backend)
    return [f"{finding.code} {finding.path}: {finding.message}" for finding in report.findings]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"pvc_name": "a.b"},
        {"pvc_name": "NAME"},
        {"size": "NAME"},
        {"pvc_name_suffix": "-data"},
        {"storage_class_name": ""},
        {"access_modes": ["ReadWriteMany", "ReadOnlyMany"]},
        {"annotations": {"A.b/c": "any text"}},
    ],
)
def test_a_claim_that_kubernetes_takes_is_valid(arguments: dict[str, Any]) -> None:
    assert findings_of(**arguments) == []


@pytest.mark.parametrize(
    ("arguments", "path", "part"),
    [
        ({"access_modes": []}, "access_modes.runtimeValue.constant", "has no access mode"),
        ({"access_modes": ["rwo"]}, "access_modes.runtimeValue.constant[0]", "write some of ReadWriteOnce"),
        ({"size": "big"}, "size.runtimeValue.constant", "write a size, such as 5Gi"),
        ({"size": "0"}, "size.runtimeValue.constant", "must be above zero"),
        ({"pvc_name": "A_b"}, "pvc_name.runtimeValue.constant", "Kubernetes refuses for a claim"),
        ({"pvc_name_suffix": "-"}, "pvc_name_suffix.runtimeValue.constant", "Kubernetes refuses for a claim"),
        ({"pvc_name": "a", "pvc_name_suffix": "-b"}, "pvc_name_suffix.runtimeValue.constant", "remove one of them"),
        ({"storage_class_name": "A_b"}, "storage_class_name.runtimeValue.constant", "lower-case letters"),
        ({"annotations": {"a b": "c"}}, 'annotations.runtimeValue.constant["a b"]', "no annotation can have"),
    ],
)
def test_a_claim_that_cannot_be_made_is_reported(arguments: dict[str, Any], path: str, part: str) -> None:
    assert_found(findings_of(**arguments), f"{PARAMETERS}.{path}", part)


def mounted_findings(**arguments: Any) -> list[str]:
    @dsl.component(base_image="a:1", install_kfp_package=False)
    def work() -> None:
        pass

    @dsl.pipeline(name="mounted")
    def mounted() -> None:
        created = kubernetes.CreatePVC(access_modes=["ReadWriteOnce"], size="1Gi", **arguments)
        kubernetes.mount_pvc(work(), created.outputs["name"], "/data")

    return [
        f"{finding.code} {finding.path}: {finding.message}"
        for finding in validate_text(compile_to_yaml(mounted)).findings
    ]


@pytest.mark.parametrize("arguments", [{}, {"pvc_name": "a" * 63}, {"pvc_name_suffix": "-" + "a" * 26}])
def test_a_claim_whose_name_a_volume_can_have_can_be_mounted(arguments: dict[str, str]) -> None:
    assert mounted_findings(**arguments) == []


@pytest.mark.parametrize(
    ("key", "name", "longest"),
    [
        ("pvc_name", "a.b", 63),
        ("pvc_name", "a" * 64, 63),
        ("pvc_name_suffix", ".b", 27),
        ("pvc_name_suffix", "-" + "a" * 27, 27),
    ],
)
def test_a_claim_with_another_name_can_be_created_and_not_mounted(key: str, name: str, longest: int) -> None:
    assert findings_of(**{key: name}) == []
    found = mounted_findings(**{key: name})
    assert_found(found, f"{PARAMETERS}.{key}.runtimeValue.constant", repr(name), f"at most {longest} of them")


@pytest.mark.parametrize("name", BACKENDS)
def test_an_annotation_is_reported_for_the_backends_whose_driver_fails_on_it(name: str) -> None:
    found = findings_of(BACKENDS[name], annotations={"a": "b"})
    if name in ("rhoai-2.25", "rhoai-3.0", "rhoai-3.3", "kfp-2.16"):
        assert_found(found, f"{PARAMETERS}.annotations.runtimeValue.constant", BACKENDS[name].title, "remove it")
    else:
        assert found == []


@pytest.mark.parametrize(("size", "is_valid"), [("1Gi", True), ("0", True), ("big", False), ("", False), ("-1", False)])
def test_the_size_of_a_workspace_is_a_quantity(size: str, is_valid: bool) -> None:
    @dsl.component(base_image="a:1", install_kfp_package=False)
    def work() -> None:
        pass

    workspace = dsl.WorkspaceConfig(size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={}))

    @dsl.pipeline(name="shared", pipeline_config=dsl.PipelineConfig(workspace=workspace))
    def shared() -> None:
        work()

    spec, platform = yaml.safe_load_all(compile_to_yaml(shared))
    platform["platforms"]["kubernetes"]["pipelineConfig"]["workspace"]["size"] = size
    report = validate_text("\n---\n".join(map(json.dumps, (spec, platform))))
    assert report.ok == is_valid
    assert all(finding.path.endswith("pipelineConfig.workspace.size") for finding in report.findings)


def test_a_task_without_claims_is_valid() -> None:
    assert pod_findings() == []
