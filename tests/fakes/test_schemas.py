"""Our schemas of custom kinds are strict, and say nothing that the kinds' own definitions do not say."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.task_run import Build, make_task_run
from kfp_edge.fleet.contracts import Serving
from kfp_edge.fleet.repository.new_repository import Agent, new_fleet
from kfp_edge.gitops.images import Image
from kfp_edge.mirror.images import SiteState
from kfp_edge.mirror.mirror_set import render_mirror_set
from kfp_edge.spec import compile_to_manifests, load_pipeline
from support import schemas
from support.fleets import URL, read_yaml, site_with, write_fleet
from support.manifests import KSERVE, OPENSHIFT, rendered
from support.paths import ROOT

#: Their keys are chosen by the user, or checked by other means.
OPEN = {"labels", "matchLabels", "annotations", "nodeSelector", "requests", "limits", "config"}
OPEN |= {"pipelineSpec", "platformSpec"}
#: Kinds of which ../shared/schemas has no definition.
WITHOUT_DEFINITION = ("ManagedClusterSetBinding_", "Placement_", "GitOpsCluster_", "ImageDigestMirrorSet_")
Keys = tuple[str | int, ...]


def emitted() -> Iterator[dict[str, Any]]:
    """Yield an object of every custom kind that the project writes."""
    yield from yaml.safe_load_all((OPENSHIFT / "dspa/dspa.yaml").read_text())
    yield from emitted_for_a_fleet()
    yield yaml.safe_load((KSERVE / "bundle/servingruntime.yaml").read_text())
    yield yaml.safe_load((KSERVE / "examples/plain.yaml").read_text())
    yield yaml.safe_load((ROOT / "deploy/observability/hub/rules/prometheusrule.yaml").read_text())
    yield yaml.safe_load((ROOT / "deploy/observability/hub/dashboards/kfp-edge-site.yaml").read_text())
    yield yaml.safe_load((ROOT / "deploy/observability/site/operator/opentelemetrycollector.yaml").read_text())
    yield from yaml.safe_load_all(compile_to_manifests(load_pipeline("training")))
    options = BuildOptions.parse(
        {
            "context": "s3://bucket/contexts",
            "registry_secret": "registry",
            "pull_secret": "pull",
            "ca_bundle": "ca",
            "node_selector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
        }
    )
    labels, expires = {"kfp-edge.io/run": "1"}, "2026-01-01T00:00:00Z"
    yield make_task_run(
        Build("build", labels, expires, (), "quay.io/a:1", ("--no-cache",), (), "s3://b/k", "0" * 64, options)
    )


def emitted_for_a_fleet() -> Iterator[dict[str, Any]]:
    """Yield the objects of Argo CD, of Open Cluster Management and of KServe in the repository of a fleet."""
    with tempfile.TemporaryDirectory() as folder:
        windows = [{"schedule": "0 22 * * *", "duration": "4h"}]
        sites = [site_with("hall-1", delivery="site"), site_with("hall-2", windows=windows)]
        fleet = new_fleet("plant", URL, rings=("canary",)).model_copy(update={"serving": Serving.KSERVE})
        repository = write_fleet(Path(folder), sites, fleet=fleet, agents=(Agent.HUB, Agent.ACM))
        yield from (each for part in ("argocd/hub", "acm") for each in rendered(repository / part) if is_custom(each))
        yield from yaml.safe_load_all((repository / "argocd/site/hall-1.yaml").read_text())
        yield rendered(repository / "argocd/project")[0]
        isvc = read_yaml(repository / "models/pump/base/inferenceservice.yaml")[0]
        yield isvc
        state = SiteState(fleet, sites[0], "0" * 40, (Image("pump", "quay.io/plant/pump"),), ())
        yield yaml.safe_load(render_mirror_set(state, "registry.hall-1.example:5000"))


def is_custom(each: dict[str, Any]) -> bool:
    return each["kind"] != "ConfigMap"


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    return {f"{one['kind']}_{one['apiVersion'].replace('/', '_')}": one for one in emitted()}


def places(value: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield every value inside an object with the path to it, but for what is below `OPEN`."""
    yield path, value
    if path and path[-1] in OPEN:
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield from places(child, (*path, key))


def at(value: Any, path: Keys) -> Any:
    for key in path:
        value = value[key]
    return value


def is_valid(resource: dict[str, Any]) -> bool:
    return not any(schemas.errors(resource))


def test_every_schema_has_an_example_and_every_example_is_valid(examples: dict[str, dict[str, Any]]) -> None:
    assert sorted(examples) == schemas.custom_kinds()
    assert [name for name, example in examples.items() if not is_valid(example)] == []


@pytest.mark.parametrize("name", schemas.custom_kinds())
def test_an_unknown_field_is_refused_wherever_it_is(examples: dict[str, dict[str, Any]], name: str) -> None:
    for path, value in places(examples[name]):
        if isinstance(value, dict) and (not path or path[-1] not in OPEN):
            changed = copy.deepcopy(examples[name])
            at(changed, path)["unheardOf"] = "x"
            assert not is_valid(changed), path


@pytest.mark.parametrize("name", schemas.custom_kinds())
def test_a_value_of_a_wrong_type_is_refused_wherever_it_is(examples: dict[str, dict[str, Any]], name: str) -> None:
    for path, value in places(examples[name]):
        if path and ("kind" not in path and "apiVersion" not in path):
            changed = copy.deepcopy(examples[name])
            at(changed, path[:-1])[path[-1]] = "x" if isinstance(value, dict | list) else ["x"]
            assert not is_valid(changed), path


@pytest.mark.skipif(not schemas.COMPLETE.is_dir(), reason=f"the complete schemas are not in {schemas.COMPLETE}")
def test_our_schemas_have_no_field_that_the_complete_ones_have_not() -> None:
    complete = {name: schemas.read_complete_schema(name) for name in schemas.custom_kinds()}
    complete = {name: schema for name, schema in complete.items() if not name.startswith(WITHOUT_DEFINITION)}
    assert [name for name, schema in complete.items() if schema is None] == []
    wrong = {name: list(differences(schemas.read_schema(name), schema or {})) for name, schema in complete.items()}
    assert {name: problems for name, problems in wrong.items() if problems} == {}


def differences(ours: schemas.Schema, complete: schemas.Schema, path: str = "") -> Iterator[str]:
    """Yield the fields of ours that the complete schema lacks, or that have another type there."""
    if complete.get("x-kubernetes-preserve-unknown-fields"):
        return
    if not types(ours) <= types(complete):
        yield f"{path}: {types(ours)} is not among {types(complete)}"
    if "items" in ours:
        yield from differences(ours["items"], complete["items"], f"{path}[]")
    for name, schema in ours.get("properties", {}).items():
        if name not in complete["properties"]:
            yield f"{path}.{name}: unknown"
        else:
            yield from differences(schema, complete["properties"][name], f"{path}.{name}")


def types(schema: schemas.Schema) -> set[str]:
    """Return the JSON types that a schema allows; those of Kubernetes' own types, null aside, from their definition."""
    if "$ref" in schema:
        schema = schemas.definition(schema["$ref"])
    if "enum" in schema or "const" in schema:
        return {"string"}
    if "anyOf" in schema:
        return {each["type"] for each in schema["anyOf"]}
    named = schema["type"]
    return {named} if isinstance(named, str) else set(named) - {"null"}
