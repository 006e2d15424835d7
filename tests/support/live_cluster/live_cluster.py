"""The cluster that the kubeconfig names, and the pipeline server of the tested project."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from kfp_server_api import V2beta1Run

from kfp_edge.client.runs.argo_nodes import NODE_NAME_ANNOTATION, parse_node_name
from kfp_edge.client.server.discovery import find_endpoint
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import KfpApiError, StorageError
from kfp_edge.kubernetes import Cluster, KubernetesObject
from kfp_edge.kubernetes.metadata import MANAGED_BY_LABEL, RUN_LABEL
from kfp_edge.storage import s3
from support.live_cluster.kubectl import KubectlError, kubectl
from support.live_cluster.settings import Settings

#: What the names of the tests' own pipelines, and of the experiment of a session, begin with.
PREFIX = "kfp-edge-test-"
#: What runs create, and whether it is in the staging namespace.
CREATED_KINDS = {"TaskRun": False, "Secret": False, "Deployment": True, "Service": True}
_KFP_RUN_LABEL = "pipeline/runid"


@dataclass(frozen=True)
class LiveCluster:
    """The cluster, the pipeline server, and what the tests were told about them."""

    settings: Settings
    cluster: Cluster
    api: KfpApi
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def experiment(self) -> str:
        """The experiment of all runs of this session."""
        return f"{PREFIX}{self.started:%Y%m%d%H%M%S}"

    @classmethod
    def connect(cls, settings: Settings) -> "LiveCluster":
        """Find the cluster and the server.

        Raises:
            KfpEdgeError: there is none, or it cannot be reached.
        """
        cluster = Cluster.connect(settings.namespace)
        cluster.list("Pod", fields="metadata.name=none")
        live = cls(settings, cluster, KfpApi(find_endpoint(settings.namespace, settings.host)))
        live.api.call("list the runs", live.api.runs.run_service_list_runs, page_size=1)
        return live

    @cached_property
    def has_tekton(self) -> bool:
        """Whether builds with a TaskRun are possible."""
        try:
            resources = json.loads(kubectl("get", "--raw", "/apis/tekton.dev/v1"))["resources"]
        except KubectlError:
            return False
        return any(each["name"] == "taskruns" for each in resources)

    def pods(self, run_id: str) -> list[KubernetesObject]:
        """Return the pods of a run, drivers included."""
        return self.cluster.list("Pod", f"{_KFP_RUN_LABEL}={run_id}")

    def stage_pod(self, run_id: str, stage: str) -> KubernetesObject | None:
        """Return the pod of a stage that has not ended; None if there is none."""
        for pod in self.pods(run_id):
            place = parse_node_name((pod["metadata"].get("annotations") or {}).get(NODE_NAME_ANNOTATION, ""))
            has_ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
            if place.path[-1:] == (stage,) and not place.is_driver and not has_ended:
                return pod
        return None

    def workflow(self, run_id: str) -> KubernetesObject | None:
        """Return the Workflow of a run; None if it is gone."""
        workflows = self.cluster.list("Workflow", f"{_KFP_RUN_LABEL}={run_id}")
        return workflows[0] if workflows else None

    def created_objects(self, run_id: str = "") -> Iterator[KubernetesObject]:
        """Yield what a run, or without an id any run, has created and nobody has deleted yet."""
        selector = f"{MANAGED_BY_LABEL}=kfp-edge,{RUN_LABEL}" + (f"={run_id}" if run_id else "")
        for kind, in_staging in CREATED_KINDS.items():
            if kind != "TaskRun" or self.has_tekton:
                yield from self.cluster.list(
                    kind, selector, self.settings.staging if in_staging else self.settings.namespace
                )

    def leftovers(self, run_id: str) -> list[str]:
        """Return what a run has created and nobody has deleted yet, as `KIND NAME`."""
        return [f"{each['kind']} {each['metadata']['name']}" for each in self.created_objects(run_id)]

    def experiment_id(self) -> str:
        """Return the id of that experiment; empty if it does not exist."""
        predicate = {"operation": "EQUALS", "key": "name", "stringValue": self.experiment}
        page = self.api.call(
            "look for the experiment",
            self.api.experiments.experiment_service_list_experiments,
            filter=json.dumps({"predicates": [predicate]}),
        )
        return str(page.experiments[0].experiment_id) if page.experiments else ""

    def test_runs(self) -> list[V2beta1Run]:
        """Return all runs of this session, the newest first."""
        if not (experiment := self.experiment_id()):
            return []
        list_runs = self.api.runs.run_service_list_runs
        runs: list[V2beta1Run] = []
        token = ""
        while True:
            page = self.api.call(
                "list the runs",
                list_runs,
                experiment_id=experiment,
                page_size=100,
                page_token=token,
                sort_by="created_at desc",
            )
            runs += page.runs or []
            token = page.next_page_token
            if not token:
                return runs

    def delete_test_runs(self) -> None:
        """Delete the runs of this session, what was uploaded for them, and their experiment."""
        runs = self.test_runs()
        for run in runs:
            self._delete("run", self.api.runs.run_service_delete_run, run.run_id)
        services = self.api.pipelines
        versions = {
            (reference.pipeline_id, reference.pipeline_version_id)
            for run in runs
            if (reference := run.pipeline_version_reference) is not None
        }
        for ids in versions:
            version = self._find("version", services.pipeline_service_get_pipeline_version, *ids)
            if version is not None and version.created_at >= self.started:
                self._delete("version", services.pipeline_service_delete_pipeline_version, *ids)
        for pipeline_id in {pipeline_id for pipeline_id, _ in versions}:
            pipeline = self._find("pipeline", services.pipeline_service_get_pipeline, pipeline_id)
            if pipeline is not None and str(pipeline.display_name).startswith(PREFIX):
                self._delete_pipeline(pipeline_id)
        if experiment := self.experiment_id():
            self._delete("experiment", self.api.experiments.experiment_service_delete_experiment, experiment)

    def _delete_pipeline(self, pipeline_id: str) -> None:
        services = self.api.pipelines
        page = self.api.call(
            "list the versions", services.pipeline_service_list_pipeline_versions, pipeline_id, page_size=100
        )
        for version in page.pipeline_versions or ():
            self._delete(
                "version",
                services.pipeline_service_delete_pipeline_version,
                pipeline_id,
                version.pipeline_version_id,
            )
        self._delete("pipeline", services.pipeline_service_delete_pipeline, pipeline_id)

    def _find(self, what: str, method: Any, *ids: str) -> Any | None:
        try:
            return self.api.call(f"read the {what}", method, *ids)
        except KfpApiError as error:
            if error.status != 404:
                raise
            return None

    def _delete(self, what: str, method: Any, *ids: str) -> None:
        try:
            self.api.call(f"delete the {what}", method, *ids)
        except KfpApiError as error:
            if error.status != 404:
                raise


def existing_objects(uris: Iterable[str]) -> list[str]:
    """Return those URIs of the object store at which there is an object."""
    existing = []
    for uri in uris:
        try:
            s3.check_exists(uri)
        except StorageError as error:
            if "nothing" not in str(error):
                raise
        else:
            existing.append(uri)
    return existing
