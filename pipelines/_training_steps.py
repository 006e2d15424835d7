"""The stages that make a verified model; a pipeline that calls this function gets the tasks."""

from collections.abc import Sequence
from typing import NamedTuple

from kfp.dsl import PipelineTask
from kfp.dsl.pipeline_channel import PipelineArtifactChannel, PipelineParameterChannel

from kfp_edge.components.export.component import export
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.train.component import train
from kfp_edge.components.verify.component import verify
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, disable_caching, set_retries
from kfp_edge.pipelines._parameters import DataOptions, DataSource, ModelName, Training, Verification
from kfp_edge.spec.parameters.groups import arguments, inputs_of


class VerifiedModel(NamedTuple):
    """The bundle of a model, and the rows that were held out when it was trained."""

    bundle: PipelineArtifactChannel
    test_data: PipelineArtifactChannel


def train_and_verify(
    source: DataSource,
    options: DataOptions,
    training_options: Training,
    name: ModelName,
    verification: Verification,
    cluster: ClusterParameters,
    *,
    after: Sequence[PipelineTask],
    quarantined: PipelineParameterChannel | None = None,
) -> VerifiedModel:
    """Add ingest -> train -> export -> verify after the tasks in `after`, without rows that are `quarantined`."""
    left_out = {} if quarantined is None else {"quarantined": quarantined}
    rows = ingest(**arguments(source, options), **left_out).after(*after)
    trained = train(
        train_data=rows.outputs["train_data"],
        test_data=rows.outputs["test_data"],
        **inputs_of(train, options, training_options),
    )
    exported = export(model=trained.outputs["model"], train_data=rows.outputs["train_data"])
    verified = verify(
        model=trained.outputs["model"],
        onnx_model=exported.outputs["onnx_model"],
        train_data=rows.outputs["train_data"],
        test_data=rows.outputs["test_data"],
        **inputs_of(verify, training_options, name, verification),
    )
    cluster.configure_compute(rows, trained, exported, verified)
    cluster.use_data_connection(rows, verified)
    disable_caching(rows, verified)
    set_retries(rows)
    return VerifiedModel(verified.outputs["bundle"], rows.outputs["test_data"])
