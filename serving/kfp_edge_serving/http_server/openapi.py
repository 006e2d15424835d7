"""The OpenAPI document of the REST API ("OpenAPI Specification" 3.1): every path, body and error."""

from functools import cache

import orjson

from kfp_edge_serving import __version__
from kfp_edge_serving.codecs.tensors import DATATYPES
from kfp_edge_serving.features.window_features import INCOMPLETE, LATE, WARMING_UP
from kfp_edge_serving.json_types import JsonObject

Schema = JsonObject

_JSON = "application/json"
_OCTETS = "application/octet-stream"
_HEADER = "Inference-Header-Content-Length"

_ERRORS = {
    "400": "The request does not match the model; the message names the field.",
    "401": "No valid bearer token or client certificate; only if the server requires one.",
    "404": "No such path, model or version.",
    "405": "This path takes another method.",
    "409": "All rows are late, or a row contradicts another one of the same time; of rolling windows only.",
    "413": "The body or the batch is too large.",
    "415": "The body has another content-encoding than gzip or deflate.",
    "500": "The model cannot compute with a request that fits its signature, or the server has a fault.",
    "503": "The server is not ready, or has more requests than it can answer in time.",
}
_ERROR_HEADERS = {"401": "WWW-Authenticate", "405": "Allow", "415": "Accept-Encoding", "503": "Retry-After"}
_DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
_STATISTICS = "How often models were asked and run, and for how long: Triton's statistics."


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "kfp-edge-serving",
                "version": __version__,
                "description": "The Open Inference Protocol v2 over REST, with its binary tensor data extension.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{}, {"bearer": []}, {"certificate": []}],
            "paths": {
                "/v2/health/live": _get("live", "Whether the server listens.", "Live", open_to_all=True),
                "/v2/health/ready": _get("ready", "Whether all models are ready.", "Ready", "503", open_to_all=True),
                "/v2": _get("server", "Server metadata.", "Server"),
                "/v2/": _get("serverAtRoot", "Server metadata, as at /v2.", "Server"),
                "/v2/models": _get("models", "The names of all models.", "Models"),
                "/v2/models/stats": _get("statistics", _STATISTICS, "ModelStatistics"),
                **_model_paths("/v2/models/{name}", "", []),
                **_model_paths("/v2/models/{name}/versions/{version}", "Version", [_parameter("version")]),
                "/metrics": _get("metrics", "The metrics, in the text format of Prometheus.", None),
                "/openapi.json": _get("openapi", "This document.", "OpenApi"),
            },
            "components": {
                "schemas": _schemas(),
                "responses": {status: _error(status) for status in _ERRORS},
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "certificate": {"type": "mutualTLS"},
                },
            },
        }
    )


def _model_paths(root: str, suffix: str, more: list[Schema]) -> Schema:
    parameters = {"parameters": [_parameter("name"), *more]}
    return {
        root: parameters | _get(f"model{suffix}", "The inputs and outputs of a model.", "Model", "404"),
        f"{root}/config": parameters
        | _get(f"modelConfig{suffix}", "Triton's configuration of a model.", "ModelConfig", "404"),
        f"{root}/stats": parameters | _get(f"modelStatistics{suffix}", _STATISTICS, "ModelStatistics", "404"),
        f"{root}/ready": parameters
        | _get(f"modelReady{suffix}", "Whether a model is ready.", "ModelReady", "404", "503"),
        f"{root}/infer": parameters | {"post": _infer(f"infer{suffix}")},
    }


def _parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _get(operation: str, summary: str, schema: str | None, *errors: str, open_to_all: bool = False) -> Schema:
    """Describe a path that takes GET; the response is plain text if there is no schema."""
    content = {"text/plain": {"schema": {"type": "string"}}} if schema is None else _json(_ref(schema))
    description: Schema = {"operationId": operation, "summary": summary}
    if open_to_all:
        description["security"] = []
    statuses = errors if open_to_all else ("401", *errors)
    responses = {"200": {"description": summary, "content": content}} | _error_responses(*statuses, "405")
    if "503" in errors and schema is not None:
        # the body of readiness is the same, ready or not
        responses["503"] = {"description": _ERRORS["503"], "content": _json({"anyOf": [_ref(schema), _ref("Error")]})}
    return {"get": description | {"responses": responses}}


def _infer(operation: str) -> Schema:
    length = {"schema": {"type": "integer", "minimum": 0}}
    raw = {_OCTETS: {"schema": {"type": "string", "contentMediaType": _OCTETS}}}
    return {
        "operationId": operation,
        "summary": "Infer with a model; without a version, with the latest one.",
        "parameters": [
            {
                "name": _HEADER,
                "in": "header",
                "description": "Length in bytes of the JSON object, if raw tensors follow it; 0 if there is none, and "
                "the body is the only input of the model as a raw tensor.",
                **length,
            }
        ],
        "requestBody": {"required": True, "content": _json(_ref("Request")) | raw},
        "responses": {
            "200": {
                "description": "The outputs; as application/octet-stream if one of them was requested as raw bytes.",
                "headers": {_HEADER: {"description": "Length in bytes of the JSON object.", **length}},
                "content": _json(_ref("Response")) | raw,
            },
            "202": {
                "description": "Some rows have no answer, such as those before a rolling window is full. The outputs "
                "are those of the other rows, in their order; without any, there are no outputs.",
                "headers": {_HEADER: {"description": "Length in bytes of the JSON object.", **length}},
                "content": _json(_ref("PartialResponse")) | raw,
            },
            **_error_responses(*_ERRORS),
        },
    }


def _error_responses(*statuses: str) -> Schema:
    default = {"description": "Any other error.", "content": _json(_ref("Error"))}
    return {status: {"$ref": f"#/components/responses/{status}"} for status in statuses} | {"default": default}


