"""The fields of KFP's protobuf messages, checked one by one so that each fault is told with its place.

protobuf's own JSON parser stops at the first fault and names it by message, not by place in the document.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_edge.spec.secret_patterns import kind_of_secret

_MESSAGES = {
    "PipelineSpec": pipeline_spec_pb2.PipelineSpec,
    "PipelineDeploymentConfig": pipeline_spec_pb2.PipelineDeploymentConfig,
    "PlatformSpec": pipeline_spec_pb2.PlatformSpec,
    "KubernetesExecutorConfig": kubernetes_executor_config_pb2.KubernetesExecutorConfig,
}
_WELL_KNOWN = "google.protobuf."
_WANTED_MESSAGE = {
    "google.protobuf.Struct": "a mapping",
    "google.protobuf.Value": "a plain value",
    "google.protobuf.Duration": 'a duration such as "30s"',
}
_WANTED_SCALAR = {
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
}
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, order=True)
class Finding:
    """One fault: `code` names the rule in `kfp_edge.rules`, `path` its place (`a.b[0].c`, empty for the whole file)."""

    code: str
    path: str
    message: str


def _wrong(path: str, message: str) -> Finding:
    return Finding("KE101", path, message)


def at(path: str, *keys: object) -> str:
    """Return the path of a place under `path`; a key that is not a plain word is quoted."""
    for key in keys:
        text = str(key)
        plain = _PLAIN_KEY.fullmatch(text) is not None
        part = f".{text}" if plain else f'["{text}"]'
        path = text if plain and not path else path + part
    return path


def parse(value: Any, message: str) -> Any:
    """Return `value` as the named protobuf message, unknown fields left out; None if a value is of a wrong type."""
    try:
        return json_format.ParseDict(value, _MESSAGES[message](), ignore_unknown_fields=True)
    except (json_format.ParseError, AttributeError, TypeError):
        # protobuf answers a mapping that should be there and is not with whatever it stumbles over
        return None


def field_findings(value: Any, message: str, path: str) -> list[Finding]:
    """Return every unknown field and every value of a wrong type in `value`, with its place.

    No finding means that protobuf takes the value as it is.
    """
    findings = list(_message(value, _MESSAGES[message].DESCRIPTOR, path))
    if findings:
        return findings
    try:
        json_format.ParseDict(value, _MESSAGES[message]())
    except json_format.ParseError as error:
        findings.append(_wrong(path, f"is not a {message}: {error}"))
    return findings


def _message(value: Any, descriptor: Descriptor, path: str) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield _wrong(path, f"must be a mapping, not {_shown(value)}.")
        return
    fields = {field.json_name: field for field in descriptor.fields} | dict(descriptor.fields_by_name)
    taken: dict[str, str] = {}
    for key, item in value.items():
        field = fields.get(key) if isinstance(key, str) else None
        if field is None:
            yield _wrong(at(path, key), _unknown(str(key), descriptor))
            continue
        if item is None:
            continue
        choice = field.containing_oneof.name if field.containing_oneof else field.name
        if choice in taken:
            yield _wrong(at(path, key), f"cannot stand beside {taken[choice]}; choose one of them.")
        taken[choice] = key
        yield from _field(item, field, at(path, key))


def _field(value: Any, field: FieldDescriptor, path: str) -> Iterator[Finding]:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        if not isinstance(value, dict):
            yield _wrong(path, f"must be a mapping, not {_shown(value)}.")
            return
        for key, item in value.items():
            if isinstance(key, str):
                yield from _element(item, inner.fields_by_name["value"], at(path, key))
            else:
                yield _wrong(at(path, key), f"the key {_shown(key)} must be text; put it in quotes.")
    elif field.is_repeated:
        if not isinstance(value, list):
            yield _wrong(path, f"must be a list, not {_shown(value)}.")
            return
        for index, item in enumerate(value):
            yield from _element(item, field, f"{path}[{index}]")
    else:
        yield from _element(value, field, path)


def _element(value: Any, field: FieldDescriptor, path: str) -> Iterator[Finding]:
    inner = field.message_type
    if inner is not None and not inner.full_name.startswith(_WELL_KNOWN):
        yield from _message(value, inner, path)
        return
    # every field that is no extension belongs to a message
    holder = message_factory.GetMessageClass(cast(Descriptor, field.containing_type))()
    try:
        json_format.ParseDict({field.name: [value] if field.is_repeated else value}, holder)
    except (json_format.ParseError, TypeError, ValueError):
        yield _wrong(path, f"must be {_wanted(field)}, not {_shown(value)}.")


def _unknown(key: str, descriptor: Descriptor) -> str:
    known = sorted(field.json_name for field in descriptor.fields)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}."
    return f"is not a field of {descriptor.name}; {hint}"


def _wanted(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return _WANTED_MESSAGE.get(field.message_type.full_name, f"a {field.message_type.name}")
    if field.enum_type is not None:
        return "one of " + ", ".join(value.name for value in field.enum_type.values)
    return _WANTED_SCALAR.get(field.cpp_type, "a whole number")


def _shown(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case str() if kind := kind_of_secret(value):
            return kind
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() | bool() | int() | float():
            return f"{value!r:.60}"
        case _:
            return f"{type(value).__name__} {value} (put it in quotes)"
