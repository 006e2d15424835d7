"""Checks of a value against KFP's protobuf messages, field by field, so that every fault is reported with its path.

protobuf's own JSON parser stops at the first fault and names the message, not the location in the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kfp_edge.spec.backends.profiles import find_fact
from kfp_edge.spec.secret_patterns import detect_secret
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.suggestions import suggest_or

M = TypeVar("M", bound=Message)

_WELL_KNOWN_TYPES = "google.protobuf."
_EXPECTED_MESSAGE = {
    "google.protobuf.Struct": "a mapping",
    "google.protobuf.Value": "a plain value",
    "google.protobuf.Duration": 'a duration such as "30s"',
}
_EXPECTED_SCALAR = {
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
}


def parse_message(value: Any, message_type: type[M]) -> M | None:
    """Return `value` as a protobuf message, unknown fields left out; None if a value has the wrong type."""
    try:
        return json_format.ParseDict(value, message_type(), ignore_unknown_fields=True)
    except (json_format.ParseError, AttributeError, TypeError):
        # where protobuf expects a mapping and gets something else, it raises whatever it stumbles over
        return None


@dataclass(frozen=True)
class Consequences:
    """What a backend does about an unknown field, and about a value of the wrong type, each as a sentence."""

    unknown: str
    wrong: str


@dataclass(frozen=True)
class _Fault:
    path: str
    message: str
    is_unknown: bool = False


def check_fields(value: Any, message_type: type[Message], path: str, consequences: Consequences) -> list[Finding]:
    """Return a finding for every unknown field and every value of the wrong type in `value`.

    Without a finding, protobuf accepts the value unchanged.

    Args:
        value: what YAML or JSON gave.
        message_type: the protobuf message that it should be.
        path: the location of the value in its document.
        consequences: what a backend does; a finding ends with it.
    """
    faults = list(_check_message(value, cast(Descriptor, message_type.DESCRIPTOR), path))
    if not faults:
        try:
            json_format.ParseDict(value, message_type())
        except json_format.ParseError as error:
            faults = [_Fault(path, f"is not a {message_type.DESCRIPTOR.name}: {error}.")]
    return [
        Finding(
            "KE101", fault.path, f"{fault.message} {consequences.unknown if fault.is_unknown else consequences.wrong}"
        )
        for fault in faults
    ]


def with_json_names(value: Any, message_type: type[Message]) -> Any:
    """Return a copy of a valid value in which fields and constants of enumerations have the names of JSON.

    A backend takes `pipeline_info`, and the number of an enumeration's constant, as well; what it does not know stays.
    """
    return _rename_message(value, cast(Descriptor, message_type.DESCRIPTOR))


def _rename_message(value: Any, descriptor: Descriptor) -> Any:
    if not isinstance(value, dict) or descriptor.full_name.startswith(_WELL_KNOWN_TYPES):
        return value
    fields = {field.json_name: field for field in descriptor.fields} | dict(descriptor.fields_by_name)
    return {
        fields[key].json_name if key in fields else key: _rename_field(item, fields[key]) if key in fields else item
        for key, item in value.items()
    }


def _rename_field(value: Any, field: FieldDescriptor) -> Any:
    message_type = field.message_type
    if message_type is not None and message_type.GetOptions().map_entry and isinstance(value, dict):
        item_field = message_type.fields_by_name["value"]
        return {key: _rename_field(item, item_field) for key, item in value.items()}
    if isinstance(value, list) and field.is_repeated:
        return [_rename_element(item, field) for item in value]
    return _rename_element(value, field)


def _rename_element(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return _rename_message(value, field.message_type)
    if field.enum_type is not None and isinstance(value, int):
        constant = field.enum_type.values_by_number.get(value)
        return constant.name if constant is not None else value
    return value


def _check_message(value: object, descriptor: Descriptor, path: str) -> Iterator[_Fault]:
    if not isinstance(value, dict):
        yield _Fault(path, f"must be a mapping, not {_describe_value(value)}.")
        return
    fields = {field.json_name: field for field in descriptor.fields} | dict(descriptor.fields_by_name)
    key_of_field: dict[str, str] = {}
    for key, item in value.items():
        field = fields.get(key) if isinstance(key, str) else None
        if field is None:
            yield _Fault(join_path(path, key), _unknown_field_message(str(key), descriptor), is_unknown=True)
            continue
        if item is None:
            continue
        name = field.containing_oneof.name if field.containing_oneof else field.name
        if name in key_of_field:
            yield _Fault(join_path(path, key), f"cannot be set together with {key_of_field[name]}; choose one of them.")
        key_of_field[name] = key
        yield from _check_field(item, field, join_path(path, key))


def _check_field(value: object, field: FieldDescriptor, path: str) -> Iterator[_Fault]:
    message_type = field.message_type
    if message_type is not None and message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            yield _Fault(path, f"must be a mapping, not {_describe_value(value)}.")
            return
        for key, item in value.items():
            if isinstance(key, str):
                yield from _check_element(item, message_type.fields_by_name["value"], join_path(path, key))
            else:
                yield _Fault(join_path(path, key), f"the key {_describe_value(key)} must be text; put it in quotes.")
    elif field.is_repeated:
        if not isinstance(value, list):
            yield _Fault(path, f"must be a list, not {_describe_value(value)}.")
            return
        for index, item in enumerate(value):
            yield from _check_element(item, field, f"{path}[{index}]")
    else:
        yield from _check_element(value, field, path)


def _check_element(value: object, field: FieldDescriptor, path: str) -> Iterator[_Fault]:
    message_type = field.message_type
    if message_type is not None and not message_type.full_name.startswith(_WELL_KNOWN_TYPES):
        yield from _check_message(value, message_type, path)
        return
    # every field that is not an extension belongs to a message
    parent = message_factory.GetMessageClass(cast(Descriptor, field.containing_type))()
    try:
        json_format.ParseDict({field.name: [value] if field.is_repeated else value}, parent)
    except (json_format.ParseError, TypeError, ValueError):
        yield _Fault(path, f"must be {_describe_type(field)}, not {_describe_value(value)}.")


def _unknown_field_message(key: str, descriptor: Descriptor) -> str:
    message = descriptor.full_name.partition(".")[2]
    if (fact := find_fact(message, key)) and fact.effect:
        return f"is not a field of {descriptor.name} here, only in {', '.join(fact.known_to)}; remove it."
    facts = ((field, find_fact(message, field.name)) for field in descriptor.fields)
    known = sorted(field.json_name for field, fact in facts if fact is None or fact.effect)
    hint = suggest_or(key, known, f"remove it, or correct it to one of: {', '.join(known)}.")
    return f"is not a field of {descriptor.name}; {hint}"


def _describe_type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return _EXPECTED_MESSAGE.get(field.message_type.full_name, f"a {field.message_type.name}")
    if field.enum_type is not None:
        return "one of " + ", ".join(value.name for value in field.enum_type.values)
    return _EXPECTED_SCALAR.get(field.cpp_type, "a whole number")


def _describe_value(value: object) -> str:
    """Return a value for a message, without the text of a secret."""
    match value:
        case None:
            return "empty"
        case str() if kind := detect_secret(value):
            return kind
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() | bool() | int() | float():
            return f"{value!r:.60}"
        case _:
            return f"{type(value).__name__} {value} (put it in quotes)"
