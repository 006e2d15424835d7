"""Read the counts of a window, decide, and write the result and the report."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kfp_edge.components.drift.parameters import URL_VARIABLE, DriftParameters, check_url
from kfp_edge.drift.counts import Reference
from kfp_edge.drift.decision import evaluate
from kfp_edge.drift.reading import DriftMetrics, bundle_reference
from kfp_edge.drift.report import write_report
from kfp_edge.drift.result import DriftResult, Scope, Verdict
from kfp_edge.errors import MetricsError, ParameterError
from kfp_edge.ml.bundle import Bundle
from kfp_edge.prometheus import Prometheus
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import write_file


@dataclass(frozen=True)
class Result:
    """The outputs of the component, and what the user should know."""

    decision: str
    reasons: list[str]
    quarantined: list[dict[str, Any]]
    metrics: dict[str, float]
    warnings: list[str]


def run(parameters: DriftParameters, result: Path, report: Path) -> Result:
    """Look for drift of a model.

    Args:
        parameters: What to look at, and the limits.
        result: Where the JSON goes.
        report: Where the HTML report goes.

    Raises:
        ParameterError: nothing says where the metrics are, or the bundle is that of another model.
        MetricsError: the metrics cannot be read, or there are none of the model or of its training.
        ModelError: the bundle was altered.
        StorageError: the bundle cannot be fetched, or the file system refuses.
    """
    metrics = DriftMetrics(_connect(parameters.prometheus), parameters.model, parameters.site_label)
    end = parameters.until or datetime.now(UTC)
    start = end - parameters.window
    versions = metrics.find_versions(start, end)
    references = _read_references(parameters, metrics, versions, start, end)
    decided = evaluate(
        parameters.model,
        metrics.read_window(references, start, end),
        references,
        parameters.options,
        lambda start, end: metrics.read_window(references, start, end),
        metrics.read_history(references, start, end),
    )
    if unknown := [version for version in versions if version not in references]:
        reason = (
            f"Nothing is known of the training of {', '.join(unknown)}, so what its servers see is not compared; name "
            "its bundle in the parameter bundle."
        )
        decided = decided.model_copy(update={"reasons": (*decided.reasons, reason)})
    write_file(result, decided.to_json())
    write_report(decided, report)
    print(f"{decided.decision}: {parameters.model}", *decided.reasons, sep="\n", flush=True)
    return Result(
        decided.decision,
        list(decided.reasons),
        [each.model_dump(mode="json") for each in decided.quarantined],
        _measure(decided),
        list(decided.reasons),
    )


def _connect(url: str) -> Prometheus:
    if url:
        return Prometheus(url, "the parameter prometheus")
    url = os.environ.get(URL_VARIABLE, "").strip()
    if not url:
        raise ParameterError(
            f"nothing says where the metrics of the sites are; give the parameter prometheus, or set {URL_VARIABLE}."
        )
    check_url(url, URL_VARIABLE)
    return Prometheus(url, URL_VARIABLE)


def _read_references(
    parameters: DriftParameters, metrics: DriftMetrics, versions: Sequence[str], start: datetime, end: datetime
) -> dict[str, Reference]:
    """Return the training of each version of which it is known."""
    of_bundle = _read_bundle(parameters, versions) if parameters.bundle else None
    references = {}
    for version in versions:
        # what a server publishes has the bins in which it counts: it merges those that an integer cannot tell apart
        reference = metrics.read_reference(version, start, end)
        if reference is None and of_bundle is not None and of_bundle.version == version:
            reference = of_bundle
        if reference is not None:
            references[version] = reference
    if not references:
        raise MetricsError(
            f"the servers of the model {parameters.model} {', '.join(versions)} publish nothing of its training; name "
            "its bundle in the parameter bundle, or serve a bundle with reference.json."
        )
    return references


def _read_bundle(parameters: DriftParameters, versions: Sequence[str]) -> Reference:
    with TemporaryDirectory() as scratch:
        bundle = Bundle.load(fetch(parameters.bundle, Path(scratch)))
        name, version = bundle.manifest.name, bundle.manifest.version
        if name != parameters.model or version not in versions:
            raise ParameterError(
                f"bundle is {name} {version}, and {parameters.model} {', '.join(versions)} is served; give the bundle "
                "that is served."
            )
        return bundle_reference(bundle.reference, version)


def _measure(result: DriftResult) -> dict[str, float]:
    verdicts = [each.verdict for each in result.comparisons]
    counted = {
        "drifted": Verdict.DRIFT,
        "watched": Verdict.WATCH,
        "seasonal": Verdict.SEASONAL,
        "broken_sensors": Verdict.BROKEN,
        "without_verdict": Verdict.NO_VERDICT,
    }
    return {
        "sites": float(len({each.name for each in result.comparisons if each.scope is Scope.SITE})),
        "comparisons": float(len(verdicts)),
        **{name: float(verdicts.count(verdict)) for name, verdict in counted.items()},
        "largest_psi": max((each.psi or 0.0 for each in result.comparisons if each.p_value is not None), default=0.0),
    }
