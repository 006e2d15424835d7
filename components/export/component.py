"""The KFP component definition of `export`."""

from kfp.dsl import Dataset, Input, Model, Output

from kfp_edge.runtime.component import component


@component
def export(model: Input[Model], train_data: Input[Dataset], onnx_model: Output[Model]):
    """Turn a model into one ONNX file that carries its own signature.

    Args:
        model: A scikit-learn model saved with skops, or an ONNX model, which passes with a signature added.
        train_data: The rows it was trained on: they name the columns, their ranges and categories.

    Outputs:
        onnx_model: The ONNX file, preprocessing included, its signature in the file's metadata.
    """
    from kfp_edge.runtime.stage import stage

    with stage("export"):
        from pathlib import Path

        from kfp_edge.components.export.export import export_model
        from kfp_edge.ml import dataset

        export_model(Path(model.path), dataset.load(Path(train_data.path)), Path(onnx_model.path))
        onnx_model.metadata["format"] = "onnx"
