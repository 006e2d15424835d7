"""Our schemas of custom kinds are strict, and say nothing that the kinds' own definitions do not say."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.task_run import Build, make_task_run
from kfp_edge.spec import compile_to_manifests, load_pipeline
from support import schemas
from support.manifests import KSERVE, OPENSHIFT
from support.paths import ROOT

#: Their keys are chosen by the user, or checked by other means.
OPEN = {"labels", "annotations", "nodeSelector", "requests", "limits", "pipelineSpec", "platformSpec"}
APPLICATION = ROOT / "components/gitops_commit/template/argocd/__site__.__model__.yaml"
Path = tuple[str | int, ...]


def emitted() -> Iterator[dict[str, Any]]:
    """Yield an object of every custom kind that the project writes."""
    yield from yaml.safe_load_all((OPENSHIFT / "dspa/dspa.yaml").read_text())
    yield yaml.safe_load(APPLICATION.read_text())
    yield yaml.safe_load((KSERVE / "bundle/servingruntime.yaml").read_text())
    yield yaml.safe_load((KSERVE / "examples/plain.yaml").read_text())
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


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    return {f"{one['kind']}_{one['apiVersion'].replace('/', '_')}": one for one in emitted()}


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every value inside an object with the path to it, but for what is below `OPEN`."""
    yield path, value
    if path and path[-1] in OPEN:
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield from places(child, (*path, key))


def at(value: Any, path: Path) -> Any:
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
