"""The KFP component definition of `fetch_model`."""

from kfp.dsl import Model, Output

from kfp_edge.runtime.component import component


@component
def fetch_model(
    fetched: Output[Model],
    model: str = "example:ai4i",
    sha256: str = "",
):
    """Fetch a model that was trained elsewhere, so that it can be delivered without training.

    Args:
        model: The model to fetch, an ONNX or skops file: a path, a folder with exactly one such file, `s3://BUCKET/KEY`
            or `https://...`; or `example:ai4i`, a small model that comes with the package. Files with the weights of an
            ONNX model are fetched from beside it; a ZIP archive holds the ONNX file and its weights.
        sha256: Expected SHA-256 of the model's file, 64 hex digits; not checked if empty.

    Returns:
        fetched: The file, byte for byte, or with the weights that were in other files; `format` in its metadata is
            `onnx` or `skops`.
    """
    from kfp_edge.runtime.stage import stage

    with stage("fetch_model"):
        from pathlib import Path

        from kfp_edge.components.fetch_model.fetch_model import fetch_model as fetch

        fetched.metadata["format"] = fetch(model, sha256, Path(fetched.path))
