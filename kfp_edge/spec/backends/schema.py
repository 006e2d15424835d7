"""The protobuf messages by which a backend reads a pipeline, made from the installed ones and the table of differences.

The result is the same whichever versions of `kfp-pipeline-spec` and `kfp-kubernetes` are installed (2.16 or 2.17). The
numbers of the fields may differ from the backend's: only YAML and JSON are read by these messages, which have names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_edge.spec.backends.profiles import FIELD_FACTS, MESSAGES, Backend

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

M = TypeVar("M", bound=Message)
MessageProto: TypeAlias = descriptor_pb2.DescriptorProto
FileProto: TypeAlias = descriptor_pb2.FileDescriptorProto
FieldProto: TypeAlias = descriptor_pb2.FieldDescriptorProto

_SCALARS = {
    "bool": FieldProto.TYPE_BOOL,
    "int32": FieldProto.TYPE_INT32,
    "string": FieldProto.TYPE_STRING,
}


@dataclass(frozen=True)
class BackendSchema:
    """The messages in which a backend reads the parts of a pipeline."""

    pipeline_spec: type[Message]
    deployment_config: type[Message]
    platform_spec: type[Message]
    executor_config: type[Message]


@lru_cache
def load_schema(backend: Backend) -> BackendSchema:
    """Return the messages of a backend."""
    pool = DescriptorPool()
    for file in _files_in_order([kubernetes_executor_config_pb2.DESCRIPTOR, pipeline_spec_pb2.DESCRIPTOR]):
        proto = FileProto()
        file.CopyToProto(proto)
        _apply_facts(proto, backend)
        pool.Add(proto)
    specs, platforms = pipeline_spec_pb2.DESCRIPTOR.package, kubernetes_executor_config_pb2.DESCRIPTOR.package
    names = (
        f"{specs}.PipelineSpec",
        f"{specs}.PipelineDeploymentConfig",
        f"{specs}.PlatformSpec",
        f"{platforms}.KubernetesExecutorConfig",
    )
    return BackendSchema(*(message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names))


def _files_in_order(files: Iterable[FileDescriptor]) -> list[FileDescriptor]:
    """Return the files and what they import, each after its imports."""
    ordered: dict[str, FileDescriptor] = {}
    for file in files:
        for dependency in (*_files_in_order(file.dependencies), file):
            ordered.setdefault(dependency.name, dependency)
    return list(ordered.values())


def _apply_facts(file: FileProto, backend: Backend) -> None:
    """Add the fields that the backend knows, and remove those that it does not know."""
    for fact in FIELD_FACTS:
        enumeration = _find_enum(file, fact.message)
        if enumeration is not None and backend.name not in fact.known_to:
            _keep(enumeration.value, [value for value in enumeration.value if value.name not in fact.fields])
        message = _find_message(file, fact.message)
        if message is None:
            continue
        if backend.name not in fact.known_to:
            _remove_fields(message, fact.fields)
            continue
        for name, kind in fact.fields.items():
            _add_field(file, message, name, kind)


def _find_message(file: FileProto, name: str) -> MessageProto | None:
    """Return a message, or one inside of another, by its name in the file."""
    outer, *inner = name.split(".")
    message = next((message for message in file.message_type if message.name == outer), None)
    for part in inner:
        nested = message.nested_type if message is not None else ()
        message = next((candidate for candidate in nested if candidate.name == part), None)
    return message


def _find_enum(file: FileProto, name: str) -> descriptor_pb2.EnumDescriptorProto | None:
    """Return the enumeration inside of a message by its name in the file."""
    parent, _, name = name.rpartition(".")
    message = _find_message(file, parent) if parent else None
    enumerations = message.enum_type if message is not None else ()
    return next((enumeration for enumeration in enumerations if enumeration.name == name), None)


def _remove_fields(message: MessageProto, names: Iterable[str]) -> None:
    """Remove fields, and the oneof that protobuf makes for each optional one."""
    kept = [field for field in message.field if field.name not in names]
    used = sorted({field.oneof_index for field in kept if field.HasField("oneof_index")})
    for field in kept:
        if field.HasField("oneof_index"):
            field.oneof_index = used.index(field.oneof_index)
    _keep(message.oneof_decl, [message.oneof_decl[index] for index in used])
    _keep(message.field, kept)


def _keep(repeated: "RepeatedCompositeFieldContainer[M]", kept: Iterable[M]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in kept]
    del repeated[:]
    repeated.extend(copies)


def _add_field(file: FileProto, message: MessageProto, name: str, kind: str) -> None:
    """Add a field, unless the installed package has it, together with the message of its type."""
    if any(field.name == name for field in message.field):
        return
    number = max((field.number for field in message.field), default=0) + 1
    field = message.field.add(name=name, number=number, label=FieldProto.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
        return
    field.type, field.type_name = FieldProto.TYPE_MESSAGE, f".{file.package}.{kind}"
    if _find_message(file, kind) is None:
        added = file.message_type.add(name=kind)
        for inner, inner_kind in MESSAGES[kind].items():
            _add_field(file, added, inner, inner_kind)
