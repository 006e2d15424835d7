"""Checks Kubernetes objects against the strict schema of their kind: an unknown field is an error. Works offline.

- Kinds of Kubernetes itself: the schemas of the package kubernetes-validate, made from Kubernetes' OpenAPI document.
- Custom kinds: `Kind_group_version.json` in this folder, written here. They have the fields that this project writes,
  or that its fakes read and write, and no others. Where `../shared/schemas` has the complete schema, made from the
  kind's CustomResourceDefinition, the object must fit that as well.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from referencing import Registry, Resource

from support.paths import SHARED

#: The schemas of custom kinds that are part of this repository.
FOLDER = Path(__file__).parent
#: The complete schemas of custom kinds; optional.
COMPLETE = SHARED / "schemas"

_KUBERNETES = (
    Path(kubernetes_validate.__file__).parent
    / "kubernetes-json-schema"
    / f"v{kubernetes_validate.latest_version()}-local-strict"
)
_KUBERNETES_GROUPS = ("", "apps", "autoscaling", "batch", "policy")

Schema = dict[str, Any]


def check(resource: Mapping[str, Any]) -> None:
    """Raise a jsonschema.ValidationError unless the object fits the schema of its kind."""
    for error in errors(resource):
        raise error


def errors(resource: Mapping[str, Any]) -> Iterator[jsonschema.ValidationError]:
    """Yield what is wrong with an object; an API server's defaults and admission webhooks are not considered."""
    for validator in _validators(resource["apiVersion"], resource["kind"]):
        yield from validator.iter_errors(resource)


def custom_kinds() -> list[str]:
    """Return the names of the schemas in this folder, `Kind_group_version`."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read_schema(name: str) -> Schema:
    """Return our schema of a custom kind."""
    schema: Schema = json.loads((FOLDER / f"{name}.json").read_text())
    return schema


def read_complete_schema(name: str) -> Schema | None:
    """Return the complete schema of a custom kind, None where it is not on this machine.

    The CRD of a TaskRun leaves its embedded task open; the CRD of Task says what that may be.
    """
    path = COMPLETE / f"{name}.json"
    if not path.is_file():
        return None
    schema: Schema = json.loads(path.read_text())
    if name.startswith("TaskRun_"):
        task = json.loads((COMPLETE / f"{name.replace('TaskRun_', 'Task_')}.json").read_text())
        schema["properties"]["spec"]["properties"]["taskSpec"] = task["properties"]["spec"]
    return schema


def definition(reference: str) -> Schema:
    """Return the type of Kubernetes that a `$ref` of our schemas names."""
    schema: Schema = _definitions().resolver().lookup(reference).contents
    return schema


@functools.cache
def _validators(api_version: str, kind: str) -> tuple[Any, ...]:
    """Return the validators of a kind, made once: the definitions of Kubernetes alone are two megabytes."""
    group, _, version = api_version.rpartition("/")
    if group in _KUBERNETES_GROUPS or group.endswith(".k8s.io"):
        file = "-".join(filter(None, (kind.lower(), group.partition(".")[0], version)))
        return (_validator(json.loads((_KUBERNETES / f"{file}.json").read_text())),)
    name = f"{kind}_{group}_{version}"
    complete = read_complete_schema(name)
    ours = _validator(read_schema(name))
    return (ours,) if complete is None else (ours, jsonschema.Draft7Validator(complete))


def _validator(schema: Schema) -> Any:
    return jsonschema.Draft202012Validator(schema, registry=_definitions())


@functools.cache
def _definitions() -> Registry[Any]:
    """Return Kubernetes' own types (ObjectMeta, EnvVar, ...) under the address by which the schemas refer to them."""
    definitions = Resource.from_contents(json.loads((_KUBERNETES / "_definitions.json").read_text()))
    return (definitions @ Registry()).with_resource("_definitions.json", definitions).crawl()
