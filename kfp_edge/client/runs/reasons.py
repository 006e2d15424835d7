"""Why a run failed and what it waits for, in sentences; from the cluster where it can be read, else with a command."""

import time
from collections.abc import Sequence

from kfp_edge.client.runs.argo_nodes import NodePlace
from kfp_edge.client.runs.in_cluster import RUN_LABEL, Failure, RunInCluster
from kfp_edge.client.runs.stage_states import StageState, display_names
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import ClusterError, KfpApiError
from kfp_edge.kubernetes import Cluster
from kfp_edge.spec.compiled_pipeline import Stage

#: How many Workflows of other runs are looked up to find out whether they are the server's.
_COMPARED_RUNS = 3


class ClusterReader:
    """Reads what the cluster has of a run; where it may not, or there is none, it does not try again."""

    def __init__(self, api: KfpApi, run_id: str) -> None:
        self._api = api
        self._run_id = run_id
        self._cluster = api.endpoint.cluster
        self._is_reachable = False
        # a server whose address was given need not run its pipelines in the cluster of the kubeconfig
        self._is_of_server = api.endpoint.is_in_cluster

    def read(self) -> RunInCluster | None:
        """Return what the cluster has of the run; None if that cannot be read."""
        if (cluster := self._reachable_cluster()) is None:
            return None
        try:
            run = RunInCluster(cluster, self._run_id)
        except ClusterError as error:
            if not error.retryable:
                self._cluster = None
            return None
        self._is_of_server = self._is_of_server or run.exists
        return run

    def _reachable_cluster(self) -> Cluster | None:
        if self._cluster is not None and not self._is_reachable:
            # once, and without the retries of other requests: a kubeconfig may name a cluster that is off
            self._is_reachable = self._cluster.is_reachable()
            self._cluster = self._cluster if self._is_reachable else None
        return self._cluster

    def is_lost(self, run: RunInCluster) -> bool:
        """Whether the Workflow of a run that has not ended is gone, in what is certainly the cluster of the server."""
        return run.is_lost and (self._is_of_server or self._has_run_of_server())

    def _has_run_of_server(self) -> bool:
        """Whether the namespace has the Workflow of another run that the server knows."""
        if self._cluster is None:
            return False
        try:
            workflows = self._cluster.list("Workflow", RUN_LABEL)
        except ClusterError:
            return False
        run_ids = [workflow["metadata"]["labels"][RUN_LABEL] for workflow in workflows[-_COMPARED_RUNS:]]
        self._is_of_server = any(map(self._knows, run_ids))
        return self._is_of_server

    def _knows(self, run_id: str) -> bool:
        """Whether the server has a run."""
        try:
            self._api.call("read a run", self._api.runs.run_service_get_run, run_id)
        except KfpApiError as error:
            if error.status != 404:
                raise
            return False
        return True


