"""Verify a model against its original, its gates, the champion and its budgets; then write the bundle."""

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from kfp_edge.components.verify import checks, report
from kfp_edge.components.verify.card import model_card
from kfp_edge.components.verify.checks import VerificationResult
from kfp_edge.ml import dataset
from kfp_edge.ml.bundle import Bundle, Frequencies, Histogram, Reference, Sample, Samples, write_bundle
from kfp_edge.ml.metrics import Predictions, classes_of, evaluate
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_files import load_model
from kfp_edge.storage.fetch import fetch

#: Tools whose versions decide what the model's bytes are.
_TOOLS = ("kfp-edge", "scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")
_SAMPLES = 20
_BINS = 10


@dataclass(frozen=True)
class Requirements:
    """What a model must reach.

    `tolerance` is absolute, for probabilities and scores; sizes are in MB, times in milliseconds. `champion` is
    the URI of the bundle now in use, or empty.
    """

    gates: dict[str, float] = field(default_factory=dict)
    tolerance: float = 1e-5
    max_model_mb: float = 50.0
    max_latency_ms: float = 5.0
    champion: str = ""
    champion_margin: float = 0.01


def verify(
    original: Path,
    exported: Path,
    learned: dataset.Dataset,
    held_out: dataset.Dataset,
    wanted: Requirements,
    *,
    page: Path,
    bundle: Path,
    **about: Any,
) -> VerificationResult:
    """Judge a model, write the report to `page`, and write the bundle if every check passed.

    Args:
        original: The model as it was trained; compared with the exported one where it is a skops file.
        exported: The ONNX file that `export` wrote.
        about: The bundle's `name`, `version` and `revision`.

    Raises:
        KfpEdgeError: a check failed, with what was measured and required; a file is damaged; or the file
            system refuses.
    """
    candidate = OnnxModel.load(exported)
    verdict = judge(original, candidate, exported.stat().st_size, held_out, wanted)
    report.write(page, about["name"], about["version"], verdict)
    write(bundle, candidate, exported.read_bytes(), learned, verdict, tolerance=wanted.tolerance, **about)
    return verdict


def judge(
    original: Path, candidate: OnnxModel, size: int, held_out: dataset.Dataset, wanted: Requirements
) -> VerificationResult:
    """Run every check of `candidate`, an ONNX model of `size` bytes, on held-out rows.

    Parity is checked where `original` is a scikit-learn model saved with skops.

    Raises:
        KfpEdgeError: a file is damaged, or a gate names what was not measured.
    """
    rows = held_out.x()
    labels = held_out.y() if held_out.roles.target else None
    found = checks.operators(candidate.proto)
    checks.refuse_failed(found)  # what may not run is not run
    predictions = candidate.predict(rows)
    compared = None
    if original.read_bytes()[:2] == b"PK":
        compared = checks.compare(predict(load_model(original), held_out), predictions)
        found += checks.parity(compared, wanted.tolerance)
    metrics = evaluate(predictions, labels)
    found += checks.gates(metrics, wanted.gates)
    if wanted.champion:
        before = evaluate(_champion(wanted.champion).predict(rows), labels)
        found += checks.champion(metrics, before, _compared_metrics(wanted, metrics), wanted.champion_margin)
    timed = checks.latencies(candidate, rows)
    found += [checks.size(size, wanted.max_model_mb), checks.latency(timed, wanted.max_latency_ms)]
    return VerificationResult(tuple(found), metrics, timed, compared, rows)


