"""Rules on secrets: none in the YAML, and none tied to one namespace. No finding repeats a value."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format

from kfp_edge.rules.context import ContainerContext, LintContext
from kfp_edge.spec.fields import Finding, at
from kfp_edge.spec.secret_patterns import kind_of_secret

_WORD_END = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_CHANNEL = "pipelinechannel--"
_SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "pwd", "apikey", "token"})
_SECRET_PAIRS = frozenset((word, "key") for word in ("access", "secret", "api", "private", "signing", "encryption"))
#: `client_secret` is a secret, while `pull_secret` is the name of a Secret.
_OWN_SECRETS = frozenset({"client", "app", "shared", "webhook", "consumer"})
#: Tokens of a language model.
_TEXT_TOKENS = frozenset({"pad", "eos", "bos", "unk", "sep", "cls", "mask", "special", "stop"})
#: What only points to a secret: a placeholder, a variable, a file.
_REFERENCE = re.compile(r"\{\{.*\}\}|\$\{.*\}|\$\(.*\)|<.*>|/\S+")


def values(subject: LintContext) -> Iterator[Finding]:
    """Find values that are secrets: by how they look, wherever they stand, and by the name they are given."""
    found = set()
    source = subject.source
    for path, text in (*_texts(source.spec, source.spec_path), *_texts(source.platform, source.platform_path)):
        if kind := kind_of_secret(text):
            found.add(path)
            yield Finding("KE006", path, f"holds what looks like {kind}.")
    references = {name for container in subject.containers for name in _parameters_that_name_secrets(container)}
    for name, value, path in _named(subject):
        if name in references:
            continue
        for key, text, place in _inside(name, value, path):
            if place not in found and _is_secret_name(key) and text.strip() and not _REFERENCE.fullmatch(text):
                yield Finding("KE006", place, f"{key!r} is given a value; by its name it is a secret.")


def mounts(subject: LintContext) -> Iterator[Finding]:
    """Find Secrets whose names the YAML fixes."""
    for container in subject.containers:
        for path, reference in _references(container):
            parameter = reference.secret_name_parameter
            if parameter.WhichOneof("kind") in (None, "runtime_value"):
                name = parameter.runtime_value.constant.string_value or reference.secret_name
                yield Finding("KE009", path, f"the name of the Secret {name!r} is fixed; make it a parameter.")


def _references(container: ContainerContext) -> Iterator[tuple[str, Any]]:
    """Yield all that names a Secret, with its path."""
    for key, references in (
        ("secretAsEnv", container.platform.secret_as_env),
        ("secretAsVolume", container.platform.secret_as_volume),
        ("imagePullSecret", container.platform.image_pull_secret),
    ):
        for index, reference in enumerate(references):
            yield f"{at(container.platform_path, key)}[{index}]", reference


def _parameters_that_name_secrets(container: ContainerContext) -> Iterator[str]:
    for _, reference in _references(container):
        yield reference.secret_name_parameter.component_input_parameter.removeprefix(_CHANNEL)


def _named(subject: LintContext) -> Iterator[tuple[str, Any, str]]:
    """Yield every value that has a name of the author's choice: (name, value, path)."""
    for path, component in subject.components:
        parameters = component.input_definitions.parameters
        for name in sorted(parameters):
            place = at(path, "inputDefinitions", "parameters", name, "defaultValue")
            yield name.removeprefix(_CHANNEL), json_format.MessageToDict(parameters[name].default_value), place
    for task in subject.tasks:
        inputs = task.spec.inputs.parameters
        for name in sorted(inputs):
            place = at(task.path, "inputs", "parameters", name, "runtimeValue", "constant")
            constant = inputs[name].runtime_value.constant
            yield name.removeprefix(_CHANNEL), json_format.MessageToDict(constant), place
    for container in subject.containers:
        for index, variable in enumerate(container.spec.env):
            yield variable.name, variable.value, at(f"{at(container.path, 'env')}[{index}]", "value")


def _inside(name: str, value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the texts of a value under the nearest name: (name, text, path)."""
    match value:
        case str():
            yield name, value, path
        case dict():
            for key, item in value.items():
                yield from _inside(str(key), item, at(path, key))
        case list():
            for index, item in enumerate(value):
                yield from _inside(name, item, f"{path}[{index}]")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    for _, text, place in _inside("", value, path):
        yield place, text


def _is_secret_name(name: str) -> bool:
    words = [word.lower() for word in _WORD_END.split(name) if word]
    match words:
        case [*_, before, "token"] if before in _TEXT_TOKENS:
            return False
        case [*_, before, "secret"]:
            return before in _OWN_SECRETS
        case [*_, before, last] if (before, last) in _SECRET_PAIRS:
            return True
        case [*_, last]:
            return last in _SECRET_WORDS or words == ["secret"]
    return False