class RunReasons:
    """The sentences about one run.

    Args:
        run_id: The run's id.
        namespace: That of the run; empty if it is unknown.
        stages: Those of its pipeline.
    """

    def __init__(self, run_id: str, namespace: str, stages: Sequence[Stage]) -> None:
        self._run_id = run_id
        self._namespace = namespace or "NAMESPACE"
        paths = [tuple(step.name for step in stage.path) for stage in stages]
        self._names = dict(zip(paths, display_names(stages), strict=True))

    def failure(self, stages: Sequence[StageState], driver: str, run: RunInCluster | None) -> str:
        """Return why a run failed, in one sentence.

        Args:
            stages: The states of its stages.
            driver: The name of a driver that failed, if the server reports one; else empty.
            run: What the cluster has of it; None if that cannot be read.
        """
        failed = [stage for stage in stages if stage.state == "failed"]
        failure = self._relevant(run.failures() if run is not None else [], {stage.name for stage in failed})
        if failure is not None:
            log = f"`oc logs -n {self._namespace} -c {failure.container} {failure.pod}` shows its log"
            return f"{self._subject(failure.place)}: {failure.reason}{f'; {log}' if failure.pod else ''}."
        if failed:
            note = f": {failed[0].note}" if failed[0].note else ""
            subject = f"the stage {failed[0].name} failed{note}"
        else:
            subject = f"KFP's {driver} failed" if driver else "the run failed, and none of its stages did"
        return f"{subject}; `{self._log_command()}` shows why, and so does the dashboard."

    def waits(self, run: RunInCluster) -> tuple[str, ...]:
        """Return what a run waits for, one text for each stage."""
        texts = (f"{self._waiting_subject(waiting.place)}: {waiting.reason}" for waiting in run.waits())
        return tuple(dict.fromkeys(texts))

    def hint(self, stages: Sequence[StageState], seconds: float) -> str:
        """Return how to find out what a run waits for, if the cluster cannot be read."""
        pending = next((stage.name for stage in stages if stage.state == "pending"), "the run")
        command = f"oc describe pods -n {self._namespace} -l {RUN_LABEL}={self._run_id}"
        return f"{pending} has not started for {seconds:.0f} s; `{command}` shows what it waits for"

    def lost(self, name: str) -> str:
        """Return that the Workflow of a run is gone."""
        return (
            f"the run {name} has no Workflow in the namespace {self._namespace} any more: it was deleted, so nothing "
            "executes the run, and the server will report it as running forever; start a new one."
        )

    def _relevant(self, failures: Sequence[Failure], failed: set[str]) -> Failure | None:
        """Return the failure to report: that of a stage that the server reports as failed, else that of a driver."""
        for failure in failures:
            name = self._names.get(failure.place.path)
            if name in failed or (name is None and failure.place.is_driver):
                return failure
        return failures[0] if failures and not failed else None

    def _subject(self, place: NodePlace) -> str:
        if place.is_driver:
            return f"KFP's driver of {self._name(place)} failed"
        return f"{self._name(place)} failed"

    def _waiting_subject(self, place: NodePlace) -> str:
        return f"{self._name(place)} waits{' for its driver' if place.is_driver else ''}"

    def _name(self, place: NodePlace) -> str:
        if not place.path:
            return "the pipeline"
        name = self._names.get(place.path)
        # the stages are unknown if the pipeline was deleted
        kind = "stage" if name or not self._names else "nested pipeline"
        return f"the {kind} {name or '/'.join(place.path)}"

    def _log_command(self) -> str:
        """Return the command for the log of the first pod that failed: `oc logs -l` would show all that succeeded."""
        failed = f"-l {RUN_LABEL}={self._run_id} --field-selector=status.phase=Failed"
        pod = f"oc get pods -n {self._namespace} {failed} -o jsonpath='{{.items[0].metadata.name}}'"
        return f"oc logs -n {self._namespace} -c main $({pod})"


class WaitingWatch:
    """Notices that a run has not changed for some time, and reports what it waits for once.

    Args:
        look: Seconds without a change after which the cluster is asked, and again each time.
        hint: Seconds without a change after which a command is named, if the cluster cannot be asked.
    """

    def __init__(self, look: float, hint: float) -> None:
        self._look = look
        self._hint = hint
        self.restart()

    def restart(self) -> None:
        """Start again, since the run has changed."""
        self._changed = self._looked = time.monotonic()
        self._reported: set[tuple[str, ...]] = set()

    def is_due(self) -> bool:
        """Whether it is time to ask the cluster."""
        return time.monotonic() - self._looked >= self._look

    def news(self, reasons: RunReasons, stages: Sequence[StageState], run: RunInCluster | None) -> tuple[str, ...]:
        """Return what the run waits for, empty if that was reported before."""
        self._looked = time.monotonic()
        if run is not None:
            texts = reasons.waits(run)
            # the kubelet alternates between ErrImagePull and ImagePullBackOff, for example
            is_news = texts not in self._reported
        else:
            seconds = self._looked - self._changed
            is_waiting = seconds >= self._hint and all(stage.state != "running" for stage in stages)
            texts = (reasons.hint(stages, seconds),) if is_waiting else ()
            is_news = not self._reported
        if texts:
            self._reported.add(texts)
        return texts if is_news else ()
