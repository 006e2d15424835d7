"""From a TaskRun to its Pod, as Tekton does it (tektoncd/pipeline: docs/variables.md, pkg/pod/pod.go)."""

import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from support.fake_kubernetes.objects import Object, condition, owned

RESULTS = "/tekton/results"
SCRIPTS = "tekton-internal-scripts"
#: Tekton's own images.
ENTRYPOINT_IMAGE, SHELL_IMAGE = "ghcr.io/tektoncd/pipeline/entrypoint:v1.6.0", "docker.io/library/busybox:rc"
#: Seconds that a TaskRun may take when it does not say so: Tekton's default-timeout-minutes.
DEFAULT_TIMEOUT = 3600.0

_IMPLICIT = {
    "tekton-internal-workspace": "/workspace",
    "tekton-internal-home": "/tekton/home",
    "tekton-internal-results": RESULTS,
    "tekton-internal-steps": "/tekton/steps",
    SCRIPTS: "/tekton/scripts",
}
_SAME_IN_CONTAINER = ("image", "args", "imagePullPolicy", "workingDir", "securityContext", "env", "envFrom")
_PREAMBLE = "#!/bin/sh\nset -e\n"
_VARIABLE = re.compile(r"\$\(((?:params|results|context)\b[^()]*)\)")
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
    """Return the embedded task spec with its variables replaced.

    Raises:
        InvalidError: a parameter is missing, or a variable is unknown.
    """
    task: Object = taskrun["spec"]["taskSpec"]
    variables = _variables(taskrun, task)
    replaced: Object = _replaced({"steps": task["steps"], "volumes": task.get("volumes", [])}, variables)
    return {"results": task.get("results", [])} | replaced


def pod_of(taskrun: Object, task: Object) -> tuple[Object, dict[str, str]]:
    """Return the Pod of a TaskRun, and its scripts by file name, which an init container of Tekton puts into place."""
    scripts: dict[str, str] = {}
    metadata, spec = taskrun["metadata"], taskrun["spec"]
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
        "spec": spec.get("podTemplate", {})
        | {
            "restartPolicy": "Never",
            "serviceAccountName": spec.get("serviceAccountName", "default"),
            "containers": [_container(number, step, scripts) for number, step in enumerate(task["steps"])],
            "initContainers": [{"name": "prepare", "image": ENTRYPOINT_IMAGE}]
            + [{"name": "place-scripts", "image": SHELL_IMAGE} for _ in range(bool(scripts))],
            "volumes": [{"name": name, "emptyDir": {}} for name in _IMPLICIT] + task["volumes"],
        },
    }
    return pod, scripts


def _container(number: int, step: Object, scripts: dict[str, str]) -> Object:
    container = {"name": f"step-{step['name']}"}
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


def _variables(taskrun: Object, task: Object) -> dict[str, str]:
    values = {param["name"]: param["value"] for param in taskrun["spec"].get("params", [])}
    defaults = {param["name"]: param["default"] for param in task.get("params", []) if "default" in param}
    declared = {param["name"] for param in task.get("params", [])}
    if missing := sorted(declared - values.keys() - defaults.keys()):
        raise InvalidError(
            "invalid input params for task : missing values for these params which have no default values: "
            f"[{' '.join(missing)}]"
        )
    metadata = taskrun["metadata"]
    context = {f"context.taskRun.{field}": metadata[field] for field in ("name", "namespace", "uid")}
    params = {f"params.{name}": value for name, value in (defaults | values).items() if name in declared}
    paths = {f"results.{result['name']}.path": f"{RESULTS}/{result['name']}" for result in task.get("results", [])}
    return context | params | paths


def _replaced(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, variables) for item in value]
    return _VARIABLE.sub(lambda match: _value(match[1], variables), value) if isinstance(value, str) else value


def _value(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise InvalidError(f'non-existent variable in "$({name})"')
    return variables[name]


#: What CRI-O gives a container on OpenShift.
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE", "KILL"),
)


def step_capabilities(container: Object) -> tuple[str, ...]:
    changes = container.get("securityContext", {}).get("capabilities", {})
    dropped = changes.get("drop", [])
    kept = () if "ALL" in dropped else tuple(name for name in _CAPABILITIES if name not in dropped)
    return (*kept, *changes.get("add", []))


def step_name(container: Object) -> str:
    return str(container["name"]).removeprefix("step-")


def unfinished_condition(phase: str, conditions: list[Object], statuses: list[Object]) -> Object:
    """Tekton's `updateIncompleteTaskRunStatus`."""
    if phase == "Running":
        return condition("Succeeded", "Unknown", "Running", "Not all Steps in the Task have finished executing")
    if any("Insufficient" in one.get("message", "") for one in conditions):
        return condition("Succeeded", "Unknown", "ExceededNodeResources", "TaskRun Pod exceeded available resources")
    for status in statuses:
        waiting = status["state"].get("waiting", {})
        if "message" in waiting:
            pulls = waiting["reason"] in ("ErrImagePull", "ImagePullBackOff")
            detail = f'build step "{status["name"]}" is pending with reason "{waiting["message"]}"'
            return condition("Succeeded", "Unknown", "PullImageFailed" if pulls else "Pending", detail)
    first = next((one for one in conditions if one["status"] != "True"), None)
    detail = (
        f'pod status "{first["type"]}":"{first["status"]}"; message: "{first.get("message", "")}"'
        if first
        else "Pending"
    )
    return condition("Succeeded", "Unknown", "Pending", detail)
