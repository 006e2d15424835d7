"""A pipeline of the delivery half alone, for a bundle that an earlier run has verified."""

import json
import re
from pathlib import Path

from kfp import compiler, dsl

from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets
from kfp_edge.pipelines._delivery_steps import clean_up_on_exit, deliver
from kfp_edge.pipelines._parameters import Delivery, ModelName, Verification
from kfp_edge.spec.parameters.groups import pipeline
from support.live_cluster.live_cluster import PREFIX

_BUNDLE = re.compile(r"(?:s3|minio)://[^\"\\ ]+/verify/[^\"\\ ]+/bundle")


def bundle_uri(workflow: KubernetesObject) -> str:
    """Return where a run of `edge_mlops` has stored its bundle, which the tasks after it have as their input.

    Raises:
        AssertionError: the Workflow of the run names none.
    """
    uri = _BUNDLE.search(json.dumps(workflow.get("status", {})))
    assert uri, f"the Workflow {workflow['metadata']['name']} names no bundle"
    return uri[0]


def compile_delivering(folder: Path, bundle: str) -> Path:
    """Compile containerize -> staging test -> release -> GitOps commit, then clean_up, as the pipelines have them."""

    @pipeline(name=f"{PREFIX}delivering", description="Deliver a bundle.")
    def delivering(
        name: ModelName,
        verification: Verification,
        delivery: Delivery,
        cluster: ClusterParameters,
        secrets: DeliverySecrets,
    ) -> None:
        with clean_up_on_exit(delivery, cluster):
            imported = dsl.importer(artifact_uri=bundle, artifact_class=dsl.Artifact)
            deliver(imported.output, name, verification, delivery, cluster, secrets)

    path = folder / f"{PREFIX}delivering.yaml"
    compiler.Compiler().compile(delivering, str(path))
    return path
