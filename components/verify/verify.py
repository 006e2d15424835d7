"""Verify a model against its original, its gates, the champion and its budgets; then write the bundle."""

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from kfp_edge.components.verify import checks
from kfp_edge.components.verify.champion import compare_with_champion
from kfp_edge.components.verify.checks import VerificationResult
from kfp_edge.components.verify.computed_features import define_features, record_rows
from kfp_edge.components.verify.latency import check_latency, measure_latencies
from kfp_edge.components.verify.missing_values import require_columns
from kfp_edge.components.verify.model_card import write_model_card
from kfp_edge.components.verify.parity import ModelPair, Parity, check_parity, measure_parity
from kfp_edge.components.verify.reference import compute_output_reference, compute_reference
from kfp_edge.components.verify.report import write_report
from kfp_edge.components.verify.samples import describe_unanswered, is_served, record_samples
from kfp_edge.components.verify.server_check import replay_in_server
from kfp_edge.errors import ModelError, ParameterError
from kfp_edge.metrics.gates import check_gates, check_limits, name_as_measured, parse_gates, select_gates
from kfp_edge.ml.bundle import (
    Bundle,
    ModelIdentity,
    ModelInfo,
    Sample,
    Samples,
    Signature,
    write_bundle,
)
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.model_names import check_identity
from kfp_edge.ml.onnx_model import OnnxModel, read_notes, read_opsets
from kfp_edge.ml.renamed_classes import rename_classes
from kfp_edge.ml.skops_model import load_model, read_sklearn_version
from kfp_edge.ml.threads import limit_threads
from kfp_edge.model_report.facts import ModelFacts
from kfp_edge.model_selection.record import TrainingRecord
from kfp_edge.reports.check import Check
from kfp_edge.tasks.registry import predict_onnx, task_of
from kfp_edge.tasks.task import MeasuredModel

#: Tools whose versions decide the bytes of the model.
_TOOLS = ("kfp-edge", "scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")

#: What a reviewer has to know about a model that was trained elsewhere, and about one that came as ONNX.
_MAYBE_SEEN = (
    "It is not known whether the model was trained on the held-out rows of this data; if it was, the metrics are too "
    "good."
)
_NO_PARITY = "Parity was not checked: the model came as ONNX, without the original that it was made from."


@dataclass(frozen=True)
class Requirements:
    """What a model must reach.

    `gates` maps a metric to its limit, as `gates.parse_gates` reads it; other metrics have the default gates of the
    task. `false_alarm_rate` is the share of normal rows that a detector was asked to raise an alarm in at most.
    `tolerance` is absolute for probabilities and scores, and in standard deviations of the target for numbers; sizes
    are in MB, times in milliseconds. `champion` is the URI of the bundle in use, or empty. `may_be_missing` names
    columns that may be missing at the edge although the data never lacks them.
    """

    gates: Mapping[str, object] = field(default_factory=dict)
    false_alarm_rate: float = 0.001
    tolerance: float = 1e-5
    max_model_mb: float = 50.0
    max_latency_ms: float = 5.0
    champion: str = ""
    champion_margin: float = 0.01
    may_be_missing: Sequence[str] = ()


