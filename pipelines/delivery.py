"""The delivery half, for a saved model.

preflight -> saved model -> export -> verify -> containerize -> staging test -> release -> GitOps commit
"""

from kfp_edge.components.export.component import export
from kfp_edge.components.fetch_model.component import fetch_model
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.verify.component import verify
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets, disable_caching, set_retries
from kfp_edge.pipelines._delivery_steps import clean_up_on_exit, deliver
from kfp_edge.pipelines._parameters import (
    AnomalyOptions,
    DataOptions,
    DataSource,
    Delivery,
    ModelName,
    TrainedElsewhere,
    Verification,
)
from kfp_edge.pipelines._preflight_steps import check_delivery
from kfp_edge.spec.parameters.groups import arguments, pipeline


@pipeline(name="delivery", description="Verify a model trained elsewhere and propose it to the edge sites.")
def delivery(
    external: TrainedElsewhere,
    source: DataSource,
    options: DataOptions,
    anomaly: AnomalyOptions,
    name: ModelName,
    verification: Verification,
    delivery: Delivery,
    cluster: ClusterParameters,
    secrets: DeliverySecrets,
) -> None:
    """Verify and deliver a saved model."""
    with clean_up_on_exit(delivery, cluster):
        checked = check_delivery(
            *(external, source, options, anomaly, name, verification),
            delivery=delivery,
            cluster=cluster,
            secrets=secrets,
        )
        fetched = fetch_model(model=external.model, sha256=external.model_sha256).after(checked)
        rows = ingest(**arguments(source, options)).after(checked)
        exported = export(
            model=fetched.outputs["fetched"],
            train_data=rows.outputs["train_data"],
            model_classes=external.model_classes,
            model_outputs=external.model_outputs,
            model_threshold=external.model_threshold,
            false_alarm_rate=anomaly.false_alarm_rate,
        )
        verified = verify(
            model=fetched.outputs["fetched"],
            onnx_model=exported.outputs["onnx_model"],
            train_data=rows.outputs["train_data"],
            test_data=rows.outputs["test_data"],
            **arguments(anomaly, name, verification),
        )
        cluster.configure_compute(rows, exported, verified)
        cluster.configure_light(fetched)
        cluster.use_data_connection(fetched, rows, verified)
        disable_caching(fetched, rows, verified)
        set_retries(fetched, rows)
        deliver(verified.outputs["bundle"], name, verification, delivery, cluster, secrets)
