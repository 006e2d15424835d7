"""Environment variables are those that a pod can have once KFP and Argo have merged them."""

from typing import Any

import pytest

from support.task_pods import CONFIG, CONTAINER, FROM_A_RUN, assert_found, pod_findings


def secret(name: str | None = "s", key: str = "k", variable: str = "A", **more: Any) -> dict[str, Any]:
    reference = {"keyToEnv": [{"secretKey": key, "envVar": variable}], **more}
    return reference | ({} if name is None else {"secretName": name})


def config_map(name: str = "s", key: str = "k", variable: str = "A") -> dict[str, Any]:
    return {"configMapName": name, "keyToEnv": [{"configMapKey": key, "envVar": variable}]}


@pytest.mark.parametrize("name", ["A", "a.b", "a-b", "1A", "A B", "A:B"])
def test_a_name_that_some_kubernetes_takes_is_valid(name: str) -> None:
    assert pod_findings({"env": [{"name": name, "value": "x"}]}) == []


@pytest.mark.parametrize("name", ["", "=", "A=B", "ü", "A\n", "A\tB"])
def test_a_name_that_none_takes_is_reported_wherever_it_is(name: str) -> None:
    assert_found(pod_findings({"env": [{"name": name, "value": "x"}]}), f"{CONTAINER}.env[0].name", repr(name))
    found = pod_findings(config={"secretAsEnv": [secret(variable=name)]})
    assert_found(found, f"{CONFIG}.secretAsEnv[0].keyToEnv[0].envVar", repr(name), "write letters, digits and _")
    found = pod_findings(config={"configMapAsEnv": [config_map(variable=name)]})
    assert_found(found, f"{CONFIG}.configMapAsEnv[0].keyToEnv[0].envVar", repr(name))
    found = pod_findings(config={"fieldPathAsEnv": [{"name": name, "fieldPath": "metadata.name"}]})
    assert_found(found, f"{CONFIG}.fieldPathAsEnv[0].name", repr(name))


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ([("A", "1"), ("A", "2")], {}),
        ([("A", "")], {"secretAsEnv": [secret()]}),
        ([("B", "1")], {"secretAsEnv": [secret(), secret("t")]}),
        ([], {"fieldPathAsEnv": [{"name": "A", "fieldPath": f"metadata.{name}"} for name in ("name", "uid")]}),
        ([], {"fieldPathAsEnv": [{"name": "KFP_POD_NAME", "fieldPath": "metadata.name"}]}),
        ([], {"secretAsEnv": [{}]}),
    ],
)
def test_a_name_given_twice_from_one_kind_of_source_is_valid(
    variables: list[tuple[str, str]], config: dict[str, Any]
) -> None:
    assert pod_findings({"env": [{"name": name, "value": value} for name, value in variables]}, config) == []


@pytest.mark.parametrize(
    ("variables", "config", "path"),
    [
        ([("A", "1")], {"secretAsEnv": [secret()]}, "secretAsEnv[0].keyToEnv[0].envVar"),
        ([], {"secretAsEnv": [secret()], "configMapAsEnv": [config_map()]}, "configMapAsEnv[0].keyToEnv[0].envVar"),
        (
            [],
            {"secretAsEnv": [secret()], "fieldPathAsEnv": [{"name": "A", "fieldPath": "metadata.name"}]},
            "fieldPathAsEnv[0].name",
        ),
        ([], {"secretAsEnv": [secret(variable="KFP_POD_UID")]}, "secretAsEnv[0].keyToEnv[0].envVar"),
    ],
)
def test_a_name_given_twice_from_two_kinds_of_sources_is_reported(
    variables: list[tuple[str, str]], config: dict[str, Any], path: str
) -> None:
    found = pod_findings({"env": [{"name": name, "value": value} for name, value in variables]}, config)
    assert_found(found, f"{CONFIG}.{path}", "Kubernetes refuses the pod", "choose another name")


def test_a_variable_of_kfp_itself_cannot_have_a_value() -> None:
    found = pod_findings({"env": [{"name": "KFP_POD_NAME", "value": "x"}]})
    assert_found(found, f"{CONTAINER}.env[0].name", "a field of the pod")


@pytest.mark.parametrize("reference", [secret(), secret("a.b", "A.b-c_d"), secret("A_B", optional=True)])
def test_a_secret_that_can_exist_or_need_not_is_valid(reference: dict[str, Any]) -> None:
    assert pod_findings(config={"secretAsEnv": [reference]}) == []
    from_a_run = secret(None, secretNameParameter=FROM_A_RUN)
    assert pod_findings(config={"secretAsEnv": [from_a_run]}) == []


@pytest.mark.parametrize(
    ("reference", "path", "part"),
    [
        (secret("A_B"), "secretName", "no Secret can have that name"),
        (secret(""), "secretName", "names no Secret"),
        (secret(None), "secretName", "names no Secret"),
        (secret(None, secretNameParameter={"runtimeValue": {"constant": ""}}), "secretNameParameter", "names no"),
        (secret(key=""), "keyToEnv[0].secretKey", "no Secret can have that key"),
        (secret(key="a b"), "keyToEnv[0].secretKey", "no Secret can have that key"),
        (secret(key="..a"), "keyToEnv[0].secretKey", "no Secret can have that key"),
    ],
)
def test_a_secret_that_cannot_exist_is_reported(reference: dict[str, Any], path: str, part: str) -> None:
    (found,) = pod_findings(config={"secretAsEnv": [reference]})
    assert found.startswith(f"KE104 {CONFIG}.secretAsEnv[0].{path}")
    assert part in found


def test_a_config_map_that_cannot_exist_is_reported() -> None:
    found = pod_findings(config={"configMapAsEnv": [config_map("A_B")]})
    assert_found(found, f"{CONFIG}.configMapAsEnv[0].configMapName", "no ConfigMap can have that name")


@pytest.mark.parametrize(
    "field",
    [
        *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
        *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
        *("metadata.labels['a.b/c']", "metadata.annotations['UPPER.com/x']"),
    ],
)
def test_a_field_that_a_variable_can_show_is_valid(field: str) -> None:
    assert pod_findings(config={"fieldPathAsEnv": [{"name": "A", "fieldPath": field}]}) == []


@pytest.mark.parametrize(
    "field",
    [
        *("nope", "", "metadata.labels", "metadata.annotations", "status.phase", "spec.restartPolicy", "metadata.Name"),
        *("metadata.labels[a]", 'metadata.labels["a"]', "metadata.labels['']", "metadata.labels['a b']"),
        *("metadata.labels['UPPER.com/x']", "metadata.annotations['a b']", "metadata.name['a']"),
    ],
)
def test_a_field_that_no_variable_can_show_is_reported(field: str) -> None:
    found = pod_findings(config={"fieldPathAsEnv": [{"name": "A", "fieldPath": field}]})
    assert_found(found, f"{CONFIG}.fieldPathAsEnv[0].fieldPath", repr(field), "Kubernetes refuses the pod")