def verify(
    original: Path,
    exported: Path,
    train_data: Dataset,
    test_data: Dataset,
    requirements: Requirements,
    identity: ModelIdentity,
    *,
    report: Path,
    bundle: Path,
    training: TrainingRecord | None = None,
) -> VerificationResult:
    """Run every check of a model, write the report, and write the bundle if all of them passed.

    Args:
        original: The model as it was trained; compared with the exported one where it is a skops file.
        exported: The ONNX file that `export` wrote.
        train_data: The rows that the model was trained on.
        test_data: Held-out rows.
        requirements: Gates, tolerance, budgets and the champion.
        identity: Name, version and revision for the bundle.
        report: Where the HTML report goes; it is written also when a check fails.
        bundle: Where the bundle goes.
        training: What the training found out about the model; None of a model that was trained elsewhere.

    Raises:
        RequirementsNotMetError: a check failed; the message has what was measured and required.
        ModelError: a file is damaged.
        ParameterError: no bundle may have the name or the version, a gate is not valid or names a metric that was not
            measured, `may_be_missing` names a column that cannot be missing, or the model is for another task than the
            data or the champion.
        StorageError: the file system refuses, or the champion cannot be fetched.
    """
    check_identity(identity.name, identity.version)
    check_limits(requirements.champion_margin, requirements.max_latency_ms)
    candidate = OnnxModel.load(exported)
    pair = _pair_with_original(original, candidate) if _is_skops(original) else None
    with limit_threads(test_data):
        size, is_brought = exported.stat().st_size, training is None
        result = run_checks(candidate, pair, size, train_data, test_data, requirements, is_brought=is_brought)
    threshold = next((output.threshold for output in candidate.signature.outputs if output.threshold is not None), None)
    rate = requirements.false_alarm_rate
    origin = [_NO_PARITY] if pair is None else _describe_saved(original)
    notes = (*read_notes(candidate.proto), *origin, *([_MAYBE_SEEN] if training is None else []))
    facts = ModelFacts(train_data, test_data, result.measurement, rate, threshold, notes=notes, training=training)
    write_report(report, identity, result, facts)
    checks.raise_for_failed(result.checks)
    candidate.replace_signature(result.signature)
    _write_bundle(bundle, candidate, facts, result, identity)
    return result


def run_checks(
    candidate: OnnxModel,
    pair: ModelPair | None,
    size: int,
    train_data: Dataset,
    test_data: Dataset,
    requirements: Requirements,
    *,
    is_brought: bool = False,
) -> VerificationResult:
    """Run every check of `candidate`, an ONNX model of `size` bytes, on held-out rows.

    Parity is checked where there is a scikit-learn original to make a `pair` with; a model that was trained
    elsewhere `is_brought`.

    Raises:
        RequirementsNotMetError: the model has an operator that must not run.
        ModelError: a model cannot predict the held-out rows.
        ParameterError: a gate is not valid or names a metric that was not measured, `may_be_missing` names a column
            that cannot be missing, or the model is for another task than the data or the champion.
    """
    parse_gates(requirements.gates, test_data.roles.task)  # a mistake in them is reported before the model runs
    _check_task(candidate, test_data)
    operators = checks.check_operators(candidate.proto)
    checks.raise_for_failed(operators)  # a model with a forbidden operator is never run
    rows = test_data.x()
    # the frame keeps its index: the numbers of the held-out rows
    served = dataclasses.replace(test_data, frame=test_data.frame[is_served(candidate.signature, rows)])
    comparison = _compare_with_original(candidate.signature, pair, train_data, served, requirements)
    predictions = predict_onnx(candidate, rows, test_data.roles.positive)
    measurement = task_of(test_data).measure(predictions, test_data)
    unanswered = describe_unanswered(comparison.signature, rows)
    measurement = dataclasses.replace(measurement, warnings=(*measurement.warnings, *unanswered))
    model = MeasuredModel(
        predictions,
        measurement,
        train_data,
        test_data,
        name_as_measured(requirements.gates, measurement.metrics),
        requirements.false_alarm_rate,
        is_brought=is_brought,
    )
    quality = _check_quality(requirements, model)
    latencies = measure_latencies(candidate, rows)
    budgets = [
        checks.check_size(size, requirements.max_model_mb),
        check_latency(latencies, requirements.max_latency_ms),
    ]
    return VerificationResult(
        checks=(*operators, *comparison.checks, *quality, *budgets),
        measurement=measurement,
        latencies=latencies,
        parity=comparison.parity,
        signature=comparison.signature,
        rows=rows,
        compared=served.x(),
        sample_tolerance=task_of(test_data).find_sample_tolerance(predictions, requirements.tolerance),
    )


@dataclass(frozen=True)
class _Comparison:
    """The comparison with the original, and the signature that says which columns may not be missing."""

    checks: tuple[Check, ...]
    #: None without an original, or without rows to compare on.
    parity: Parity | None
    signature: Signature


