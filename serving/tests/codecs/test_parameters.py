"""Parameters that ask for what the server does not support are refused by name; any other is ignored."""

from typing import Any

import pytest

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.model import Model
from serving_support.bundles import numeric_bundle
from serving_support.onnx_models import ask, load

UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"classification": 2}, "asks for 'classification', an extension that this server does not support."),
    (
        {"shared_memory_region": "r", "shared_memory_byte_size": 8},
        "asks for 'shared_memory_region', an extension that this server does not support.",
    ),
    ({"content_type": "base64"}, "has the content_type 'base64', which this server does not decode; send text."),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(numeric_bundle(tmp_path_factory.mktemp("pump")))


def request_with(where: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a request in which the request itself, its input or its output has parameters."""
    owners: dict[str, dict[str, Any]] = {name: {} for name in ("the request", "input 'X'", "output 'label'")}
    owners[where] = {"parameters": parameters}
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    outputs = [{"name": "label"} | owners["output 'label'"]]
    return {"inputs": [tensor | owners["input 'X'"]], "outputs": outputs} | owners["the request"]


@pytest.mark.parametrize("where", ["the request", "input 'X'", "output 'label'"])
@pytest.mark.parametrize(("parameters", "message"), UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(
    model: Model, where: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        ask(model, request_with(where, parameters))
    assert (refused.value.status, str(refused.value)) == (400, f"{where} {message}")


@pytest.mark.parametrize("where", ["the request", "input 'X'", "output 'label'"])
@pytest.mark.parametrize(
    "parameters",
    [{"content_type": "np"}, {"priority": 1, "timeout": 5}, {"sequence_id": 7}, {"site": "north"}, {"x": None}, {}],
)
def test_any_other_parameter_changes_nothing(model: Model, where: str, parameters: dict[str, Any]) -> None:
    assert ask(model, request_with(where, parameters)) == ask(model, request_with(where, {}))
