"""The KFP component definition of `export`."""

from kfp.dsl import Dataset, Input, Model, Output

from kfp_edge.runtime.component import component


@component
def export(
    model: Input[Model],
    train_data: Input[Dataset],
    onnx_model: Output[Model],
    model_classes: dict = {},
    model_outputs: list[str] = [],
    model_threshold: str = "",
    false_alarm_rate: float = 0.001,
):
    """Convert a model to one ONNX file that carries its own signature.

    Args:
        model: A scikit-learn model saved with skops, or an ONNX model, which is changed to what the server answers if
            it has no signature.
        train_data: The rows that the model was trained on: they name its columns, with their ranges and categories.
        model_classes: The class of the data for each class of a model, such as `{"0": "good", "1": "bad"}` for one that
            was trained on encoded labels. Empty: both have the same names.
        model_outputs: Names of the outputs to use of an ONNX model that has several, such as `["state"]`. Empty: all.
        model_threshold: The score, as an ONNX detector gives it, at which alarms begin. Empty: its own label decides,
            or, where it has no label, `false_alarm_rate`.
        false_alarm_rate: Fraction of normal rows that may raise an alarm, above 0 and at most 0.5; for `anomaly` only.

    Returns:
        onnx_model: The ONNX file, preprocessing included, with the signature in its metadata.
    """
    from kfp_edge.runtime.stage import stage

    with stage("export"):
        from pathlib import Path

        from kfp_edge.components.export.export import export_model
        from kfp_edge.components.export.parameters import parse_options
        from kfp_edge.ml import dataset

        options = parse_options(model_classes, model_outputs, model_threshold, false_alarm_rate)
        export_model(Path(model.path), dataset.load(Path(train_data.path)), Path(onnx_model.path), options)
        onnx_model.metadata["format"] = "onnx"
