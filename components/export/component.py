"""The KFP component definition of `export`."""

from kfp.dsl import Dataset, Input, Model, Output

from kfp_edge.runtime.component import component


@component
def export(model: Input[Model], train_data: Input[Dataset], onnx_model: Output[Model]):
    """Convert a model to one ONNX file that carries its own signature.

    Args:
        model: A scikit-learn model saved with skops, or an ONNX model, which only gets a signature if it has none.
        train_data: The rows that the model was trained on: they name its columns, with their ranges and categories.

    Returns:
        onnx_model: The ONNX file, preprocessing included, with the signature in its metadata.
    """
    from kfp_edge.runtime.stage import stage

    with stage("export"):
        from pathlib import Path

        from kfp_edge.components.export.export import export_model
        from kfp_edge.ml import dataset

        export_model(Path(model.path), dataset.load(Path(train_data.path)), Path(onnx_model.path))
        onnx_model.metadata["format"] = "onnx"
