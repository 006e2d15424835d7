"""A run as the API server and the cluster report it, and how it is followed until it has ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Self

from kfp_server_api import V2beta1Run

from kfp_edge.client.runs.dashboard import run_url
from kfp_edge.client.runs.in_cluster import RunInCluster
from kfp_edge.client.runs.reasons import ClusterReader, RunReasons, WaitingWatch
from kfp_edge.client.runs.stage_states import (
    FINAL_STATES,
    StageState,
    failed_driver,
    is_retried,
    normalize_state,
    stage_states,
    terminated_at,
)
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.client.submission.package import parse_api_spec, split_spec
from kfp_edge.errors import KfpApiError, PipelineError, RunTimeoutError
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, Stage
from kfp_edge.storage.files import JsonObject

#: Seconds between two requests for a run's state.
POLL_SECONDS = 2.0
#: Seconds for which the server may be unreachable while we wait for a run.
OUTAGE_SECONDS = 300.0
#: Seconds without a change after which the cluster is asked what the run waits for, and again each time.
LOOK_SECONDS = 15.0
#: Seconds without a change after which a command is named, where the cluster cannot be asked.
HINT_SECONDS = 60.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OnProgress = Callable[[tuple[StageState, ...]], None]
OnWaiting = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        state: succeeded, failed, skipped or canceled; lost if its Workflow was deleted from the cluster.
        stages: The states of its stages.
        error: Why it did not succeed, in one sentence; empty if it did.
    """

    state: str
    stages: tuple[StageState, ...]
    error: str = ""


