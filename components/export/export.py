"""Turn a model into one self-describing ONNX file: scikit-learn is converted, ONNX is completed."""

import copy
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

from kfp_edge.components.export import isolation_forest
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Column, InputTensor, OutputTensor, Signature
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.metrics import classes_of
from kfp_edge.ml.onnx_model import DATATYPES, SIGNATURE_KEY, parse, stated_signature
from kfp_edge.ml.skops_files import load_model
from kfp_edge.storage.files import write_file

#: Understood by every onnxruntime since 1.14 (2023).
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}

#: Name of the one input tensor where every feature is a number.
FEATURES = "features"

#: What skl2onnx raises for an estimator, or an option of one, that it cannot convert.
_NO_CONVERSION = (
    MissingConverter,
    MissingShapeCalculator,
    NotImplementedError,
    RuntimeError,
    ValueError,
    AttributeError,
)
_UNITS = re.compile(r"\[([^\]]+)\]\s*$")


def export_model(model: Path, train_data: Dataset, target: Path) -> None:
    """Write the ONNX file of a saved model, skops or ONNX, to `target`.

    Raises:
        KfpEdgeError: the model is damaged, does not fit the data, or ONNX has no operator for it.
    """
    if zipfile.is_zipfile(model):
        proto = convert(load_model(model), train_data)
    else:
        proto = parse(model)
        if stated_signature(proto) is None:
            anomaly = train_data.roles.task == "anomaly"
            classes = () if anomaly else classes_of(np.unique(train_data.y()))
            proto = describe(proto, train_data, classes, threshold=0.0 if anomaly else None)
    write_file(target, proto.SerializeToString(deterministic=True))


def convert(estimator: Any, data: Dataset) -> onnx.ModelProto:
    """Convert a fitted scikit-learn estimator, preprocessing included.

    All features numeric: one FP32 input `features` of shape [-1, n], in the data's column order. Some
    categorical: one input of shape [-1, 1] a column. Outputs: `label` and `probabilities`, or `label` and `score`.

    Raises:
        KfpEdgeError: the estimator does not fit the data, or ONNX has no operator for it.
    """
    _check_fits(estimator, data)
    final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    anomaly = isinstance(final, IsolationForest)
    if anomaly:
        isolation_forest.register()
    elif not hasattr(final, "predict_proba"):
        raise KfpEdgeError(
            f"{type(final).__name__} gives neither probabilities nor an anomaly score; "
            "train a classifier with predict_proba, or an IsolationForest."
        )
    if not data.roles.categorical:
        estimator = _by_position(estimator, list(data.roles.features))
    try:
        proto = convert_sklearn(
            estimator,
            name="model",
            initial_types=_initial_types(data),
            options=None if anomaly else {id(estimator): {"zipmap": False}},
            target_opset=TARGET_OPSET,
            final_types=[("label", Int64TensorType([None])), ("score", FloatTensorType([None]))] if anomaly else None,
        )
    except _NO_CONVERSION as error:
        raise KfpEdgeError(f"ONNX cannot express this model: {str(error).strip().splitlines()[0]}") from error
    classes = () if anomaly else classes_of(final.classes_)
    return describe(proto, data, classes, threshold=-float(final.offset_) if anomaly else None)


def describe(
    proto: onnx.ModelProto, data: Dataset, classes: tuple[Any, ...], threshold: float | None
) -> onnx.ModelProto:
    """Put the signature into an ONNX model and make its bytes depend on nothing else.

    Raises:
        KfpEdgeError: its inputs are not the data's features, or its outputs not what a classifier
            (`label`, `probabilities`) or a detector (`label`, `score`) gives.
    """
    columns = _columns(data)
    signature = Signature(
        task="anomaly" if data.roles.task == "anomaly" else "classification",
        inputs=_inputs(proto, columns),
        outputs=_outputs(proto, classes, threshold),
    )
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {SIGNATURE_KEY: signature.model_dump_json(exclude_none=True)})
    versions = sorted((entry.domain, entry.version) for entry in proto.opset_import)
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions)
    return proto


