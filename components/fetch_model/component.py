"""The KFP component definition of `fetch_model`."""

from kfp.dsl import Model, Output

from kfp_edge.runtime.component import component


@component
def fetch_model(
    fetched: Output[Model],
    model: str = "example:ai4i",
    sha256: str = "",
):
    """Bring a model that was trained elsewhere, so that the delivery half starts without training.

    Args:
        model: An ONNX or skops file: a path, a folder with one in it, s3://, https://; or example:ai4i.
        sha256: What its SHA-256 must be, 64 hex digits; empty when it is not known.

    Outputs:
        fetched: The file as it is; its metadata `format` is onnx or skops.
    """
    from kfp_edge.runtime.stage import stage

    with stage("fetch_model"):
        from pathlib import Path

        from kfp_edge.components.fetch_model.fetch_model import fetch_model as fetch

        fetched.metadata["format"] = fetch(model, sha256, Path(fetched.path))