def write(
    folder: Path,
    candidate: OnnxModel,
    model: bytes,
    learned: dataset.Dataset,
    verdict: VerificationResult,
    *,
    tolerance: float,
    **about: Any,
) -> Bundle:
    """Write the bundle of a model whose checks passed; `about` are `name`, `version` and `revision`.

    Raises:
        KfpEdgeError: a check failed, a name is not as the contract wants it, or the file system refuses.
    """
    checks.refuse_failed(verdict.checks)
    about |= {
        "task": candidate.signature.task,
        "opset": next(entry.version for entry in candidate.proto.opset_import if entry.domain == ""),
        "data_sha256": learned.sha256,
        "metrics": verdict.metrics,
        "tools": {name: version(name) for name in _TOOLS} | {"python": platform.python_version()},
    }
    return write_bundle(
        folder,
        model=model,
        signature=candidate.signature,
        samples=Samples(tolerance=tolerance, samples=record(candidate, verdict.rows)),
        reference=profile(learned),
        model_card=model_card(candidate.signature, verdict.checks, rows=len(learned.frame), **about),
        **about,
    )


def predict(estimator: Any, data: dataset.Dataset) -> Predictions:
    """Return what the scikit-learn original says of the rows of `data`."""
    rows = data.x()
    if data.roles.task == "classification":
        probabilities = estimator.predict_proba(rows)
        return Predictions(estimator.predict(rows), probabilities, classes=classes_of(estimator.classes_))
    score = -estimator.score_samples(rows)
    alarm = estimator.predict(rows) == -1
    return Predictions(alarm.astype(np.int64), score=score, classes=(0, 1))


def record(model: OnnxModel, rows: pd.DataFrame) -> tuple[Sample, ...]:
    """Record up to 20 rows with the model's answers, as Open Inference Protocol bodies, all labels among them.

    JSON has no NaN: rows with missing numbers are left out where complete ones exist, else filled with medians.
    """
    complete = rows.dropna()
    usable = complete if len(complete) else rows.fillna(rows.median(numeric_only=True))
    label = model.predict(usable).label
    kinds = np.unique(label)
    picked: list[int] = []
    for kind in kinds:
        mine = np.flatnonzero(label == kind)
        count = min(len(mine), max(1, _SAMPLES // len(kinds)))
        picked += [int(mine[place]) for place in np.linspace(0, len(mine) - 1, count).astype(int)]
    return tuple(_sample(model, usable.iloc[[row]]) for row in sorted(picked))


def profile(data: dataset.Dataset) -> Reference:
    """Describe the training values of every feature: tenths of the numbers, counts of the categories."""
    features: dict[str, Histogram | Frequencies] = {}
    for name in data.roles.features:
        values = data.frame[name]
        missing = int(values.isna().sum())
        if name in data.roles.categorical:
            counts = values.value_counts().sort_index()
            features[name] = Frequencies(counts={str(key): int(n) for key, n in counts.items()}, missing=missing)
        else:
            features[name] = _histogram(values.dropna().to_numpy(), missing)
    return Reference(rows=len(data.frame), features=features)


def _histogram(values: Any, missing: int) -> Histogram:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)))
    if len(edges) == 1:
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)


def _sample(model: OnnxModel, row: pd.DataFrame) -> Sample:
    feeds = model.feeds(row)
    names = [output.name for output in model.signature.outputs]
    answers = dict(zip(names, model.session.run(names, feeds), strict=True))
    kinds = {tensor.name: tensor.datatype for tensor in model.signature.inputs}
    kinds |= {tensor.name: tensor.datatype for tensor in model.signature.outputs}
    return Sample(
        request={"inputs": [_tensor(name, kinds[name], array) for name, array in feeds.items()]},
        response={"outputs": [_tensor(name, kinds[name], answers[name]) for name in names]},
    )


def _tensor(name: str, datatype: str, array: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}


def _champion(uri: str) -> OnnxModel:
    with TemporaryDirectory() as scratch:
        return OnnxModel.load(Bundle.load(fetch(uri, Path(scratch))).model)


def _compared_metrics(wanted: Requirements, metrics: dict[str, float]) -> list[str]:
    """A challenger answers for the metrics that have gates; without gates, for how well it ranks, or stays quiet."""
    ranking = next((name for name in ("roc_auc", "specificity") if name in metrics), None)
    return sorted(wanted.gates) or ([ranking] if ranking else [])
