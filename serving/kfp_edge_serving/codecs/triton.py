"""What Triton's clients ask beside the standard: its "Model Configuration" and "Statistics" extensions.

Both are JSON over REST, and over gRPC the messages of the same names and fields.
"""

from collections.abc import Iterable

from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.repository import ServedModel

#: Names of the extensions in the metadata of a server.
EXTENSIONS = ("model_configuration", "statistics")


def model_config(bundle: LoadedBundle, max_rows: int) -> JsonObject:
    """Return the configuration of a model, as far as this server has what Triton's says.

    Args:
        bundle: The model.
        max_rows: The largest batch.
    """
    has_batches = all(tensor.batch_dimension == 0 for tensor in (*bundle.inputs, *bundle.outputs))
    return {
        "name": bundle.name,
        "platform": "onnx_onnxv1",
        "backend": "onnxruntime",
        "version_policy": {"all": {}},
        "max_batch_size": max_rows if has_batches else 0,
        "input": [_describe_tensor(tensor, has_batches) for tensor in bundle.inputs],
        "output": [_describe_tensor(tensor, has_batches) for tensor in bundle.outputs],
    }


def model_statistics(models: Iterable[ServedModel]) -> JsonObject:
    """Return what was counted of models.

    `success` is the whole time of requests, `queue` that until their turn; reading, running the model and writing are
    measured as one, which is `compute_infer`.
    """
    return {"model_stats": [_count(served) for served in models]}


def _describe_tensor(tensor: TensorSpec, has_batches: bool) -> JsonObject:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": list(tensor.shape[1 if has_batches else 0 :])}


def _count(served: ServedModel) -> JsonObject:
    requests = served.metrics.totals()
    runs = served.model.statistics.runs()
    failed = sum(count for (_, status), count in requests.statuses.items() if status >= 400)
    succeeded = sum(requests.statuses.values()) - failed
    seconds = requests.seconds - requests.failed_seconds
    return {
        "name": served.name,
        "version": served.version,
        "last_inference": int(1000 * requests.last_success),
        "inference_count": runs.rows,
        "execution_count": runs.runs,
        "inference_stats": {
            "success": _duration(succeeded, seconds),
            "fail": _duration(failed, requests.failed_seconds),
            "queue": _duration(succeeded, requests.waited_seconds),
            # one time for all three steps of Triton
            "compute_input": _duration(succeeded, 0.0),
            "compute_infer": _duration(succeeded, seconds - requests.waited_seconds),
            "compute_output": _duration(succeeded, 0.0),
        },
    }


def _duration(count: int, seconds: float) -> JsonObject:
    return {"count": count, "ns": round(1e9 * seconds)}
