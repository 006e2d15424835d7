"""The delivery half: saved model -> export -> verify -> containerize -> staging test -> release -> GitOps commit."""

from kfp import dsl

from kfp_edge.components.export.component import export
from kfp_edge.components.fetch_model.component import fetch_model
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.verify.component import verify
from kfp_edge.pipelines import _defaults as default
from kfp_edge.pipelines._delivery_steps import cleaned_up, deliver
from kfp_edge.pipelines._task_config import TaskConfig, retried


@dsl.pipeline(name="delivery", description="Verify a model trained elsewhere and propose it to the edge sites.")
def delivery(
    model: str = "example:ai4i",
    model_sha256: str = "",
    data: str = default.DATA,
    task: str = "classification",
    target: str = "",
    drop: list[str] = [],
    time_column: str = "",
    group_column: str = "",
    windows: str = "",
    rolling_windows: list[int] = [],
    columns: dict = {},
    model_name: str = default.MODEL_NAME,
    model_version: str = default.MODEL_VERSION,
    seed: int = 0,
    gates: dict = default.GATES,
    champion: str = "",
    revision: str = "",
    serving_image: str = "auto",
    registry: str = default.REGISTRY,
    gitops_repo: str = default.GITOPS_REPO,
    gitops_branch: str = "main",
    site: str = "site-1",
    namespace: str = "edge-models",
    build: str = "auto",
    build_options: dict = {},
    staging: str = "auto",
    staging_options: dict = {},
    cpu: str = default.CPU,
    memory: str = default.MEMORY,
    data_connection: str = default.DATA_CONNECTION,
    registry_secret: str = default.REGISTRY_SECRET,
    git_secret: str = default.GIT_SECRET,
    ca_bundle: str = default.CA_BUNDLE,
    node_selector: dict = {},
    tolerations: list = [],
):
    """Verify and deliver a saved model; `docs/parameters.md` describes the parameters."""
    cluster = TaskConfig(
        cpu, memory, data_connection, ca_bundle, node_selector, tolerations, registry_secret, git_secret
    )
    with cleaned_up(cluster, staging_options):
        fetched = fetch_model(model=model, sha256=model_sha256)
        rows = ingest(
            data=data,
            task=task,
            target=target,
            drop=drop,
            time_column=time_column,
            group_column=group_column,
            windows=windows,
            rolling_windows=rolling_windows,
            columns=columns,
            seed=seed,
        )
        exported = export(model=fetched.outputs["fetched"], train_data=rows.outputs["train_data"])
        verified = verify(
            model=fetched.outputs["fetched"],
            onnx_model=exported.outputs["onnx_model"],
            train_data=rows.outputs["train_data"],
            test_data=rows.outputs["test_data"],
            model_name=model_name,
            model_version=model_version,
            gates=gates,
            champion=champion,
            revision=revision,
        )
        cluster.large(rows, exported, verified)
        cluster.small(fetched)
        cluster.reads_data(fetched, rows, verified)
        retried(fetched, rows)
        deliver(
            verified.outputs["bundle"],
            cluster,
            model_name=model_name,
            model_version=model_version,
            revision=revision,
            serving_image=serving_image,
            registry=registry,
            gitops_repo=gitops_repo,
            gitops_branch=gitops_branch,
            site=site,
            namespace=namespace,
            build=build,
            build_options=build_options,
            staging=staging,
            staging_options=staging_options,
        )
