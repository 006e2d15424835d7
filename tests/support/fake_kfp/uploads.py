"""What an API server takes as a pipeline, by its own rules (`NewV2SpecTemplate`) and not by those of kfp-edge.

YAML is read by ruamel.yaml, whose version 1.2 is near that of Go's yaml.v3.
"""

import datetime
import json
import re
from typing import Any

from google.protobuf import json_format
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kfp_edge.spec.backends.profiles import BACKENDS
from kfp_edge.spec.backends.schema import BackendSchema, load_schema
from support.fake_kfp.refusals import KFP, OPENSHIFT_AI, RefusedError

JsonObject = dict[str, Any]

MOST_BYTES_OF_VERSION = 127
#: The fields that each of the servers knows.
_SCHEMAS = {KFP: load_schema(BACKENDS["kfp-2.16"]), OPENSHIFT_AI: load_schema(BACKENDS["rhoai-3.5"])}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def read_upload(text: str, backend: str, what: str) -> list[JsonObject]:
    """Return the pipeline spec, and the platform spec if there is one that the server knows.

    Args:
        text: The file.
        backend: Which server it is.
        what: The object that it creates, as its messages call it.
    """
    reason, documents = _read(text, _SCHEMAS[backend])
    if not reason:
        return documents
    raise RefusedError(500, f"Failed to create {what}") if backend == KFP else RefusedError(400, reason)


def _read(text: str, schema: BackendSchema) -> tuple[str, list[JsonObject]]:
    """Return why the server refuses a file, or what is in it."""
    try:
        documents = [_as_json(each) for each in _load_all(text) if each is not None]
    except (YAMLError, TypeError):
        return "unknown template format", []
    pipelines = [each for each in documents if _is_pipeline_spec(each, schema)]
    platforms = [each for each in documents if each not in pipelines and _is_platform_spec(each, schema)]
    if not pipelines:
        return "unknown template format", []
    if len(pipelines) > 1 or len(platforms) > 1:
        return f"multiple {'pipeline' if len(pipelines) > 1 else 'platform'} specs provided", []
    if pipelines[0].get("schemaVersion") != "2.1.0":
        return "KFP only supports schema version 2.1.0", []
    info = pipelines[0].get("pipelineInfo") or pipelines[0]["pipeline_info"]
    if not _NAME.fullmatch(info["name"]):
        return (
            "pipeline's name must contain only lowercase alphanumeric characters or '-' and must start with "
            "alphanumeric characters"
        ), []
    return "", [*pipelines, *platforms]


def _load_all(text: str) -> list[Any]:
    try:
        return [json.loads(part) for part in text.split("\n---\n")]  # which is faster, and most uploads are JSON
    except ValueError:
        return list(YAML(typ="safe", pure=True).load_all(text))


def _as_json(value: Any) -> Any:
    """Return a value as Go's JSON has it.

    Raises:
        TypeError: a key is no text.
    """
    match value:
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise TypeError("json: unsupported type: map[interface {}]interface {}")
            return {key: _as_json(item) for key, item in value.items()}
        case list():
            return [_as_json(item) for item in value]
        case datetime.date():
            return value.isoformat()
    return value


def _is_pipeline_spec(document: JsonObject, schema: BackendSchema) -> bool:
    try:
        spec: Any = json_format.ParseDict(document, schema.pipeline_spec())
    except (json_format.ParseError, AttributeError, TypeError):
        return False
    return bool(spec.pipeline_info.name) and spec.HasField("root")


def _is_platform_spec(document: JsonObject, schema: BackendSchema) -> bool:
    try:
        platforms: Any = json_format.ParseDict(document, schema.platform_spec())
        return "kubernetes" in platforms.platforms
    except (json_format.ParseError, AttributeError, TypeError):
        return False
