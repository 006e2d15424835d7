"""Volumes and mounts are those that a pod can have once KFP and Argo have merged them, tried on a cluster."""

from typing import Any

import pytest

from support.task_pods import CONFIG, FROM_A_RUN, assert_found, pod_findings


def folder(name: str = "v", path: str = "/e", **more: Any) -> dict[str, Any]:
    return {"emptyDirMounts": [{"volumeName": name, "mountPath": path, **more}]}


def secret(name: str = "s", path: str = "/s") -> dict[str, Any]:
    return {"secretName": name, "mountPath": path}


def claim(name: str = "s", path: str = "/d", **more: Any) -> dict[str, Any]:
    return {"constant": name, "mountPath": path, **more}


def ephemeral(**more: Any) -> dict[str, Any]:
    volume = {"volumeName": "v", "mountPath": "/e", "accessModes": ["ReadWriteOnce"], "size": "1Gi"}
    return {"genericEphemeralVolume": [volume | more]}


@pytest.mark.parametrize("path", ["/e", "e", "/e:ro", "/a/../x", "/tmp", "/dev/shm", "/s3", "/.cache"])
def test_a_path_that_works_on_a_cluster_is_valid(path: str) -> None:
    assert pod_findings(config=folder(path=path)) == []


@pytest.mark.parametrize("path", ["/", "/kfp-launcher", "/kfp-launcher/", "/var/run/argo", "/a/.."])
def test_a_path_where_kfp_has_its_programs_is_reported(path: str) -> None:
    found = pod_findings(config=folder(path=path))
    assert_found(found, f"{CONFIG}.emptyDirMounts[0].mountPath", "choose a folder of its own")


def test_a_missing_path_is_reported() -> None:
    found = pod_findings(config={"secretAsVolume": [secret(path="")]})
    assert_found(found, f"{CONFIG}.secretAsVolume[0].mountPath", "is missing")


def test_a_path_with_two_volumes_is_reported_and_one_volume_may_have_it_twice() -> None:
    two = {"secretAsVolume": [secret("a"), secret("b", "/s/")]}
    assert_found(pod_findings(config=two), f"{CONFIG}.secretAsVolume[1].mountPath", "the task sees one of them")
    assert pod_findings(config={"secretAsVolume": [secret("a"), secret("a")]}) == []
    from_a_run = {"secretNameParameter": FROM_A_RUN, "mountPath": "/s"}
    assert pod_findings(config={"secretAsVolume": [from_a_run, from_a_run]}) == []


@pytest.mark.parametrize("name", ["v", "a-1", "0", "a" * 63])
def test_a_name_of_a_volume_is_valid(name: str) -> None:
    assert pod_findings(config=folder(name)) == []
    assert pod_findings(config={"secretAsVolume": [secret(name)], "pvcMount": [claim("other")]}) == []


@pytest.mark.parametrize("name", ["a.b", "a" * 64, "A", "a_b", "-a"])
def test_a_name_that_no_volume_can_have_is_reported_for_each_kind(name: str) -> None:
    assert_found(pod_findings(config=folder(name)), f"{CONFIG}.emptyDirMounts[0].volumeName", repr(name))
    found = pod_findings(config={"secretAsVolume": [secret(name)]})
    assert_found(found, f"{CONFIG}.secretAsVolume[0].secretName", "KFP names the volume after the Secret")
    found = pod_findings(config={"pvcMount": [claim(name)]})
    assert_found(found, f"{CONFIG}.pvcMount[0].constant", "KFP names the volume after the claim")
    parameter = {"runtimeValue": {"constant": name}}
    found = pod_findings(config={"configMapAsVolume": [{"configMapNameParameter": parameter, "mountPath": "/c"}]})
    assert_found(found, f"{CONFIG}.configMapAsVolume[0].configMapNameParameter.runtimeValue.constant", "ConfigMap")


def test_a_missing_name_is_reported() -> None:
    found = pod_findings(config={"secretAsVolume": [{"mountPath": "/s"}]})
    assert_found(found, f"{CONFIG}.secretAsVolume[0].secretName", "names no Secret")


