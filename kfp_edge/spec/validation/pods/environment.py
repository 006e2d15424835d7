"""Environment variables: their names, where their values come from, and which share a name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kfp_edge.kubernetes.names import (
    describe_bad_annotation_key,
    describe_bad_data_key,
    describe_bad_label_key,
    describe_bad_object_name,
    describe_bad_variable_name,
)
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.object_names import ObjectReference, config_map_reference, secret_reference
from kfp_edge.spec.validation.pods.task_pod import POD_REFUSED, TASK_FAILS, Setting, TaskPod, quote, task_finding

_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_FIELD_WITH_KEY = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]", re.DOTALL)
_FIELD_REMEDY = f"write one of {', '.join(_FIELDS)}, or metadata.labels['KEY'] or metadata.annotations['KEY']"
#: What KFP's own variables, which every pod has, come from.
_OWN_VARIABLES = {"KFP_POD_NAME": "a field of the pod", "KFP_POD_UID": "a field of the pod"}


@dataclass(frozen=True)
class _Variable:
    """A variable, the path of its name, and what its value comes from; None for an empty text."""

    path: str
    name: str
    source: str | None


def check_environment(pod: TaskPod) -> Iterator[Finding]:
    """Find variables that a pod cannot have, and names whose values come from two kinds of sources."""
    yield from _check_references(pod)
    if not pod.has(Setting.ENV):
        return
    sources = {name: {source} for name, source in _OWN_VARIABLES.items()}
    for variable in _variables(pod):
        if remedy := describe_bad_variable_name(variable.name):
            message = f"is {quote(variable.name)}, which is no name of a variable, {POD_REFUSED}; {remedy}."
            yield task_finding(variable.path, message)
        if variable.source is None:
            continue
        seen = sources.setdefault(variable.name, set())
        if other := seen - {variable.source}:
            message = (
                f"sets {variable.name} from {variable.source}, and it is set from {min(other)} as well, {POD_REFUSED}; "
                "remove one of them, or choose another name."
            )
            yield task_finding(variable.path, message)
        seen.add(variable.source)
    for index, field in enumerate(pod.platform.field_path_as_env):
        path = f"{join_path(pod.platform_path, 'fieldPathAsEnv')}[{index}]"
        yield from _check_field_path(join_path(path, "fieldPath"), field.field_path)


def _variables(pod: TaskPod) -> Iterator[_Variable]:
    """Yield all variables in the order in which the driver adds them."""
    for index, variable in enumerate(pod.container.env):
        path = f"{join_path(pod.path, 'env')}[{index}].name"
        yield _Variable(path, variable.name, "a value" if variable.value else None)
    for kind, field, source in (
        ("secretAsEnv", pod.platform.secret_as_env, "a Secret"),
        ("configMapAsEnv", pod.platform.config_map_as_env, "a ConfigMap"),
    ):
        for index, reference in enumerate(field):
            for key_index, key in enumerate(reference.key_to_env):
                path = f"{join_path(pod.platform_path, kind)}[{index}].keyToEnv[{key_index}].envVar"
                yield _Variable(path, key.env_var, source)
    for index, field_path in enumerate(pod.platform.field_path_as_env):
        path = f"{join_path(pod.platform_path, 'fieldPathAsEnv')}[{index}].name"
        yield _Variable(path, field_path.name, "a field of the pod")


def _check_references(pod: TaskPod) -> Iterator[Finding]:
    """Find names and keys that no Secret or ConfigMap has; without variables a reference is not looked at."""
    for index, secret in enumerate(pod.platform.secret_as_env):
        reference = secret_reference(f"{join_path(pod.platform_path, 'secretAsEnv')}[{index}]", secret)
        keys = [("secretKey", key.secret_key) for key in secret.key_to_env]
        yield from _check_reference(pod, reference, keys, is_optional=secret.optional)
    for index, config_map in enumerate(pod.platform.config_map_as_env):
        reference = config_map_reference(f"{join_path(pod.platform_path, 'configMapAsEnv')}[{index}]", config_map)
        keys = [("configMapKey", key.config_map_key) for key in config_map.key_to_env]
        yield from _check_reference(pod, reference, keys, is_optional=config_map.optional)


def _check_reference(
    pod: TaskPod, reference: ObjectReference, keys: list[tuple[str, str]], *, is_optional: bool
) -> Iterator[Finding]:
    if keys and reference.name == "":
        yield reference.missing_name()
    is_needed = keys and pod.has(Setting.ENV) and not is_optional
    if is_needed and reference.name and (remedy := describe_bad_object_name(reference.name)):
        message = f"is {quote(reference.name)}, and no {reference.kind} can have that name, {TASK_FAILS}; {remedy}."
        yield task_finding(reference.name_path, message)
    for index, (field, key) in enumerate(keys):
        if pod.has(Setting.ENV) and (remedy := describe_bad_data_key(key)):
            path = f"{join_path(reference.path, 'keyToEnv')}[{index}].{field}"
            message = f"is {quote(key)}, and no {reference.kind} can have that key, {POD_REFUSED}; {remedy}."
            yield task_finding(path, message)


def _check_field_path(path: str, field_path: str) -> Iterator[Finding]:
    if field_path in _FIELDS:
        return
    if match := _FIELD_WITH_KEY.fullmatch(field_path):
        describe = describe_bad_label_key if match[1] == "labels" else describe_bad_annotation_key
        if remedy := describe(match[2]):
            message = f"is {quote(field_path)}, whose key no pod can have, {POD_REFUSED}; as the key {remedy}."
            yield task_finding(path, message)
    else:
        message = f"is {quote(field_path)}, which a variable cannot show, {POD_REFUSED}; {_FIELD_REMEDY}."
        yield task_finding(path, message)