def _compare_with_original(
    signature: Signature,
    pair: ModelPair | None,
    train_data: Dataset,
    served: Dataset,
    requirements: Requirements,
) -> _Comparison:
    """Check parity on the held-out rows that the server takes, and find the columns that may not be missing."""
    tolerance = requirements.tolerance
    if not len(served.frame):
        return _Comparison((), None, signature)
    parity, results = None, []
    if pair is not None:
        parity = measure_parity(*pair.predict(served), tolerance)
        results = check_parity(pair, served, parity, tolerance)
    if all(check.passed for check in results):
        signature = require_columns(signature, pair, train_data, served, tolerance, requirements.may_be_missing)
    return _Comparison(tuple(results), parity, signature)


def _check_quality(requirements: Requirements, model: MeasuredModel) -> list[Check]:
    """Check the gates, the rates that the task was asked for, and that the model is no worse than the champion."""
    predictions, measurement, test_data = model.predictions, model.measurement, model.test_data
    task = task_of(test_data)
    defaults = task.find_default_gates(predictions)
    results = check_gates(measurement, select_gates(model.gates, defaults, measurement))
    results += task.check_rates(model)
    if requirements.champion:
        named, margin = parse_gates(model.gates), requirements.champion_margin
        results += compare_with_champion(requirements.champion, margin, named, predictions, measurement, test_data)
    return results


def _write_bundle(
    folder: Path,
    candidate: OnnxModel,
    facts: ModelFacts,
    result: VerificationResult,
    identity: ModelIdentity,
) -> Bundle:
    info = ModelInfo(
        identity,
        task=candidate.signature.task,
        opset=read_opsets(candidate.proto).get("", 0),
        data_sha256=facts.train.sha256,
        metrics=result.metrics,
        intervals={name: (interval.low, interval.high) for name, interval in result.measurement.intervals.items()},
        positive=None if result.measurement.positive is None else str(result.measurement.positive),
        notes=facts.notes,
        tools={name: version(name) for name in _TOOLS} | {"python": platform.python_version()},
    )
    features = define_features(candidate.signature, facts.train)
    samples = record_samples(candidate, result.rows, has_computed=features is not None)
    if features is not None:
        samples += record_rows(candidate, features, (facts.test, facts.train))
    return write_bundle(
        folder,
        model=candidate.proto.SerializeToString(deterministic=True),
        signature=candidate.signature,
        samples=_check_recorded(samples, result.sample_tolerance),
        reference=compute_reference(
            facts.train, candidate.signature.inputs, compute_output_reference(candidate, facts.test)
        ),
        model_card=write_model_card(candidate.signature, result.checks, info, facts),
        info=info,
        features=features,
        check=replay_in_server,
    )


def _check_recorded(samples: tuple[Sample, ...], tolerance: float) -> Samples:
    if not samples:
        raise ModelError(
            "no request can be recorded for the bundle: every held-out row lacks a number, and in no group do so many "
            "rows that the server takes follow each other as the longest rolling window has; hold out other rows, or "
            "more."
        )
    return Samples(tolerance=tolerance, samples=samples)


def _pair_with_original(original: Path, candidate: OnnxModel) -> ModelPair:
    """Return the original with its export; its classes get the names that they have in the export."""
    outputs = candidate.signature.outputs
    names = next((output.classes for output in outputs if output.classes), ())
    classes = [int(name) for name in names] if outputs[0].datatype == "INT64" else list(names)
    return ModelPair(rename_classes(load_model(original), classes), candidate)


def _describe_saved(original: Path) -> list[str]:
    """Return which other scikit-learn saved a model, in one sentence; "Made with" in the card states the one here."""
    saved, here = read_sklearn_version(original), version("scikit-learn")
    if saved in ("", here):
        return []
    return [f"It was saved with scikit-learn {saved}; it was exported, and compared with its export, in {here}."]


def _is_skops(path: Path) -> bool:
    """Return whether a file is a ZIP archive, as skops files are and ONNX files are not."""
    return path.read_bytes()[:2] == b"PK"


def _check_task(candidate: OnnxModel, data: Dataset) -> None:
    task = candidate.signature.task
    if task != data.roles.task:
        raise ParameterError(
            f"the model is for {task}, the data was read for {data.roles.task}; give ingest task={task}, "
            "or another model."
        )