def test_one_secret_may_be_mounted_twice() -> None:
    assert pod_findings(config={"secretAsVolume": [secret(path="/a"), secret(path="/b") | {"optional": True}]}) == []


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"pvcMount": [claim("s")], "secretAsVolume": [secret("s")]}, "secretAsVolume[0].secretName"),
        (folder("s") | {"secretAsVolume": [secret("s")]}, "emptyDirMounts[0].volumeName"),
        ({"secretAsVolume": [secret("kfp-launcher")]}, "secretAsVolume[0].secretName"),
        ({"pvcMount": [claim("var-run-argo")]}, "pvcMount[0].constant"),
    ],
)
def test_two_kinds_of_one_name_are_reported(config: dict[str, Any], path: str) -> None:
    assert_found(pod_findings(config=config), f"{CONFIG}.{path}", "KFP makes one volume of the two")


@pytest.mark.parametrize("sub_path", ["", "a", "a/b", "a..b"])
def test_a_folder_of_a_claim_is_valid(sub_path: str) -> None:
    assert pod_findings(config={"pvcMount": [claim(subPath=sub_path)]}) == []


@pytest.mark.parametrize("sub_path", ["/a", "../a", "a/../b"])
def test_a_path_out_of_a_claim_is_reported(sub_path: str) -> None:
    found = pod_findings(config={"pvcMount": [claim(subPath=sub_path)]})
    assert_found(found, f"{CONFIG}.pvcMount[0].subPath", repr(sub_path))


@pytest.mark.parametrize(
    "more", [{"medium": "Memory"}, {"medium": "HugePages-2Mi"}, {"sizeLimit": "0"}, {"sizeLimit": ""}]
)
def test_a_medium_and_a_size_of_an_empty_folder_are_valid(more: dict[str, str]) -> None:
    assert pod_findings(config=folder(**more)) == []


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"medium": "memory"}, "write Memory"),
        ({"medium": "Disk"}, "the pod waits forever"),
        ({"sizeLimit": "lots"}, "write a size, such as 5Gi"),
        ({"sizeLimit": "-1"}, "must not be below zero"),
    ],
)
def test_another_medium_or_size_is_reported(more: dict[str, str], part: str) -> None:
    (key,) = more
    assert_found(pod_findings(config=folder(**more)), f"{CONFIG}.emptyDirMounts[0].{key}", part)


@pytest.mark.parametrize(
    "more",
    [
        {"accessModes": ["ReadWriteOnce", "ReadWriteMany"]},
        {"accessModes": ["ReadWriteOncePod"]},
        {"storageClassName": "fast.ssd"},
        {"storageClassName": "A_B", "defaultStorageClass": True},
        {"metadata": {"labels": {"a": ""}, "annotations": {"A.b/c": "any text ü"}}},
    ],
)
def test_an_ephemeral_claim_is_valid(more: dict[str, Any]) -> None:
    assert pod_findings(config=ephemeral(**more)) == []


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"accessModes": []}, "accessModes"),
        ({"accessModes": ["ReadWriteOnce", "rwo"]}, "accessModes[1]"),
        ({"accessModes": ["ReadWriteOnce", "ReadWriteOncePod"]}, "accessModes"),
        ({"size": ""}, "size"),
        ({"size": "0"}, "size"),
        ({"size": "big"}, "size"),
        ({"storageClassName": "A_B"}, "storageClassName"),
        ({"metadata": {"labels": {"a b": "c"}}}, 'metadata.labels["a b"]'),
        ({"metadata": {"annotations": {"a b": "c"}}}, 'metadata.annotations["a b"]'),
        ({"volumeName": ""}, "volumeName"),
    ],
)
def test_an_ephemeral_claim_that_kubernetes_refuses_is_reported(more: dict[str, Any], path: str) -> None:
    assert_found(pod_findings(config=ephemeral(**more)), f"{CONFIG}.genericEphemeralVolume[0].{path}")


def test_volumes_that_a_component_hands_on_are_not_those_of_its_pod() -> None:
    component = {"taskConfigPassthroughs": [{"field": "KUBERNETES_VOLUMES"}]}
    assert pod_findings(config={"secretAsVolume": [secret("a.b")]}, component=component) == []
    assert len(pod_findings(config=folder("a.b"), component=component)) == 1
