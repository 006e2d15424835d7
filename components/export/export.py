"""Turn a model into one self-describing ONNX file: scikit-learn is converted, ONNX gets a signature."""

import dataclasses
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType, TensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator, is_classifier, is_regressor

from kfp_edge.components.export.brought import prepare_brought_model
from kfp_edge.components.export.converters import detectors
from kfp_edge.components.export.converters.registration import registered_converters
from kfp_edge.components.export.forest import center_leaves, sum_votes_exactly
from kfp_edge.components.export.missing_sides import copy_missing_sides
from kfp_edge.components.export.prediction_output import clip_outputs, flatten_prediction
from kfp_edge.components.export.preparation import prepare_for_conversion
from kfp_edge.components.export.signature import add_signature
from kfp_edge.components.export.threshold_label import decide_by_threshold
from kfp_edge.errors import ModelError, ParameterError
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.bounds import read_bounds, without_bounds
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import Decision, read_decision, without_decision
from kfp_edge.ml.estimators import final_estimator
from kfp_edge.ml.known_differences import explain_estimator
from kfp_edge.ml.model_rows import to_model_rows
from kfp_edge.ml.onnx_model import read_proto, read_signature
from kfp_edge.ml.skops_model import describe_versions, load_model
from kfp_edge.onnx_graph.external_data import include_weights
from kfp_edge.onnx_graph.locales import make_locales_portable
from kfp_edge.onnx_graph.normalization import check
from kfp_edge.onnx_graph.operators import find_foreign_operators
from kfp_edge.storage.files import write_file
from kfp_edge.tasks.brought import BroughtOptions
from kfp_edge.tasks.classification.class_mapping import find_named_label
from kfp_edge.tasks.classification.predictions import to_class_labels
from kfp_edge.tasks.registry import task_of

#: Supported by every onnxruntime since 1.14 (2023).
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}

#: Name of the only input tensor of a model whose features are all numeric.
FEATURES = "features"

#: What skl2onnx raises for an estimator, or for one of its options, that it cannot convert.
_CONVERSION_ERRORS = (
    MissingConverter,
    MissingShapeCalculator,
    NotImplementedError,
    RuntimeError,
    ValueError,
    AttributeError,
    KeyError,
)


#: With which skl2onnx ends some of its messages.
_INVITATION = "You may raise an is"
#: The type that its messages name where it has no converter.
_MISSING = re.compile(r"<class '[\w.]*?(?P<name>\w+)'>")


class _ConversionError(ModelError):
    """ONNX has no operator for a model, or skl2onnx expects another version of its class."""


def export_model(model: Path, train_data: Dataset, target: Path, options: BroughtOptions | None = None) -> None:
    """Write the ONNX file of a saved model, skops or ONNX, to `target`.

    Args:
        model: The saved model.
        train_data: The rows that it was trained on.
        target: The ONNX file with its signature.
        options: What the user states about a model that was trained elsewhere; of a skops file, only its classes count.

    Raises:
        ModelError: the model is damaged, does not match the data, or ONNX has no operator for it.
        DataError: a value of the data does not fit an input of an ONNX model, or labels are missing.
        ParameterError: what is stated about a model does not fit it, or its task.
        StorageError: the file system refuses.
    """
    options = options or BroughtOptions()
    task_of(train_data).check_rate(options.false_alarm_rate)
    if zipfile.is_zipfile(model):
        if options.outputs or options.threshold is not None:
            raise ParameterError(
                "model_outputs and model_threshold are not used for a scikit-learn model; leave them empty."
            )
        proto = _convert_saved(model, train_data, options)
    else:
        proto = read_proto(model)
        include_weights(proto, model.parent)
        if read_signature(proto) is None:
            proto = prepare_brought_model(proto, train_data, options)
        else:
            _check_unstated(options)
            check(proto)
    write_file(target, proto.SerializeToString(deterministic=True))


def _check_unstated(options: BroughtOptions) -> None:
    if options.classes or options.outputs or options.threshold is not None:
        raise ParameterError(
            "model_classes, model_outputs and model_threshold are not used for an ONNX model with a signature, which "
            "says what it gives; leave them empty, and train the model on the labels of the data."
        )


def _convert_saved(model: Path, data: Dataset, options: BroughtOptions) -> onnx.ModelProto:
    """Convert a saved estimator; a classifier gets the data's classes."""
    estimator = load_model(model)
    difference = explain_estimator(without_decision(estimator))
    if difference:
        raise ModelError(f"{difference}.")
    try:
        proto = convert(estimator, data)
    except _ConversionError as error:
        versions = describe_versions(model)
        raise ModelError(f"{error}; {versions}." if versions else str(error)) from error
    if _has_other_classes(proto, data) or options.classes:
        del proto.metadata_props[:]  # as an ONNX model that was trained elsewhere
        return prepare_brought_model(proto, data, options, _name_as_data(read_decision(estimator), options, data))
    return proto


def _name_as_data(decision: Decision | None, options: BroughtOptions, data: Dataset) -> Decision | None:
    """Return how a classifier decides, with the data's name of its positive class."""
    names = {str(name): label for name, label in options.classes.items()}
    if decision is None or str(decision.positive) not in names:
        return decision
    label = find_named_label(names[str(decision.positive)], np.unique(data.y()).tolist())
    return decision if label is None else dataclasses.replace(decision, positive=label)


def _has_other_classes(proto: onnx.ModelProto, data: Dataset) -> bool:
    signature = read_signature(proto)
    classes = next((output.classes for output in signature.outputs if output.classes), ()) if signature else ()
    return bool(classes) and set(classes) != {str(label) for label in np.unique(data.y())}


