"""What perf_analyzer 2.60 asks, as it was recorded; its wheel needs a newer C library than most machines have.

It asks for metadata and configuration, makes an input of that shape, and compares statistics before and after its
requests: the version whose queue has grown is the one that it measures.
"""

from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from serving_support.grpc_calls import grpc_port
from serving_support.server_process import Server

CLIENTS: dict[str, Any] = {"grpc": tritonclient.grpc, "http": tritonclient.http}


@pytest.mark.parametrize("protocol", CLIENTS)
@pytest.mark.parametrize("batch", [1, 8])
def test_it_finds_the_shape_of_the_input_and_the_version_that_has_answered(
    server: Server, protocol: str, batch: int
) -> None:
    library = CLIENTS[protocol]
    port = grpc_port(server) if protocol == "grpc" else server.port
    in_json = {"as_json": True} if protocol == "grpc" else {}
    with library.InferenceServerClient(f"127.0.0.1:{port}") as client:
        metadata = client.get_model_metadata("pump", **in_json)
        config = client.get_model_config("pump", **in_json)
        config = config.get("config", config)
        extensions = client.get_server_metadata(**in_json)["extensions"]
        before = statistics(client.get_inference_statistics("pump", **in_json))
        shape = [batch, *(int(size) for size in config["input"][0]["dims"])]
        tensor = library.InferInput(metadata["inputs"][0]["name"], shape, metadata["inputs"][0]["datatype"])
        tensor.set_data_from_numpy(np.ones(shape, np.float32))
        for _ in range(5):
            client.infer("pump", [tensor])
        after = statistics(client.get_inference_statistics("pump", **in_json))
    assert int(config["max_batch_size"]) >= batch
    assert "statistics" in extensions
    grown = {key: [number - start for number, start in zip(after[key], before[key], strict=True)] for key in after}
    # pump 9 was not asked; of pump 10, 5 requests succeeded and waited in the queue, with all their rows
    assert grown == {("pump", "9"): [0, 0, 0], ("pump", "10"): [5, 5, 5 * batch]}


def statistics(answer: Any) -> dict[tuple[str, str], list[int]]:
    """Return what perf_analyzer reads: requests that succeeded, and that were in the queue, and rows."""
    counts = {}
    for model in answer["model_stats"]:
        parts = model["inference_stats"]
        requests = [int(parts.get(part, {}).get("count", 0)) for part in ("success", "queue")]
        counts[model["name"], model["version"]] = [*requests, int(model.get("inference_count", 0))]
    return counts
