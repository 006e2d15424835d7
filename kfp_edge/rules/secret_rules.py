"""Rules on secrets: no secret in the YAML, and no fixed name of a Secret. No finding repeats a secret's value."""

import re
from collections.abc import Iterator
from typing import TypeAlias

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2

from kfp_edge.rules.context import ContainerContext, LintContext
from kfp_edge.spec.secret_names import is_secret
from kfp_edge.spec.secret_patterns import detect_login, detect_secret
from kfp_edge.spec.validation.lint_findings import Finding, join_path

#: A field by which a pod uses a Secret.
_SecretReference: TypeAlias = (
    kubernetes_executor_config_pb2.SecretAsEnv
    | kubernetes_executor_config_pb2.SecretAsVolume
    | kubernetes_executor_config_pb2.ImagePullSecret
)

_CHANNEL = "pipelinechannel--"
#: An option of a command, perhaps with its value.
_OPTION = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)


def check_secret_values(context: LintContext) -> Iterator[Finding]:
    """Find values that are secrets: by their format, anywhere, and by the name of their parameter or variable."""
    reported = set()
    pipeline = context.pipeline
    texts = (
        *_walk_texts("", pipeline.spec, pipeline.spec_path),
        *_walk_texts("", pipeline.platform, pipeline.platform_path),
    )
    for _, text, path in texts:
        if kind := detect_secret(text):
            reported.add(path)
            yield Finding("KE006", path, f"contains what looks like {kind}.")
    references = {name for container in context.containers for name in _secret_name_parameters(container)}
    for name, value, value_path in _named_values(context):
        if name in references:
            continue
        if isinstance(value, dict) and (kind := detect_login(value)):
            reported.add(value_path)
            yield Finding("KE006", value_path, f"contains what looks like {kind}.")
            continue
        for key, text, path in _walk_texts(name, value, value_path):
            if path not in reported and is_secret(key, text):
                yield Finding("KE006", path, f"{key!r} has a value; by its name it is a secret.")


def check_secret_names(context: LintContext) -> Iterator[Finding]:
    """Find Secrets whose names are fixed in the YAML."""
    for container in context.containers:
        for path, reference in _secret_references(container):
            parameter = reference.secret_name_parameter
            if parameter.WhichOneof("kind") in (None, "runtime_value"):
                name = parameter.runtime_value.constant.string_value or reference.secret_name
                yield Finding("KE009", path, f"the name of the Secret {name!r} is fixed; make it a parameter.")


def _secret_references(container: ContainerContext) -> Iterator[tuple[str, _SecretReference]]:
    """Yield every field that names a Secret, with its path."""
    for key, references in (
        ("secretAsEnv", container.platform.secret_as_env),
        ("secretAsVolume", container.platform.secret_as_volume),
        ("imagePullSecret", container.platform.image_pull_secret),
    ):
        for index, reference in enumerate(references):
            yield f"{join_path(container.platform_path, key)}[{index}]", reference


def _secret_name_parameters(container: ContainerContext) -> Iterator[str]:
    """Yield the parameters that hold the name of a Secret."""
    for _, reference in _secret_references(container):
        yield reference.secret_name_parameter.component_input_parameter.removeprefix(_CHANNEL)


def _named_values(context: LintContext) -> Iterator[tuple[str, object, str]]:
    """Yield every value whose name the author chose: (name, value, path)."""
    for component_path, component in context.components:
        parameters = component.input_definitions.parameters
        for name in sorted(parameters):
            path = join_path(component_path, "inputDefinitions", "parameters", name, "defaultValue")
            yield name.removeprefix(_CHANNEL), json_format.MessageToDict(parameters[name].default_value), path
    for task in context.tasks:
        inputs = task.spec.inputs.parameters
        for name in sorted(inputs):
            path = join_path(task.path, "inputs", "parameters", name, "runtimeValue", "constant")
            constant = inputs[name].runtime_value.constant
            yield name.removeprefix(_CHANNEL), json_format.MessageToDict(constant), path
    for container in context.containers:
        for index, variable in enumerate(container.spec.env):
            path = join_path(f"{join_path(container.path, 'env')}[{index}]", "value")
            yield variable.name, variable.value, path
        for key in ("command", "args"):
            yield from _option_values(list(getattr(container.spec, key)), join_path(container.path, key))


def _option_values(words: list[str], path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the values of options on a command line: `--name value` and `--name=value`."""
    for index, word in enumerate(words):
        option = _OPTION.fullmatch(word)
        if option and option[2] is not None:
            yield option[1], option[2], f"{path}[{index}]"
        elif option and index + 1 < len(words) and not words[index + 1].startswith("-"):
            yield option[1], words[index + 1], f"{path}[{index + 1}]"


def _walk_texts(name: str, value: object, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the texts in a value with the nearest key: (key, text, path)."""
    match value:
        case str():
            yield name, value, path
        case dict():
            for key, item in value.items():
                yield from _walk_texts(str(key), item, join_path(path, key))
        case list():
            for index, item in enumerate(value):
                yield from _walk_texts(name, item, f"{path}[{index}]")