def _check_fits(estimator: Any, data: Dataset) -> None:
    learned = list(getattr(estimator, "feature_names_in_", data.roles.features))
    given = list(data.roles.features)
    if learned != given:
        odd = sorted(set(learned) ^ set(given)) or learned
        raise KfpEdgeError(
            f"the model was trained on other columns, or in another order, than the data has: {', '.join(odd[:5])}; "
            "give export the data that the model was trained on."
        )


def _by_position(estimator: Any, features: list[str]) -> Any:
    """Let a ColumnTransformer pick columns by number, since a single tensor has no column names."""
    first = estimator[0] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(first, ColumnTransformer):
        return estimator
    twin = copy.deepcopy(estimator)
    first = twin[0] if isinstance(twin, Pipeline) else twin
    first.transformers_ = [
        (name, step, [features.index(column) if isinstance(column, str) else column for column in picked])
        for name, step, picked in first.transformers_
    ]
    return twin


def _initial_types(data: Dataset) -> list[tuple[str, Any]]:
    roles = data.roles
    if not roles.categorical:
        return [(FEATURES, FloatTensorType([None, len(roles.features)]))]
    text, numbers = StringTensorType, FloatTensorType
    return [(name, (text if name in roles.categorical else numbers)([None, 1])) for name in roles.features]


def _columns(data: Dataset) -> list[Column]:
    frame = data.x()
    return [
        Column(name=name, units=_units(name), categories=tuple(sorted(frame[name].unique())))
        if name in data.roles.categorical
        else Column(name=name, units=_units(name), range=_range(frame[name]))
        for name in data.roles.features
    ]


def _units(name: str) -> str | None:
    found = _UNITS.search(name)
    return found[1] if found else None


def _range(values: Any) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _inputs(proto: onnx.ModelProto, columns: list[Column]) -> tuple[InputTensor, ...]:
    tensors = proto.graph.input
    widths = [_shape(tensor)[-1] for tensor in tensors]
    if sum(widths) != len(columns):
        names = ", ".join(f"{tensor.name} {list(_shape(tensor))}" for tensor in tensors)
        wanted = ", ".join(column.name for column in columns)
        raise KfpEdgeError(
            f"the ONNX model takes {names}, the data has {len(columns)} features: {wanted}; "
            "drop the columns that the model does not use."
        )
    taken = iter(columns)
    found = []
    for tensor, width in zip(tensors, widths, strict=True):
        mine = tuple(next(taken) for _ in range(width))
        datatype = DATATYPES.get(tensor.type.tensor_type.elem_type)
        if datatype is None or any((column.categories is not None) != (datatype == "BYTES") for column in mine):
            raise KfpEdgeError(
                f"the ONNX input {tensor.name!r} is of another type than the column {mine[0].name!r} of the data; "
                "give text to string inputs and numbers to the others, in the model's own order."
            )
        found.append(InputTensor(name=tensor.name, datatype=datatype, shape=_shape(tensor), columns=mine))
    return tuple(found)


def _outputs(proto: onnx.ModelProto, classes: tuple[Any, ...], threshold: float | None) -> tuple[OutputTensor, ...]:
    tensors = {tensor.name: tensor for tensor in proto.graph.output}
    second = "probabilities" if threshold is None else "score"
    if set(tensors) != {"label", second} or not all(t.type.HasField("tensor_type") for t in tensors.values()):
        raise KfpEdgeError(
            f"the ONNX model's outputs are {', '.join(sorted(tensors))}; name them label and {second}, "
            "as plain tensors (for skl2onnx: zipmap=False)."
        )
    names = tuple(str(name) for name in classes) or None
    found = []
    for name in ("label", second):
        datatype = DATATYPES[tensors[name].type.tensor_type.elem_type]
        width = (len(classes),) if name == "probabilities" else ()
        limit = threshold if name == "score" else None
        found.append(OutputTensor(name=name, datatype=datatype, shape=(-1, *width), classes=names, threshold=limit))
    return tuple(found)


def _shape(tensor: onnx.ValueInfoProto) -> tuple[int, ...]:
    dimensions = tensor.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value else -1 for dim in dimensions)
