"""From a TaskRun to its Pod, as Tekton does it (tektoncd/pipeline: docs/variables.md, pkg/pod/pod.go)."""

import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from support.fake_kubernetes._run_objects import Object, owned

RESULTS = "/tekton/results"
SCRIPTS = "tekton-internal-scripts"
#: Seconds that a TaskRun may take when it does not say so: Tekton's default-timeout-minutes.
DEFAULT_TIMEOUT = 3600.0

_IMPLICIT = {
    "tekton-internal-workspace": "/workspace",
    "tekton-internal-home": "/tekton/home",
    "tekton-internal-results": RESULTS,
    "tekton-internal-steps": "/tekton/steps",
    SCRIPTS: "/tekton/scripts",
}
_TASK_FIELDS = {"params", "results", "steps", "stepTemplate", "volumes", "workspaces", "description", "displayName"}
_SAME_IN_CONTAINER = ("image", "args", "imagePullPolicy", "workingDir", "securityContext", "env", "envFrom")
_STEP_FIELDS = {"name", "command", "script", "computeResources", "volumeMounts", *_SAME_IN_CONTAINER}
_WORKSPACE_SOURCES = ("emptyDir", "secret", "configMap", "projected", "persistentVolumeClaim")
_PREAMBLE = "#!/bin/sh\nset -e\n"
_VARIABLE = re.compile(r"\$\(((?:params|results|workspaces|context)\b[^()]*)\)")
_BRACKETS = re.compile(r"\[['\"]([^'\"]+)['\"]\]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}


class InvalidError(Exception):
    """Tekton would refuse the TaskRun; the text says why."""


def seconds(duration: str) -> float:
    """Seconds of a duration of Go, such as 1h30m.

    Raises:
        InvalidError: it is none.
    """
    parts = _DURATION.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise InvalidError(f'time: invalid duration "{duration}"')
    return sum(timedelta(**{_UNITS[unit]: float(number)}).total_seconds() for number, unit in parts)


def timeout(taskrun: Object) -> float:
    """Seconds that a TaskRun may take; 0 for as long as it likes."""
    return seconds(taskrun["spec"]["timeout"]) if "timeout" in taskrun["spec"] else DEFAULT_TIMEOUT


def resolved(taskrun: Object) -> Object:
    """The embedded task spec, steps merged with their template and variables replaced.

    Raises:
        InvalidError: a parameter or workspace is missing, a variable is unknown, or this fake does not know a field.
    """
    spec = taskrun["spec"]
    if "taskSpec" not in spec:
        raise InvalidError("this fake runs TaskRuns with an embedded taskSpec only")
    task: Object = spec["taskSpec"]
    _know(task.keys(), _TASK_FIELDS, "taskSpec")
    template = task.get("stepTemplate", {})
    steps = [_merged(template, step) for step in task["steps"]]
    for step in steps:
        _know(step.keys(), _STEP_FIELDS, "a step")
    variables = _variables(taskrun, task)
    return {key: task[key] for key in ("results",) if key in task} | _replaced(
        {"steps": steps, "volumes": task.get("volumes", []), "workspaces": task.get("workspaces", [])}, variables
    )


def pod_of(taskrun: Object, task: Object) -> tuple[Object, dict[str, str]]:
    """The Pod of a TaskRun and its scripts by file name, which an init container of Tekton would put into place."""
    scripts: dict[str, str] = {}
    containers = [_container(number, step, scripts) for number, step in enumerate(task["steps"])]
    bound = {binding["name"]: binding for binding in taskrun["spec"].get("workspaces", [])}
    volumes: list[Object] = [{"name": name, "emptyDir": {}} for name in _IMPLICIT]
    volumes += task["volumes"]
    for workspace in task["workspaces"]:
        if workspace["name"] not in bound:
            continue
        binding = bound[workspace["name"]]
        name = f"ws-{workspace['name']}"
        volumes.append({"name": name} | {key: binding[key] for key in _WORKSPACE_SOURCES if key in binding})
        mount = {"name": name, "mountPath": _path(workspace)}
        mount |= {"subPath": binding["subPath"]} if "subPath" in binding else {}
        mount |= {"readOnly": True} if workspace.get("readOnly") else {}
        for container in containers:
            container["volumeMounts"].append(mount)
    metadata = taskrun["metadata"]
    template = {key: value for key, value in taskrun["spec"].get("podTemplate", {}).items() if key != "env"}
    labels = metadata.get("labels", {}) | {"tekton.dev/taskRun": metadata["name"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name'][:59]}-pod",
            "namespace": metadata["namespace"],
            "labels": labels | {"app.kubernetes.io/managed-by": "tekton-pipelines"},
            "annotations": dict(metadata.get("annotations", {})),
            "ownerReferences": owned(taskrun),
        },
        "spec": template
        | {
            "restartPolicy": "Never",
            "serviceAccountName": taskrun["spec"].get("serviceAccountName", "default"),
            "containers": containers,
            "volumes": volumes,
        },
    }
    return pod, scripts


def _container(number: int, step: Object, scripts: dict[str, str]) -> Object:
    container = {"name": f"step-{step.get('name') or f'unnamed-{number}'}"}
    container |= {key: step[key] for key in _SAME_IN_CONTAINER if key in step}
    if script := step.get("script"):
        file = f"script-{number}-{uuid.uuid4().hex[:5]}"
        scripts[file] = script if script.strip().startswith("#!") else _PREAMBLE + script
        container["command"] = [f"{_IMPLICIT[SCRIPTS]}/{file}"]
    elif "command" in step:
        container["command"] = step["command"]
    if "computeResources" in step:
        container["resources"] = step["computeResources"]
    mounts = list(step.get("volumeMounts", []))
    taken = {mount["mountPath"].rstrip("/") for mount in mounts}
    mounts += [{"name": name, "mountPath": path} for name, path in _IMPLICIT.items() if path not in taken]
    return container | {"volumeMounts": mounts}


def _merged(template: Object, step: Object) -> Object:
    """A step over its template: lists of named things are merged by name, anything else is replaced."""
    merged = template | step
    for field, name in (("env", "name"), ("volumeMounts", "mountPath")):
        both = {one[name]: one for one in [*template.get(field, []), *step.get(field, [])]}
        if both:
            merged[field] = list(both.values())
    return merged


def _variables(taskrun: Object, task: Object) -> dict[str, Any]:
    given = {param["name"]: param["value"] for param in taskrun["spec"].get("params", [])}
    defaults = {param["name"]: param["default"] for param in task.get("params", []) if "default" in param}
    declared = {param["name"] for param in task.get("params", [])}
    if missing := sorted(declared - given.keys() - defaults.keys()):
        raise InvalidError(
            "invalid input params for task : missing values for these params which have no default values: "
            f"[{' '.join(missing)}]"
        )
    found: dict[str, Any] = {
        "context.taskRun.name": taskrun["metadata"]["name"],
        "context.taskRun.namespace": taskrun["metadata"]["namespace"],
        "context.taskRun.uid": taskrun["metadata"]["uid"],
    }
    for name in declared:
        value = given.get(name, defaults.get(name))
        if isinstance(value, list):
            found[f"params.{name}[*]"] = value
            found |= {f"params.{name}[{index}]": item for index, item in enumerate(value)}
        elif isinstance(value, dict):
            found |= {f"params.{name}.{part}": item for part, item in value.items()}
        else:
            found[f"params.{name}"] = value
    for result in task.get("results", []):
        found[f"results.{result['name']}.path"] = f"{RESULTS}/{result['name']}"
    bound = {binding["name"] for binding in taskrun["spec"].get("workspaces", [])}
    for workspace in task.get("workspaces", []):
        name = workspace["name"]
        if name not in bound and not workspace.get("optional"):
            raise InvalidError(
                f'bound workspaces did not match declared workspaces: didn\'t provide required values: ["{name}"]'
            )
        found[f"workspaces.{name}.path"] = _path(workspace) if name in bound else ""
        found[f"workspaces.{name}.bound"] = str(name in bound).lower()
    return found


def _path(workspace: Object) -> str:
    return str(workspace.get("mountPath") or f"/workspace/{workspace['name']}")


def _replaced(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item, variables)]
    return _text(value, variables) if isinstance(value, str) else value


def _leaves(item: Any, variables: Mapping[str, Any]) -> list[Any]:
    """An item of a list; one that is a whole array parameter becomes its items."""
    if isinstance(item, str) and (whole := _VARIABLE.fullmatch(item)) and whole[1].endswith("[*]"):
        return list(_value(whole[1], variables))
    return [_replaced(item, variables)]


def _text(text: str, variables: Mapping[str, Any]) -> str:
    return _VARIABLE.sub(lambda found: str(_value(found[1], variables)), text)


def _value(name: str, variables: Mapping[str, Any]) -> Any:
    plain = _BRACKETS.sub(r".\1", name)
    if plain not in variables:
        raise InvalidError(f'non-existent variable in "$({name})"')
    return variables[plain]


def _know(fields: Any, known: set[str], where: str) -> None:
    if unknown := sorted(set(fields) - known):
        raise InvalidError(f"this fake does not know {', '.join(unknown)} of {where}")
