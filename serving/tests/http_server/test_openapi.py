"""The OpenAPI document describes the server: schemathesis sends what it allows, and much that it does not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from kfp_edge_serving.http_server.openapi import document
from serving_support.bundles import numeric_bundle, sign
from serving_support.server_process import Server, running

load_all_checks()

#: Of every column of `pump` in training, as `strict` serves it.
RANGE = (-1000.0, 1000.0)


def for_served_models() -> Any:
    """Return the document for models that the tests serve, and one that they do not."""
    narrowed = json.loads(document())
    there = {"name": ["mill", "pump", "fan"], "version": ["1", "9"]}
    for path in narrowed["paths"].values():
        for parameter in path.get("parameters", []):
            parameter["schema"]["enum"] = there[parameter["name"]]
    return narrowed


def for_pump() -> Any:
    """Return the document with all that the signature of `pump` adds to what a request has to be."""
    narrowed = for_served_models()
    path = narrowed["paths"]["/v2/models/{name}/infer"]
    path["parameters"][0]["schema"]["enum"] = ["pump"]
    del path["post"]["parameters"], path["post"]["requestBody"]["content"]["application/octet-stream"]
    number = {"type": "number", "minimum": RANGE[0], "maximum": RANGE[1]}
    schemas = narrowed["components"]["schemas"]
    schemas["Input"]["properties"] |= {
        "name": {"const": "X"},
        "datatype": {"const": "FP32"},
        "shape": {"const": [1, 3]},
        "data": {"type": "array", "minItems": 3, "maxItems": 3, "items": number},
    }
    schemas["Input"]["properties"].pop("parameters")
    schemas["Input"]["required"].append("data")
    schemas["TensorRequest"]["properties"]["inputs"]["maxItems"] = 1
    columns = ["torque", "speed", "wear"]
    row = {"properties": dict.fromkeys(columns, number), "required": columns, "additionalProperties": False}
    schemas["RowsRequest"]["properties"]["rows"]["items"] |= row
    schemas["RequestedOutput"]["properties"]["name"] = {"enum": ["label", "probabilities"]}
    for request in ("TensorRequest", "RowsRequest"):
        schemas[request]["properties"]["outputs"]["maxItems"] = 1
    narrowed["paths"] = {"/v2/models/{name}/infer": path}
    return narrowed


SCHEMA = schemathesis.openapi.from_dict(for_served_models())
PUMP = schemathesis.openapi.from_dict(for_pump())


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of pump 1, which refuses missing values and values outside of their range."""
    folder = numeric_bundle(tmp_path_factory.mktemp("strict"))
    signature = json.loads((folder / "signature.json").read_bytes())
    for column in signature["inputs"][0]["columns"]:
        column |= {"range": RANGE, "required": True}
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    with running(folder.parents[1], "--out-of-range", "reject") as server:
        yield server


def test_the_document_is_served_and_valid(server: Server) -> None:
    status, served = server.get("/openapi.json")
    assert (status, served) == (200, json.loads(document()))
    schemathesis.openapi.from_dict(served).validate()


@SCHEMA.parametrize()
@settings(max_examples=50, deadline=None, derandomize=True)
def test_every_response_matches_the_document(server: Server, case: Any) -> None:
    # what one model accepts, the document for all models cannot specify
    case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}", excluded_checks=[positive_data_acceptance])


@pytest.mark.slow
@PUMP.parametrize()
@settings(max_examples=200, deadline=None, derandomize=True)
def test_requests_that_match_the_signature_are_answered_and_others_refused(strict: Server, case: Any) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{strict.port}")
