"""The parameters of all pipelines, in groups, with defaults that let every pipeline run on generated data.

What counts on a cluster only is in `_cluster_parameters.py`. A group's fields are described by the components that
take them (`described_by`), or in their types.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from kfp.dsl.base_component import BaseComponent

from kfp_edge.components.claim_retraining.component import claim_retraining
from kfp_edge.components.compare_models.component import compare_models
from kfp_edge.components.containerize.component import containerize
from kfp_edge.components.drift.component import drift
from kfp_edge.components.export.component import export
from kfp_edge.components.fetch_model.component import fetch_model
from kfp_edge.components.gitops_commit.component import gitops_commit
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.preflight.component import preflight
from kfp_edge.components.promote.component import promote
from kfp_edge.components.release.component import release
from kfp_edge.components.rollback.component import rollback
from kfp_edge.components.staging_test.component import staging_test
from kfp_edge.components.train.component import train
from kfp_edge.components.verify.component import verify
from kfp_edge.spec.parameters.groups import ParameterGroup


@dataclass(frozen=True, kw_only=True)
class DataSource(ParameterGroup):
    """Where the rows of one model come from."""

    described_by: ClassVar = (ingest,)

    data: str = "synthetic:ai4i?rows=10000&seed=0"
    windows: str = ""


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(ParameterGroup):
    """What the columns are."""

    described_by: ClassVar = (ingest,)

    target: str = ""
    positive: str = ""
    task: str = "classification"
    drop: list[str] = field(default_factory=list)
    time_column: str = ""
    group_column: str = ""
    rolling_windows: list[int] = field(default_factory=list)
    columns: dict = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FailureOptions(ParameterGroup):
    """The failures that labels are made of."""

    described_by: ClassVar = (ingest,)

    failures: str = ""
    failure_columns: dict = field(default_factory=dict)
    horizon: str = ""
    repair_time: str = ""
    run_to_failure: bool = False
    max_rul: str = ""


@dataclass(frozen=True, kw_only=True)
class SplitOptions(ParameterGroup):
    """Which rows are held out."""

    described_by: ClassVar = (ingest,)

    split: str = "auto"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class TimeOptions(ParameterGroup):
    """Which stretch of time rows are taken from."""

    described_by: ClassVar = (ingest,)

    time_range: dict = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FormatOptions(ParameterGroup):
    """How the files of a table are written."""

    described_by: ClassVar = (ingest,)

    separator: str = ""
    decimal: str = ""
    thousands: str = ""
    encoding: str = ""
    missing_values: list[str] = field(default_factory=list)
    time_format: str = ""
    time_zone: str = ""
    column_names: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DataOptions(FormatOptions, SplitOptions, TimeOptions, FailureOptions, ColumnOptions):
    """How the table is read, what its columns are, and which rows are held out."""


@dataclass(frozen=True, kw_only=True)
class EstimatorOptions(ParameterGroup):
    """What is trained, how its hyperparameters are chosen, and how sure its metrics are made."""

    described_by: ClassVar = (train,)

    estimator: str = "auto"
    hyperparameters: dict = field(default_factory=dict)
    threshold: dict = field(default_factory=dict)
    calibration: str = ""
    folds: int = 0
    tune: int = 0
    tune_metric: str = ""
    tune_minutes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AnomalyOptions(ParameterGroup):
    """What counts for anomaly detection only."""

    described_by: ClassVar = (train,)

    false_alarm_rate: float = 0.001


@dataclass(frozen=True, kw_only=True)
class RegressionOptions(ParameterGroup):
    """What counts for regression only."""

    described_by: ClassVar = (train,)

    quantiles: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Training(RegressionOptions, AnomalyOptions, EstimatorOptions):
    """How a model is trained."""


@dataclass(frozen=True, kw_only=True)
class TrainedElsewhere(ParameterGroup):
    """A model that is fetched and not trained."""

    described_by: ClassVar = (fetch_model, export)

    model: str = "example:ai4i"
    model_sha256: Annotated[str, str(fetch_model.component_spec.inputs["sha256"].description)] = ""
    model_classes: dict = field(default_factory=dict)
    model_outputs: list[str] = field(default_factory=list)
    model_threshold: str = ""


@dataclass(frozen=True, kw_only=True)
class Champion(ParameterGroup):
    """Which model it replaces."""

    described_by: ClassVar = (verify,)

    champion: str = ""


@dataclass(frozen=True, kw_only=True)
class Model(ParameterGroup):
    """Which model it is."""

    described_by: ClassVar[tuple[BaseComponent, ...]] = (verify,)

    model_name: str = "machine-failure"


@dataclass(frozen=True, kw_only=True)
class ModelName(Model, Champion):
    """Which model it is, and which one it replaces."""


@dataclass(frozen=True, kw_only=True)
class Verification(ParameterGroup):
    """The version of a model, and what it is held to."""

    described_by: ClassVar = (verify,)

    model_version: str = "0.1.0"
    gates: dict = field(default_factory=dict)
    champion_margin: float = 0.01
    max_latency_ms: float = 5.0
    may_be_missing: list[str] = field(default_factory=list)
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class Fleet(ParameterGroup):
    """The models of a fleet."""

    described_by: ClassVar = (preflight,)

    assets: list[dict]


@dataclass(frozen=True, kw_only=True)
class GitOpsRepository(ParameterGroup):
    """The repository that the sites follow."""

    described_by: ClassVar[tuple[BaseComponent, ...]] = (gitops_commit,)

    #: In the folder where the run is started; for a cluster, name a repository on a server instead.
    gitops_repo: str = ".kfp-edge/gitops.git"
    gitops_branch: str = "main"


@dataclass(frozen=True, kw_only=True)
class TargetRing(GitOpsRepository):
    """The ring that changes, in the repository that the sites follow."""

    ring: str = ""


@dataclass(frozen=True, kw_only=True)
class ReleasedModel(Model):
    """A model that a ring has, and where its images are."""

    described_by: ClassVar = (promote,)

    image_registry: str = ""


@dataclass(frozen=True, kw_only=True)
class Promotion(ReleasedModel, GitOpsRepository):
    """Which release is to go on, and where."""

    described_by: ClassVar = (promote,)

    to: str = ""


@dataclass(frozen=True, kw_only=True)
class Drift(Model):
    """Which model is compared with its training, and when it drifts."""

    described_by: ClassVar = (drift,)

    prometheus: str = ""
    site_label: str = "site"
    bundle: str = ""
    drift_window: str = "7d"
    drift_until: str = ""
    season: str = "7d"
    watch_psi: float = 0.1
    drift_psi: float = 0.2
    drift_alarm_rate: float = 0.01
    min_rows: int = 200
    min_drifted_sites: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Retraining(Model):
    """Which model may be retrained how often, and what is compared before it replaces the one in use."""

    described_by: ClassVar[tuple[BaseComponent, ...]] = (claim_retraining, compare_models)

    #: In the folder where the run is started; for a cluster, name an object store instead.
    retraining_state: str = ".kfp-edge/retraining"
    cool_down: str = "1d"
    max_retrainings_per_week: int = 2
    retraining_timeout: str = "24h"
    compared_metric: str = ""


@dataclass(frozen=True, kw_only=True)
class RetrainedModel(Retraining, Drift, ModelName):
    """A model in use, and when it is retrained."""

    described_by: ClassVar[tuple[BaseComponent, ...]] = (drift, verify, claim_retraining, compare_models)


@dataclass(frozen=True, kw_only=True)
class Rollback(ReleasedModel, TargetRing):
    """Which ring is to go back, and to what."""

    described_by: ClassVar = (rollback,)

    digest: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Delivery(TargetRing):
    """How the image is built and tested, and where image and commit go."""

    described_by: ClassVar = (containerize, staging_test, release, gitops_commit)

    format: str = "image"
    modelcar_base: str = str(containerize.component_spec.inputs["modelcar_base"].default)
    serving_image: str = "auto"
    #: In the folder where the run is started; for a cluster, name a registry instead.
    registry: str = "oci:.kfp-edge/registry"
    gitops_target: dict = field(default_factory=dict)
    pull_requests: dict = field(default_factory=dict)
    build: str = "auto"
    build_options: dict = field(default_factory=dict)
    staging: str = "auto"
    staging_options: dict = field(default_factory=dict)
    startup_timeout: float = 60.0
    staging_max_latency_ms: Annotated[float, str(staging_test.component_spec.inputs["max_latency_ms"].description)] = (
        50.0
    )