def _error(status: str) -> Schema:
    response: Schema = {"description": _ERRORS[status], "content": _json(_ref("Error"))}
    if header := _ERROR_HEADERS.get(status):
        response["headers"] = {header: {"schema": {"type": "string"}}}
    return response


def _schemas() -> Schema:
    text, flag, anything = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
    named = {"name": text, "datatype": {"enum": sorted(DATATYPES)}}
    any_size = {"type": "integer", "minimum": -1, "description": "-1 is any."}
    shape = _list({"type": "integer", "minimum": 0})
    data = {"type": "array", "description": "Flat or nested as the shape, in row-major order; NaN is null."}
    raw_size = {"type": "integer", "minimum": 0, "description": "Bytes of this tensor behind the JSON object."}
    common = {
        "id": _or_null(text),
        "outputs": _or_null(_list(_ref("RequestedOutput"))),
        "parameters": _or_null(_object({}, binary_data_output=flag)),
    }
    names = "Names of the columns of the tensor, in their order, as the text of a JSON array."
    classes = text | {"description": names.replace("columns of the tensor", "classes")}
    described = {
        "columns": text | {"description": names},
        "classes": classes,
        "threshold": {"type": "number", "description": "A score above it is an alarm."},
        "positive": text | {"description": "The label where the probability of this class is above the threshold."},
        "quantile": {"type": "number", "description": "Share of the true values that should lie below this output."},
        "units": text,
    }
    row = {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean", "null"]}}
    rows = {
        "description": "One object per row: values by column name; a value that is null or absent is missing. The "
        "metadata of a model with rolling windows lists the columns, among them those of time and group."
    }
    response = {"model_name": text, "model_version": text}
    outputs = _list(_ref("Output"))
    optional = {
        "id": text,
        "missing": {"description": "For each of 'rows' the columns that were missing."} | _list(_list(text)),
        "predictions": {"description": "For each answered one of 'rows' the outputs by name, probabilities by class."}
        | _list(anything),
    }
    position = {"type": "integer", "minimum": 0}
    duration = _object({"count": position, "ns": position})
    any_sizes = _list(any_size)
    return {
        "Error": _object({"error": text | {"description": "One sentence."}}),
        "Live": _object({"live": flag}),
        "Ready": _object({"ready": flag}),
        "Server": _object({"name": text, "version": text, "extensions": _list(text)}),
        "Models": _object({"models": _list(text)}),
        "TensorMetadata": _object(named | {"shape": _list(any_size)}, parameters=_object({}, **described)),
        "Model": _object(
            {"name": text, "versions": _list(text), "platform": text}
            | dict.fromkeys(("inputs", "outputs"), _list(_ref("TensorMetadata"))),
            rows=_ref("RowsMetadata"),
        ),
        "RowsMetadata": {"description": "What a client sends in 'rows' to a model with rolling windows."}
        | _object(
            {
                "time_column": text,
                "time_kind": {"enum": ["number", "timestamp"]},
                "has_unique_times": {"type": "boolean", "description": "Whether a time names one row of a group."},
                "rows_needed": {"type": "integer", "minimum": 2, "description": "Rows of a group before an answer."},
                "columns": _list(_object({"name": text, "required": flag}, categories=_list(text))),
            },
            group_column=text,
        ),
        "ModelReady": _object(
            {"name": text, "ready": flag}, groups=_object(dict.fromkeys(("full", "warming_up"), position))
        ),
        "ModelConfig": _object(
            {"name": text, "platform": text, "backend": text}
            | {"version_policy": anything, "max_batch_size": position}
            | dict.fromkeys(("input", "output"), _list(_object({"name": text, "data_type": text, "dims": any_sizes})))
        ),
        "ModelStatistics": _object(
            {
                "model_stats": _list(
                    _object(
                        {"name": text, "version": text}
                        | dict.fromkeys(("last_inference", "inference_count", "execution_count"), position)
                        | {"inference_stats": _object(dict.fromkeys(_DURATIONS, duration))}
                    )
                )
            }
        ),
        "OpenApi": _object({"openapi": text, "info": anything, "paths": anything}),
        "Request": {"oneOf": [_ref("TensorRequest"), _ref("RowsRequest")]},
        "TensorRequest": _without("rows", _object({"inputs": _list(_ref("Input"), minItems=1)}, **common)),
        "RowsRequest": _without("inputs", _object({"rows": rows | _list(row)}, **common)),
        "Input": _object(
            named | {"shape": shape}, data=data, parameters=_or_null(_object({}, binary_data_size=raw_size))
        ),
        "RequestedOutput": _object({"name": text}, parameters=_or_null(_object({}, binary_data=flag))),
        "Response": _object(response | {"outputs": outputs}, **optional),
        "PartialResponse": _object(
            response | {"answered": _list(position), "not_answered": _list(_ref("RowWithoutAnswer"))},
            outputs=outputs,
            **optional,
        ),
        "RowWithoutAnswer": _object(
            {"row": position, "status": {"enum": [WARMING_UP, LATE, INCOMPLETE]}},
            group=text,
            rows_seen=position,
            rows_needed=position,
            last_time={"type": ["number", "string"], "description": "Time of the last row of the group."},
            column=text | {"description": "The computed feature that is missing."},
        ),
        "Output": _object(
            named | {"shape": shape}, data=data, parameters=_object({}, binary_data_size=raw_size, classes=classes)
        ),
    }


def _object(required: Schema, **optional: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": required | optional}
    return schema | ({"required": list(required)} if required else {})


def _without(name: str, schema: Schema) -> Schema:
    return schema | {"not": {"required": [name]}}


def _or_null(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _json(schema: Schema) -> Schema:
    return {_JSON: {"schema": schema}}
