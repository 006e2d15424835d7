"""The rules of all stages on their parameters, applied before the first stage; nothing outside is asked.

This is the one module that imports several stages: each rule is where its stage is, and the stage applies it too.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from kfp_edge.components.containerize import parameters as containerize
from kfp_edge.components.drift.parameters import read_parameters as read_drift_parameters
from kfp_edge.components.export import parameters as export
from kfp_edge.components.fetch_model import parameters as fetch_model
from kfp_edge.components.gitops_commit.gitops_commit import check_destination, check_model
from kfp_edge.components.gitops_commit.proposal import parse_pull_requests
from kfp_edge.components.ingest.columns.schema import parse_expectations
from kfp_edge.components.ingest.options import IngestOptions, complete_options, find_contradictions
from kfp_edge.components.preflight.findings import Check, collect, raise_findings
from kfp_edge.components.staging_test import parameters as staging_test
from kfp_edge.components.train.parameters import read_selection_options, read_training_options
from kfp_edge.components.verify.missing_values import check_may_be_missing
from kfp_edge.errors import ParameterError
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.target import FileTarget
from kfp_edge.images.base_addresses import MODELCAR_BASE
from kfp_edge.images.oci.references import ImageRegistry
from kfp_edge.kubernetes.pod_options import check_pod_parameters
from kfp_edge.metrics.gates import check_limits, parse_gates
from kfp_edge.ml.bundle import TASK_NAMES
from kfp_edge.ml.model_names import check_identity
from kfp_edge.model_selection.selection import check_selection
from kfp_edge.retraining.claims import ClaimPolicy, check_state
from kfp_edge.retraining.comparison import find_compared_metric
from kfp_edge.tasks.anomaly.threshold_rows import check_false_alarm_rate
from kfp_edge.tasks.registry import TASKS, check_measured, check_options

#: The parameters of a pipeline by name; of those that it does not have, none.
Values = Mapping[str, Any]


def check_parameters(values: Values, *, in_pod: bool) -> None:
    """Check the parameters of a pipeline.

    Args:
        values: The parameters that the pipeline has.
        in_pod: Whether the stages will run in pods of a cluster, which decides what `auto` means.

    Raises:
        ParameterError: with every finding.
    """
    raise_findings(collect(parameter_checks(values, in_pod=in_pod)))


def parameter_checks(values: Values, *, in_pod: bool) -> Iterator[Check]:
    """Yield the check of each group of parameters that the pipeline has."""
    if "assets" in values:
        yield partial(_check_assets, values["assets"])
    for model in list_models(values):
        yield from _data_checks({**values, "data": model.get("data", "")})
        yield partial(_check_name, model.get("model_name"), values)
    yield from _training_checks(values)
    if "folds" in values:
        yield partial(check_selection, read_selection_options(values), read_training_options(values), _task(values))
    if "gates" in values:
        yield from (partial(_check_gate, name, limit, values) for name, limit in values["gates"].items())
    if "may_be_missing" in values:
        yield partial(_check_may_be_missing, values)
    if "champion_margin" in values:
        yield partial(check_limits, values["champion_margin"], values["max_latency_ms"])
    if "model" in values:
        yield partial(fetch_model.check_parameters, values["model"], values.get("model_sha256", ""))
    if "model_classes" in values:
        yield partial(_check_brought_model, values)
    if "registry" in values:
        yield from _delivery_checks(values, in_pod=in_pod)
    if "gitops_repo" in values:
        yield from _git_checks(values)
    yield from _retraining_checks(values, in_pod=in_pod)
    if values.get("image_registry"):
        yield partial(ImageRegistry.parse, values["image_registry"])
    yield partial(check_pod_parameters, values)


def _retraining_checks(values: Values, *, in_pod: bool) -> Iterator[Check]:
    """Yield the checks of when a model is retrained, how often, and what it is compared by."""
    if "drift_window" in values:
        yield partial(read_drift_parameters, **values)
    if "retraining_state" not in values:
        return
    limits = (("cool_down", "1d"), ("max_retrainings_per_week", 2), ("retraining_timeout", "24h"))
    yield partial(ClaimPolicy.parse, *(values.get(name, default) for name, default in limits))
    yield partial(check_state, values["retraining_state"], in_pod=in_pod)
    if values.get("compared_metric"):
        yield partial(_check_compared_metric, values)


def _check_compared_metric(values: Values) -> None:
    metric = find_compared_metric(values["compared_metric"])
    if (task := _task(values)) and task not in metric.tasks:
        raise ParameterError(
            f"compared_metric is {values['compared_metric']!r}, which task={task} does not measure; name another one, "
            "or leave it empty."
        )
    if "estimator" in values:
        check_measured(values["compared_metric"], read_training_options(values), task)


def _check_brought_model(values: Values) -> None:
    threshold, outputs = values.get("model_threshold", ""), values.get("model_outputs", [])
    export.parse_options(values["model_classes"], outputs, threshold)


def _training_checks(values: Values) -> Iterator[Check]:
    """Yield the checks of what is trained, and how."""
    if "estimator" not in values and "false_alarm_rate" in values:
        yield partial(_check_brought_rate, values["false_alarm_rate"], _task(values))
    if "estimator" in values:
        model = {name: values[name] for name in ("estimator", "hyperparameters") if name in values}
        names = ("quantiles", "threshold", "calibration", "false_alarm_rate")
        others = ({name: values[name]} for name in names if name in values)
        # each on its own too, as the first fault would hide the others
        for parameters in (model, *others, values):
            yield partial(_check_training, parameters, _task(values))


def _check_brought_rate(rate: float, task: str) -> None:
    check_false_alarm_rate(rate)
    if task:
        TASKS[task].check_rate(rate)


def _check_training(values: Values, task: str) -> None:
    check_options(read_training_options(values), task)


def list_models(values: Values) -> list[dict[str, Any]]:
    """Return address and name of the data of each model: of every asset of a fleet, or of the only model."""
    if "assets" in values:
        return [asset for asset in values["assets"] if isinstance(asset, dict)]
    return [{key: values[key] for key in ("data", "model_name") if key in values}] if "data" in values else []


def ring_of(values: Values) -> tuple[str, str, FileTarget | None]:
    """Return the branch that the sites follow, the ring and the file; the defaults of the pipelines where absent.

    Raises:
        ParameterError: the file is not given as it has to be.
    """
    target = values.get("gitops_target")
    place = FileTarget.parse(target) if target else None
    return values.get("gitops_branch", "main"), values.get("ring") or values.get("to", ""), place


def _delivery_checks(values: Values, *, in_pod: bool) -> Iterator[Check]:
    registry, build, staging = values["registry"], values.get("build", "auto"), values.get("staging", "auto")
    images = (registry, values.get("serving_image", "auto"), build, values.get("build_options", {}))
    modelcar = (values.get("format", "image"), values.get("modelcar_base", MODELCAR_BASE))
    # each on its own too, as the first fault would hide the others
    yield partial(ImageRegistry.parse, registry)
    yield partial(containerize.select_build, build, in_pod=in_pod)
    yield partial(staging_test.select_backend, staging, in_pod=in_pod)
    yield partial(containerize.check_parameters, *images, *modelcar, in_pod=in_pod)
    yield partial(staging_test.check_parameters, registry, staging, values.get("staging_options", {}), in_pod=in_pod)
    limits = (values.get("startup_timeout", 60.0), values.get("staging_max_latency_ms", 50.0))
    yield partial(staging_test.check_limits, *limits, latency_parameter="staging_max_latency_ms")


def _git_checks(values: Values) -> Iterator[Check]:
    yield partial(_check_destination, values)
    if "://" in values["gitops_repo"] or "@" in values["gitops_repo"]:  # a folder is looked for where the run is
        yield partial(GitRemote.check_syntax, values["gitops_repo"])
    if values.get("pull_requests"):
        yield partial(parse_pull_requests, values["pull_requests"])


def _check_destination(values: Values) -> None:
    check_destination(*ring_of(values))


def _data_checks(values: Values) -> Iterator[Check]:
    options = IngestOptions.from_parameters(values)
    yield from (partial(_refuse, message) for message in find_contradictions(complete_options(options)))
    yield from (partial(parse_expectations, {name: rules}) for name, rules in options.columns.items())


def _check_gate(name: str, limit: object, values: Values) -> None:
    for gate in parse_gates({name: limit}, _task(values)):
        if "estimator" in values:  # the model is trained, so that it has what its parameters ask for
            check_measured(gate.metric, read_training_options(values), _task(values))


def _check_may_be_missing(values: Values) -> None:
    options = IngestOptions.from_parameters({"data": "", **values})
    check_may_be_missing(values["may_be_missing"], options.drop, options.role_columns)


def _refuse(message: str) -> None:
    raise ParameterError(message)


def _task(values: Values) -> str:
    """Return the task, or "" where it is not known."""
    task = values.get("task", "")
    return task if task in TASK_NAMES else ""


def _check_name(name: object, values: Values) -> None:
    if not isinstance(name, str) or "model_version" not in values:
        return
    check_identity(name, values["model_version"])
    if "gitops_repo" in values:
        check_model(name, values["model_version"])


def _check_assets(assets: list[Any]) -> None:
    """Refuse assets without a name or data, and names that are not unique.

    Raises:
        ParameterError: with the first such asset.
    """
    if not assets:
        raise ParameterError("assets is empty; give at least one {model_name: NAME, data: ADDRESS}.")
    for number, asset in enumerate(assets, start=1):
        for key in ("model_name", "data"):
            if not isinstance(asset, dict) or not isinstance(asset.get(key), str) or not asset[key]:
                raise ParameterError(
                    f"asset {number} has no text as {key}; write {{model_name: press-{number}, data: ADDRESS}}."
                )
    name, count = Counter(asset["model_name"] for asset in assets).most_common(1)[0]
    if count > 1:
        raise ParameterError(f"assets has {count} models called {name}; every model needs a name of its own.")
