"""The manifests for a cluster are valid, grant what is used and no more, and are documented."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity
from yaml import safe_load, safe_load_all

from kfp_edge.client.submission.runtime_image import IMAGES_CONFIG_MAP, RUNTIME_KEY
from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.images import __main__ as images_command
from kfp_edge.kubernetes import metadata
from kfp_edge.pipelines._cluster_parameters import (
    DATA_CONNECTION_KEYS,
    POD_LABELS,
    ClusterParameters,
    DeliverySecrets,
    MetricsSecret,
)
from kfp_edge.runtime.component import DEFAULT_RUNTIME_IMAGE
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from support.manifests import OPENSHIFT, rendered
from support.paths import ROOT
from support.rbac import Right, rights, unused_and_missing
from support.schemas import check

README = OPENSHIFT / "README.md"
PARAMETERS = OPENSHIFT / "parameters.yaml"
RUNNER = "system:serviceaccount:ds-project:pipeline-runner-dspa"
PLAIN = sorted(
    [
        *OPENSHIFT.glob("base/*/*.yaml"),
        *OPENSHIFT.glob("secrets/*.yaml"),
        *OPENSHIFT.glob("dspa/*.yaml"),
        OPENSHIFT / "quota/limits.yaml",
    ]
)


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return rendered(OPENSHIFT / "overlays/example")


def the(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from safe_load_all(path.read_text())


def test_what_is_applied_is_valid_and_has_no_unknown_field(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        check(each)


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: str(path.relative_to(OPENSHIFT)))
def test_every_manifest_is_valid_by_itself(path: Path) -> None:
    for each in documents(path):
        check(each)


def test_no_manifest_is_forgotten() -> None:
    kustomizations = [*OPENSHIFT.glob("*/kustomization.yaml"), *OPENSHIFT.glob("overlays/*/*.yaml")]
    assert sorted(OPENSHIFT.rglob("*.yaml")) == sorted([*PLAIN, *kustomizations, PARAMETERS])
    listed = safe_load((OPENSHIFT / "base/kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(
        str(path.relative_to(OPENSHIFT / "base")) for path in OPENSHIFT.glob("base/*/*.yaml")
    )


def test_the_names_are_set_in_one_file(tmp_path: Path) -> None:
    copy = tmp_path / "openshift"
    shutil.copytree(OPENSHIFT, copy)
    names = copy / "overlays/example/names.yaml"
    text = names.read_text()
    for old, new in (("ds-project", "team-a"), ("edge-staging", "team-a-trial"), ("runner-dspa", "runner-other")):
        text = text.replace(old, new)
    names.write_text(text)
    changed = rendered(copy / "overlays/example")
    assert not re.search("ds-project|(?<!kfp-)edge-staging|runner-dspa", str(changed))
    assert {each["metadata"].get("namespace") for each in changed} == {None, "team-a", "team-a-trial"}
    assert {right.user for right in rights(changed)} == {
        "system:serviceaccount:team-a:pipeline-runner-other",
        "system:serviceaccount:team-a:kfp-edge-build",
        "system:serviceaccount:team-a:kfp-edge-client",
    }


def test_nobody_gets_a_wildcard_or_a_permission_in_the_whole_cluster(objects: list[dict[str, Any]]) -> None:
    assert not [right for right in rights(objects) if "*" in "".join(right)]
    assert not [each for each in objects if each["kind"].startswith("Cluster")]


def test_only_stages_in_their_own_project_may_use_secrets(objects: list[dict[str, Any]]) -> None:
    touched = {(right.user, right.namespace) for right in rights(objects) if right.resource == "secrets"}
    assert touched == {(RUNNER, "ds-project")}


def test_each_permission_is_documented(objects: list[dict[str, Any]]) -> None:
    """The table of permissions in the README has a row for each rule, with its verbs."""
    rows = [line for line in README.read_text().splitlines() if line.startswith("| ")]
    for each in objects:
        for rule in each.get("rules", []):
            for resource in rule["resources"]:
                permission = f"`{resource}`: {', '.join(rule['verbs'])}"
                assert [row for row in rows if f"`{each['metadata']['name']}`" in row and permission in row], permission


@pytest.mark.parametrize("path", sorted(OPENSHIFT.glob("secrets/*.yaml")), ids=lambda path: path.stem)
def test_a_template_has_placeholders_and_no_values(path: Path) -> None:
    for each in documents(path):
        assert "namespace" not in each["metadata"]
        assert "data" not in each
        for value in each.get("stringData", {}).values():
            assert re.fullmatch("<.+>", value)


def test_the_templates_have_the_names_and_keys_that_the_pipelines_use() -> None:
    found = {each["metadata"]["name"]: each for path in OPENSHIFT.glob("secrets/*.yaml") for each in documents(path)}
    connection = found[ClusterParameters.data_connection]["stringData"]
    assert set(DATA_CONNECTION_KEYS) <= set(connection)
    assert found[DeliverySecrets.registry_secret]["type"] == "kubernetes.io/dockerconfigjson"
    assert found[DeliverySecrets.git_secret]["type"] == "kubernetes.io/basic-auth"
    assert set(found[DeliverySecrets.forge_secret]["stringData"]) == {"token"}
    assert set(found[MetricsSecret.metrics_secret]["stringData"]) == {"token", "ca.crt", "url"}
    assert found[ClusterParameters.ca_bundle]["kind"] == "ConfigMap"


def test_the_network_policy_of_builds_selects_their_pods(objects: list[dict[str, Any]]) -> None:
    chosen = the(objects, "NetworkPolicy", "kfp-edge-build")["spec"]["podSelector"]["matchLabels"]
    assert chosen.items() <= metadata.run_labels("build", "a-run").items()


def copy_with_names(folder: Path, **changes: str) -> Path:
    """A copy of the example overlay with other values in names.yaml, whose keys have a dash for each underscore."""
    copy = folder / "openshift"
    shutil.copytree(OPENSHIFT, copy)
    names = copy / "overlays/example/names.yaml"
    text = names.read_text()
    for name, value in changes.items():
        text, count = re.subn(rf"(?m)^  {name.replace('_', '-')}: .*$", f"  {name.replace('_', '-')}: {value}", text)
        assert count == 1
    names.write_text(text)
    return copy / "overlays/example"


def test_ports_of_registry_and_object_store_are_names_of_the_overlay(tmp_path: Path) -> None:
    changed = rendered(copy_with_names(tmp_path, registry_port='"5000"', storage_port='"9000"'))
    rules = the(changed, "NetworkPolicy", "kfp-edge-build")["spec"]["egress"]
    assert [port for rule in rules for port in rule["ports"] if port["port"] in (443, 5000, 9000)] == [
        {"protocol": "TCP", "port": 443},
        {"protocol": "TCP", "port": 5000},
        {"protocol": "TCP", "port": 9000},
    ]


def test_the_runtime_image_is_a_name_of_the_overlay(tmp_path: Path) -> None:
    image = "registry.example.com/kfp-edge/runtime@sha256:" + "0" * 64
    images = the(rendered(copy_with_names(tmp_path, runtime_image=image)), "ConfigMap", IMAGES_CONFIG_MAP)
    assert images["data"] == {RUNTIME_KEY: image}
    assert images["metadata"]["namespace"] == "ds-project"


def test_without_an_image_in_the_overlay_it_is_the_default(objects: list[dict[str, Any]]) -> None:
    assert the(objects, "ConfigMap", IMAGES_CONFIG_MAP)["data"][RUNTIME_KEY] == DEFAULT_RUNTIME_IMAGE


def test_the_patch_for_managed_pipelines_gives_a_valid_pipeline_server() -> None:
    (patch,) = re.findall(
        r"^ *oc patch dspa dspa -n ds-project --type merge -p \\\n *'(.+)'$", README.read_text(), re.MULTILINE
    )
    (server,) = documents(OPENSHIFT / "dspa/dspa.yaml")
    server["spec"]["apiServer"] |= safe_load(patch)["spec"]["apiServer"]
    check(server)
    assert server["spec"]["apiServer"]["managedPipelines"]["image"].endswith("/managed-pipelines@sha256:...")


def test_the_command_for_managed_pipelines_has_options_that_exist() -> None:
    (command,) = re.findall(r"-m kfp_edge\.images (managed-pipelines .+)$", README.read_text(), re.MULTILINE)
    parser = images_command.make_parser()
    assert parser.parse_args(command.split()).backend == "rhoai-3.5"


def test_the_limit_range_for_projects_with_a_quota_goes_into_the_project(tmp_path: Path) -> None:
    overlay = copy_with_names(tmp_path, project="team-a")
    file = overlay / "kustomization.yaml"
    file.write_text(file.read_text().replace("  # - ../../quota", "  - ../../quota"))
    limits = the(rendered(overlay), "LimitRange", "kfp-edge-defaults")
    assert limits["metadata"]["namespace"] == "team-a"
    (item,) = limits["spec"]["limits"]
    assert set(item["default"]) == set(item["defaultRequest"]) == {"cpu", "memory"}
    assert "max" not in item


def test_only_stages_of_the_project_may_connect_to_a_candidate(objects: list[dict[str, Any]]) -> None:
    nothing = the(objects, "NetworkPolicy", "kfp-edge-nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}  # no rule allows anything
    (rule,) = the(objects, "NetworkPolicy", "kfp-edge-stages")["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"] == POD_LABELS
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ds-project"}
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_the_staging_namespace_admits_only_restricted_pods(objects: list[dict[str, Any]]) -> None:
    marks = the(objects, "Namespace", "edge-staging")["metadata"]["labels"]
    assert marks["pod-security.kubernetes.io/enforce"] == "restricted"


def test_service_accounts_that_call_no_api_get_no_token(objects: list[dict[str, Any]]) -> None:
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    assert accounts
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


def test_the_example_parameters_refer_to_objects_that_exist(objects: list[dict[str, Any]]) -> None:
    given = safe_load(PARAMETERS.read_text())
    known = CompiledPipeline((ROOT / "compiled/edge_mlops.yaml").read_text()).parameters
    assert given.keys() <= known.keys()
    build, staging = BuildOptions.parse(given["build_options"]), StagingOptions.parse(given["staging_options"])
    assert the(objects, "ServiceAccount", build.service_account)["metadata"]["namespace"] == "ds-project"
    assert the(objects, "ServiceAccount", staging.service_account)["metadata"]["namespace"] == staging.namespace
    secrets = {each["metadata"]["name"] for path in OPENSHIFT.glob("secrets/*.yaml") for each in documents(path)}
    assert {build.registry_secret, build.ca_bundle, staging.pull_secret} <= secrets


def test_a_candidate_of_default_size_fits_into_the_staging_namespace(objects: list[dict[str, Any]]) -> None:
    asked = StagingOptions()
    (limit,) = the(objects, "LimitRange", "kfp-edge-staging")["spec"]["limits"]
    quota = the(objects, "ResourceQuota", "kfp-edge-staging")["spec"]["hard"]
    for resource, amount in (("cpu", asked.cpu), ("memory", asked.memory)):
        assert parse_quantity(amount) <= parse_quantity(limit["max"][resource])
        assert parse_quantity(amount) * int(quota["pods"]) <= parse_quantity(quota[f"limits.{resource}"])
        assert quota[f"limits.{resource}"] == quota[f"requests.{resource}"]


@dataclass(frozen=True)
class Made:
    user: str
    verb: str
    group: str
    resource: str
    namespace: str


def test_a_permission_that_no_call_needs_and_a_call_without_permission_are_reported() -> None:
    role = {
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "n"},
        "rules": [{"apiGroups": ["tekton.dev"], "resources": ["taskruns"], "verbs": ["get", "delete"]}],
    }
    binding = {
        "kind": "RoleBinding",
        "metadata": {"name": "r", "namespace": "n"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "m"}],
    }
    user = "system:serviceaccount:m:s"
    calls = [Made(user, "get", "tekton.dev", "taskruns", "n"), Made(user, "get", "", "pods/log", "n")]
    difference = unused_and_missing([role, binding], calls)
    assert difference.unused == {Right(user, "n", "delete", "taskruns.tekton.dev")}
    assert difference.missing == {Right(user, "n", "get", "pods/log")}