def convert(estimator: BaseEstimator, data: Dataset) -> onnx.ModelProto:
    """Convert a fitted scikit-learn estimator, preprocessing included.

    All features numeric: one FP32 input `features` of shape [-1, n], in the data's column order. Some
    categorical: one input of shape [-1, 1] for each column. Outputs: `label` and `probabilities`, or `label` and
    `score`, or `prediction` and one for each quantile.

    Raises:
        ModelError: the estimator does not match the data, or ONNX has no operator for it.
    """
    _check_columns(estimator, data)
    decision = read_decision(estimator)
    bounds, estimator = read_bounds(estimator), without_bounds(without_decision(estimator))
    final = final_estimator(estimator)
    if is_classifier(final) or is_regressor(final):
        _check_targets(estimator, data)
    kind = _find_kind(final)
    estimator = prepare_for_conversion(estimator, data)
    try:
        with warnings.catch_warnings(), registered_converters():
            # skl2onnx reads an attribute of support vector machines that scikit-learn 1.9 deprecates
            warnings.filterwarnings("ignore", r"Attribute `prob[AB]_` was deprecated", FutureWarning)
            proto = convert_sklearn(
                estimator,
                name="model",
                initial_types=_to_initial_types(data),
                options={id(estimator): kind.options} if kind.options else None,
                target_opset=TARGET_OPSET,
            )
    except _CONVERSION_ERRORS as error:
        raise _ConversionError(f"ONNX cannot express this model: {_find_reason(error)}") from error
    _check_domains(proto)
    make_locales_portable(proto)
    copy_missing_sides(estimator, proto)
    sum_votes_exactly(final, proto)
    center_leaves(final, proto)
    if is_regressor(final):
        flatten_prediction(proto)
        clip_outputs(proto, bounds)
    if decision is not None:
        decide_by_threshold(proto, kind.classes, decision)
    return add_signature(proto, data, kind.classes, kind.threshold, decision)


def _find_reason(error: Exception) -> str:
    """Return why skl2onnx does not convert a model, and what to do where it says no more than a type."""
    if isinstance(error, MissingConverter | MissingShapeCalculator) and (match := _MISSING.search(str(error))):
        return f"there is no converter for {match['name']}; use another estimator in its place"
    reason = f"there is no converter for {error}" if isinstance(error, KeyError) else str(error).strip()
    return reason.splitlines()[0].partition(_INVITATION)[0].strip()


def _check_targets(estimator: BaseEstimator, data: Dataset) -> None:
    """Refuse a model of several targets, whose export gives others than one number or label for each row."""
    features = list(data.roles.features)
    complete = dataclasses.replace(data, frame=data.frame[data.frame[features].notna().all(axis=1)].iloc[:1])
    if not len(complete.frame):
        return
    with warnings.catch_warnings():
        # some models were fitted on arrays
        warnings.filterwarnings("ignore", "X has feature names", UserWarning)
        answers = np.asarray(estimator.predict(to_model_rows(estimator, complete)))
    if answers.ndim > 1 and answers.shape[1] > 1:
        raise ModelError(
            f"the model predicts {answers.shape[1]} targets at once, and a release has one; train a model for each."
        )


def _check_domains(proto: onnx.ModelProto) -> None:
    """Refuse operators that only some builds of onnxruntime have."""
    if foreign := find_foreign_operators(proto):
        names = ", ".join(sorted(set().union(*foreign.values())))
        raise _ConversionError(f"ONNX cannot express this model: it has no operator {names}; use another estimator")


@dataclass(frozen=True)
class _EstimatorKind:
    """What skl2onnx and the signature have to know about the last step of a Pipeline."""

    #: Options of the conversion.
    options: Mapping[str, object] = field(default_factory=dict)
    #: The labels in the order of the probabilities.
    classes: tuple[ClassLabel, ...] = ()
    #: The score above which there is an alarm.
    threshold: float | None = None


def _find_kind(final: BaseEstimator) -> _EstimatorKind:
    if detectors.is_detector(final):
        return _EstimatorKind(threshold=detectors.find_threshold(final))
    if is_regressor(final):
        return _EstimatorKind()
    if hasattr(final, "predict_proba"):
        return _EstimatorKind(options={"zipmap": False}, classes=to_class_labels(final.classes_))
    raise ModelError(
        f"{type(final).__name__} gives neither probabilities nor an anomaly score nor a number; "
        "train a classifier with predict_proba, a regressor, an IsolationForest or a OneClassSVM; "
        'CalibratedClassifierCV(method="sigmoid") gives a classifier probabilities.'
    )


def _check_columns(estimator: BaseEstimator, data: Dataset) -> None:
    data_columns = list(data.roles.features)
    model_columns = list(getattr(estimator, "feature_names_in_", data_columns))
    if model_columns != data_columns:
        different = sorted(set(model_columns) ^ set(data_columns)) or model_columns
        raise ModelError(
            "the model was trained on other columns than the data has, or in another order: "
            f"{', '.join(different[:5])}; give export the data that the model was trained on."
        )


def _to_initial_types(data: Dataset) -> list[tuple[str, TensorType]]:
    roles = data.roles
    if not roles.categorical:
        return [(FEATURES, FloatTensorType([None, len(roles.features)]))]
    return [
        (name, StringTensorType([None, 1]) if name in roles.categorical else FloatTensorType([None, 1]))
        for name in roles.features
    ]
