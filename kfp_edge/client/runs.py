"""A run on the cluster: its stages, metrics and reports.

A 2.16 backend does not report which artifacts a task produced (`outputs` of its task details stays empty). But every
artifact is stored at `.../<run id>/<stage>/<salt>/<name>` in the object store, and Data Science Pipelines lists
artifacts and signs download URLs at `/apis/v2beta1/artifacts`. That response does not contain metrics: our stages write
theirs as JSON into the artifact's file.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

from kfp_edge.client.kfp_api import KfpApi
from kfp_edge.client.package import parse_api_spec
from kfp_edge.errors import KfpApiError, ParameterError, RunTimeoutError, StorageError
from kfp_edge.spec.compiled_pipeline import CompiledPipeline

#: Seconds between two requests for a run's state.
POLL_SECONDS = 2.0
#: Seconds for which the server may be unreachable while we wait for a run.
OUTAGE_SECONDS = 300.0

_FINAL_STATES = ("succeeded", "failed", "skipped", "canceled")
#: The state of a stage with several tasks (a loop) is the first of these that one of its tasks has.
_STATE_PRECEDENCE = ("failed", "canceling", "running", "pending", "paused", "canceled", "succeeded", "skipped")
_REPORT_TYPES = ("system.HTML", "system.Markdown")
_METRICS_TYPE = "system.Metrics"
#: The label of a run's pods.
_RUN_LABEL = "pipeline/runid"
#: A time that was never set is not after this one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StageState:
    """A stage that is pending, running, succeeded, failed, skipped or canceled; `seconds` is its duration so far."""

    name: str
    state: str
    seconds: float = 0.0


@dataclass(frozen=True)
class RunResult:
    """The final state of a run: succeeded, failed, skipped or canceled; `error` is empty if it succeeded."""

    state: str
    stages: tuple[StageState, ...]
    error: str = ""


@dataclass(frozen=True)
class _Artifact:
    id: str
    stage: str
    type: str


class Run:
    """One run. Its properties are as of the last request, which `refresh`, `stages` and `wait` repeat."""

    def __init__(self, api: KfpApi, run: V2beta1Run) -> None:
        self._api = api
        self._run = run

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.name!r}, {self.state!r})"

    @property
    def id(self) -> str:
        """The run's id, a UUID."""
        return str(self._run.run_id)

    @property
    def name(self) -> str:
        """The run's name, which need not be unique."""
        return str(self._run.display_name)

    @property
    def state(self) -> str:
        """pending, running, succeeded, failed, skipped, canceling, canceled or paused."""
        return _normalize_state(self._run.state)

    @property
    def created_at(self) -> datetime:
        """When the run was submitted, or started by its schedule."""
        created: datetime = self._run.created_at
        return created

    @property
    def url(self) -> str:
        """The run's page in the KFP dashboard, below the API server's host."""
        return f"{self._api.endpoint.host}/#/runs/details/{self.id}"

    @cached_property
    def pipeline(self) -> CompiledPipeline:
        """The pipeline that runs, read from its version."""
        if self._run.pipeline_spec is not None:
            return parse_api_spec(self._run.pipeline_spec)
        reference = self._run.pipeline_version_reference
        version = self._api.call(
            "read the pipeline of the run",
            self._api.pipelines.pipeline_service_get_pipeline_version,
            reference.pipeline_id,
            reference.pipeline_version_id,
        )
        return parse_api_spec(version.pipeline_spec)

    def refresh(self) -> "Run":
        """Request the run's state again."""
        self._run = self._api.call("read the run", self._api.runs.run_service_get_run, self.id)
        return self

    def stages(self) -> tuple[StageState, ...]:
        """Request the run's state again and return its stages in topological order."""
        return self.refresh()._stage_states()

    def _tasks(self) -> list[V2beta1PipelineTaskDetail]:
        details = self._run.run_details
        return details.task_details or [] if details is not None else []

    def _stage_states(self) -> tuple[StageState, ...]:
        tasks = self._tasks()
        state_without_task = "skipped" if self.state in _FINAL_STATES else "pending"
        return tuple(
            _stage_state(stage.name, [task for task in tasks if task.display_name == stage.name], state_without_task)
            for stage in self.pipeline.stages
        )

    def wait(
        self, on_progress: Callable[[tuple[StageState, ...]], None] | None = None, timeout: float | None = None
    ) -> RunResult:
        """Wait until the run has ended.

        Args:
            on_progress: Called with the stages whenever the state of one of them has changed.
            timeout: Seconds to wait at most.

        Raises:
            RunTimeoutError: it has not ended in time. The run itself continues.
            KfpApiError: the server refuses or stays unreachable. The run itself continues.
        """
        start = last_response = time.monotonic()
        reported: list[str] = []
        while True:
            try:
                stages = self.stages()
                last_response = time.monotonic()
            except KfpApiError as error:
                if not error.retryable or time.monotonic() - last_response > OUTAGE_SECONDS:
                    raise
            else:
                states = [stage.state for stage in stages]
                if on_progress is not None and states != reported:
                    on_progress(stages)
                    reported = states
                if self.state in _FINAL_STATES:
                    return RunResult(self.state, stages, self._error_message(stages))
            if timeout is not None and time.monotonic() - start >= timeout:
                raise RunTimeoutError(
                    f"the run {self.name} has not ended within {timeout:g} s and continues; "
                    f"look at it later with `kfp-edge runs {self.id}`."
                )
            time.sleep(POLL_SECONDS)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all stages; a later stage's value replaces an earlier one's of the same name.

        Raises:
            KfpApiError: the server or the object store refuses or cannot be reached.
        """
        artifacts = {artifact.stage: artifact for artifact in self._artifacts() if artifact.type == _METRICS_TYPE}
        metrics: dict[str, float] = {}
        for stage in self.pipeline.stages:
            if stage.name in artifacts:
                metrics |= _parse_metrics(self._download(artifacts[stage.name]))
        return metrics

    def report(self, stage: str) -> str:
        """Return the report of a stage: HTML, or Markdown where the stage writes that.

        Raises:
            ParameterError: the pipeline has no stage of this name with a report.
            StorageError: the run has no such report.
            KfpApiError: the server or the object store refuses or cannot be reached.
        """
        for artifact in self._artifacts():
            is_report = artifact.stage == stage and artifact.type in _REPORT_TYPES
            if is_report and (data := self._download(artifact)) is not None:
                return data.decode("utf-8", "replace")
        reporting = [each.name for each in self.pipeline.stages if set(each.artifacts.values()) & set(_REPORT_TYPES)]
        if stage not in reporting:
            raise ParameterError(
                f"the pipeline has no stage {stage!r} with a report; those are: {', '.join(reporting)}."
            )
        raise StorageError(
            f"the run {self.name} has no report of {stage}: the stage did not succeed, "
            "or its result came from the cache, and then the report is with the earlier run."
        )

    def _artifacts(self) -> Iterator[_Artifact]:
        """Yield the run's artifacts, the newest first."""
        namespace = self._api.endpoint.namespace
        if not namespace:
            raise ParameterError("artifacts are listed by namespace; give the namespace of the API server.")
        query = {"namespace": namespace, "max_result_size": "100", "order_by_field": "CREATE_TIME", "order_by": "desc"}
        while True:
            page = self._api.get("list the run's artifacts", "/apis/v2beta1/artifacts", **query)
            for artifact in page.get("artifacts", ()):
                if datetime.fromisoformat(artifact["created_at"]) < self.created_at:
                    return  # all others are older than the run
                _, separator, path = artifact["uri"].partition(f"/{self.id}/")
                if separator:
                    yield _Artifact(artifact["artifact_id"], path.split("/")[0], artifact["artifact_type"])
            if not page.get("next_page_token"):
                return
            query["next_page_token"] = page["next_page_token"]

    def _download(self, artifact: _Artifact) -> bytes | None:
        action = f"read an artifact of {artifact.stage}"
        response = self._api.get(action, f"/apis/v2beta1/artifacts/{artifact.id}", view="DOWNLOAD")
        return self._api.download(action, response["download_url"])

    def _error_message(self, stages: tuple[StageState, ...]) -> str:
        """Return why the run did not succeed, in one sentence; empty if it did."""
        if self.state == "succeeded":
            return ""
        failed = [stage.name for stage in stages if stage.state == "failed"]
        errors = [self._run.error, *(task.error for task in self._tasks())]
        reasons = [" ".join(error.message.split()).rstrip(".") for error in errors if error and error.message]
        reason = f": {reasons[0]}" if reasons else ""
        failure = f"the stage {failed[0]} failed" if failed else f"the run ended as {self.state}"
        command = f"oc logs -c main -l {_RUN_LABEL}={self.id}"
        return f"{failure}{reason}; `{command}` shows its log, and so does the dashboard."


def _normalize_state(state: str | None) -> str:
    return "pending" if state in (None, "RUNTIME_STATE_UNSPECIFIED") else str(state).lower()


def _stage_state(name: str, tasks: list[V2beta1PipelineTaskDetail], state_without_task: str) -> StageState:
    """Combine the tasks of a stage; there is more than one if it is in a loop."""
    if not tasks:
        return StageState(name, state_without_task)
    state = min((_normalize_state(task.state) for task in tasks), key=_STATE_PRECEDENCE.index)
    start_times = [task.start_time for task in tasks if task.start_time and task.start_time > _EPOCH]
    end_times = [task.end_time for task in tasks if task.end_time and task.end_time > _EPOCH]
    now = datetime.now(UTC)
    end = max(end_times, default=now) if state in _FINAL_STATES else now
    return StageState(name, state, max(0.0, (end - min(start_times, default=end)).total_seconds()))


def _parse_metrics(data: bytes | None) -> dict[str, float]:
    """Return the numbers in a metrics file; a stage that is not ours may have written none."""
    try:
        metrics = json.loads(data or b"{}")
    except ValueError:
        return {}
    if not isinstance(metrics, dict):
        return {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}