class ObservedRun:
    """One run. Its properties are as of the last request, which `refresh` and `stages` repeat."""

    def __init__(self, api: KfpApi, run: V2beta1Run) -> None:
        self._api = api
        self._run = run
        self._cluster = ClusterReader(api, self.id)
        self._terminated_at: datetime | None = None
        self._waits: tuple[str, ...] = ()
        self._set_run(run)

    def _set_run(self, run: V2beta1Run) -> None:
        self._run = run
        has_ended = normalize_state(run.state) in FINAL_STATES
        # what the cluster reported about a termination holds until the run is retried
        self._terminated_at = terminated_at(run) or (self._terminated_at if has_ended else None)

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.name!r}, {self.state!r})"

    @property
    def id(self) -> str:
        """The run's id, a UUID."""
        return str(self._run.run_id)

    @property
    def name(self) -> str:
        """The run's name, which need not be unique; its id if it has none."""
        return str(self._run.display_name or self.id)

    @property
    def state(self) -> str:
        """pending, running, succeeded, failed, skipped, canceling, canceled or paused.

        The server reports a run that a person terminated as failed; here it is canceled.
        """
        state = normalize_state(self._run.state)
        return "canceled" if state == "failed" and self._terminated_at is not None else state

    @property
    def is_archived(self) -> bool:
        """Whether the run was archived, so that the dashboard does not list it."""
        return bool(self._run.storage_state == "ARCHIVED")

    @property
    def is_retried(self) -> bool:
        """Whether its failed stages were executed again."""
        return is_retried(self._run)

    @property
    def created_at(self) -> datetime:
        """When the run was submitted, or started by its schedule."""
        created: datetime = self._run.created_at or _EPOCH
        return created

    @property
    def seconds(self) -> float:
        """The duration so far, or altogether."""
        ended = self.state in FINAL_STATES and self._run.finished_at
        end: datetime = self._run.finished_at if ended else datetime.now(UTC)
        return max(0.0, (end - self.created_at).total_seconds())

    @property
    def url(self) -> str:
        """The run's page in the dashboard of OpenShift AI or, where there is none, in that of KFP."""
        endpoint = self._api.endpoint
        return run_url(endpoint.host, endpoint.namespace, self._api.dashboard, self.id)

    @cached_property
    def pipeline(self) -> CompiledPipeline:
        """The pipeline that runs, read from its version.

        Raises:
            PipelineError: it is not a KFP v2 pipeline.
        """
        if self._run.pipeline_spec is not None:
            self._check_is_v2(self._run.pipeline_spec)
            return parse_api_spec(self._run.pipeline_spec)
        reference = self._run.pipeline_version_reference
        version = self._api.call(
            "read the pipeline of the run",
            self._api.pipelines.pipeline_service_get_pipeline_version,
            reference.pipeline_id,
            reference.pipeline_version_id,
        )
        return parse_api_spec(version.pipeline_spec)

    def _check_is_v2(self, api_spec: JsonObject) -> None:
        if "pipelineInfo" not in split_spec(api_spec)[0]:
            raise PipelineError(
                f"the run {self.name} executes a pipeline of KFP v1, whose stages cannot be listed here; "
                f"look at it in the dashboard: {self.url}"
            )

    def refresh(self) -> Self:
        """Request the run's state again."""
        self._set_run(self._api.call("read the run", self._api.runs.run_service_get_run, self.id))
        return self

    def stages(self) -> tuple[StageState, ...]:
        """Request the run's state again and return its stages in topological order."""
        return self.refresh()._stage_states()

    def _stage_states(self) -> tuple[StageState, ...]:
        return stage_states(self._pipeline_stages, self._run, self.state, self._terminated_at)

    @cached_property
    def _pipeline_stages(self) -> list[Stage]:
        try:
            return self.pipeline.stages
        except KfpApiError as error:
            if error.status != 404:
                raise
            return []  # the pipeline was deleted; its runs remain

    @cached_property
    def _reasons(self) -> RunReasons:
        try:
            stages = self._pipeline_stages
        except PipelineError:
            stages = []  # a pipeline of KFP v1
        return RunReasons(self.id, self._api.endpoint.namespace, stages)

    def error(self) -> str:
        """Return why the run did not succeed, in one sentence; empty if it did, or has not ended.

        The server reports no reasons: they are read from the cluster. Where that is not possible, the sentence names a
        command that shows them.
        """
        if self._run.error is not None and self._run.error.message:  # of a run that the server cannot read
            return f"{self._api.endpoint.host} reports of the run {self.name}: {self._run.error.message}"
        return self._result(self._stage_states()).error if self.state in FINAL_STATES else ""

    def waits_for(self) -> tuple[str, ...]:
        """Return what a run that has not ended waits for, one text for each stage; empty where nothing is known.

        A pod that no node can run, an image that cannot be pulled or a missing Secret are such reasons. They are read
        from the cluster, which the server does not report.
        """
        if self.state in FINAL_STATES or (in_cluster := self._cluster.read()) is None:
            return ()
        if self._is_lost(in_cluster):
            return (self._reasons.lost(self.name),)
        return self._reasons.waits(in_cluster)

    def _is_lost(self, in_cluster: RunInCluster) -> bool:
        # the Workflow of a run that has just ended may have been deleted
        return self._cluster.is_lost(in_cluster) and self.refresh().state not in FINAL_STATES

    def _poll(
        self,
        on_progress: OnProgress | None,
        on_waiting: OnWaiting | None,
        timeout: float | None,
        pause: Callable[[float], None],
    ) -> RunResult:
        """Follow the run until it has ended, or its Workflow is gone."""
        start = last_response = time.monotonic()
        reported: tuple[StageState, ...] = ()
        watch = WaitingWatch(LOOK_SECONDS, HINT_SECONDS)
        while True:
            try:
                stages = self.stages()
                last_response = time.monotonic()
                # a termination that only the cluster knows of changes the stages
                result = self._result(stages) if self.state in FINAL_STATES else None
                stages = result.stages if result is not None else stages
                if _words(stages) != _words(reported):
                    watch.restart()
                    reported, self._waits = stages, ()
                    if on_progress is not None:
                        on_progress(stages)
                if result is not None:
                    return result
                if watch.is_due() and (lost := self._look(watch, stages, on_waiting)):
                    return RunResult("lost", stages, lost)
            except KfpApiError as error:
                if not error.retryable or time.monotonic() - last_response > OUTAGE_SECONDS:
                    raise
            if timeout is not None and time.monotonic() - start >= timeout:
                waits = f" ({'; '.join(self._waits)})" if self._waits else ""
                raise RunTimeoutError(
                    f"the run {self.name} has not ended within {timeout:g} s and continues{waits}; "
                    f"look at it later with `{self._api.endpoint.repeat_command(f'runs {self.id}')}`."
                )
            pause(POLL_SECONDS)

    def _look(self, watch: WaitingWatch, stages: tuple[StageState, ...], on_waiting: OnWaiting | None) -> str:
        """Report what the run waits for, if that has changed; return why it will never end, empty if it may."""
        in_cluster = self._cluster.read()
        if in_cluster is not None and self._is_lost(in_cluster):
            return self._reasons.lost(self.name)
        if texts := watch.news(self._reasons, stages, in_cluster):
            self._waits = texts
            if on_waiting is not None:
                on_waiting(texts)
        return ""

    def _result(self, stages: tuple[StageState, ...]) -> RunResult:
        self._waits = ()
        if self.state == "succeeded":
            return RunResult(self.state, stages)
        in_cluster = self._cluster.read()
        if self.state == "failed" and in_cluster is not None and in_cluster.was_terminated:
            self._terminated_at = self.created_at
            stages = self._stage_states()
        if self.state == "canceled":
            return RunResult(self.state, stages, f"the run {self.name} was canceled before it had ended.")
        error = self._reasons.failure(stages, failed_driver(self._run), in_cluster)
        return RunResult(self.state, stages, error)


def _words(stages: tuple[StageState, ...]) -> list[tuple[str, str]]:
    return [(stage.state, stage.note) for stage in stages]
