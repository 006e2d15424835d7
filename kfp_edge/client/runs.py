"""A run on the cluster: its stages, metrics and reports."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

from kfp_edge.client import run_control
from kfp_edge.client.kfp_api import KfpApi
from kfp_edge.client.package import parse_api_spec
from kfp_edge.client.results import RunResults
from kfp_edge.errors import KfpApiError, KfpEdgeError, RunTimeoutError
from kfp_edge.reports.stage_report import StageReport
from kfp_edge.spec.compiled_pipeline import CompiledPipeline

if TYPE_CHECKING:
    from kfp_edge.client.run_display import RunDisplay
    from kfp_edge.client.run_snapshot import RunSnapshot

#: Seconds between two requests for a run's state.
POLL_SECONDS = 2.0
#: Seconds for which the server may be unreachable while we wait for a run.
OUTAGE_SECONDS = 300.0

_FINAL_STATES = ("succeeded", "failed", "skipped", "canceled")
#: The state of a stage with several tasks (a loop) is the first of these that one of its tasks has.
_STATE_PRECEDENCE = ("failed", "canceling", "running", "pending", "paused", "canceled", "succeeded", "skipped")
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


class _StoppedError(Exception):
    """Nobody waits for the run any more."""


class Run:
    """One run. Its properties are as of the last request, which `refresh`, `stages` and `wait` repeat.

    A notebook shows it with its stages, metrics and reports, and keeps the output up to date until the run has ended.
    `await run` waits like `wait`, while other tasks of the event loop go on.
    """

    def __init__(self, api: KfpApi, run: V2beta1Run) -> None:
        self._api = api
        self._run = run
        self._display: RunDisplay | None = None

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
    def seconds(self) -> float:
        """The duration so far, or altogether."""
        ended = self.state in _FINAL_STATES and self._run.finished_at
        end: datetime = self._run.finished_at if ended else datetime.now(UTC)
        return max(0.0, (end - self.created_at).total_seconds())

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
            KeyboardInterrupt: Ctrl-C. The run itself continues.
        """
        try:
            result = self._poll(on_progress, timeout, time.sleep)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"the run {self.name} continues; its method `cancel` cancels it") from None
        if self._display is not None:
            self._display.wait_for_last_update()
        return result

    def __await__(self) -> Generator[Any, None, RunResult]:
        return self._wait_in_thread().__await__()

    async def _wait_in_thread(self) -> RunResult:
        """Wait in a thread of its own, until the run has ended or nobody waits any more."""
        stopped = threading.Event()

        def pause(seconds: float) -> None:
            if stopped.wait(seconds):
                raise _StoppedError

        run = self._copy()
        try:
            result = await asyncio.to_thread(run._poll, None, None, pause)
        finally:
            stopped.set()
        self._run = run._run
        if self._display is not None:
            await asyncio.to_thread(self._display.wait_for_last_update)
        return result

    def _copy(self) -> "Run":
        """Return the run for another thread: with a connection of its own."""
        return Run(KfpApi(self._api.endpoint), self._run)

    def _poll(
        self,
        on_progress: Callable[[tuple[StageState, ...]], None] | None,
        timeout: float | None,
        pause: Callable[[float], None],
    ) -> RunResult:
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
            pause(POLL_SECONDS)

    def cancel(self) -> None:
        """Cancel the run: what runs is stopped, and nothing else starts. That takes some seconds.

        Raises:
            ParameterError: it has ended.
            KfpApiError: the server refuses or cannot be reached, or there is no Workflow that it could stop.
        """
        self._run = run_control.cancel(self._api, self.id)

    def retry(self) -> None:
        """Run the stages again that failed, and those after them; the run has the same id.

        Raises:
            ParameterError: it has not failed.
            KfpApiError: the server refuses or cannot be reached.
        """
        self._run = run_control.retry(self._api, self.id)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all stages; a later stage's value replaces an earlier one's of the same name.

        Raises:
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the object store refuses or cannot be reached, or there are no credentials for it.
        """
        return self._results().metrics()

    def report(self, stage: str) -> StageReport:
        """Return the report of a stage, which a notebook renders: HTML, or Markdown where the stage writes that.

        Raises:
            ParameterError: the pipeline has no stage of this name with a report.
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the run has no such report, or the object store refuses or cannot be reached.
        """
        return self._results().report(stage)

    def reports(self) -> dict[str, StageReport]:
        """Return the reports of all stages that have succeeded, by stage.

        Raises:
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the object store refuses or cannot be reached, or there are no credentials for it.
        """
        return self._results().reports()

    def _results(self) -> RunResults:
        if self.state not in _FINAL_STATES:
            self.refresh()
        return RunResults(self._api, self._run, self.pipeline)

    def _ipython_display_(self) -> None:
        """Show the run in a notebook, and follow it there; a terminal gets it as text."""
        from IPython import get_ipython
        from IPython.display import display

        from kfp_edge.client.run_display import RunDisplay, to_bundle

        try:
            snapshot = self._current_snapshot()
        except KfpEdgeError as error:
            print(f"{self!r}: {error}")
            return
        if snapshot.state in _FINAL_STATES or not hasattr(get_ipython(), "kernel"):
            display(to_bundle(snapshot), raw=True)
            return
        if self._display is None:
            self._display = RunDisplay(self._follow, self.cancel)
        self._display.show(snapshot)

    def _repr_html_(self) -> str:
        from kfp_edge.client.run_html import render

        return render(self._current_snapshot())

    def _current_snapshot(self) -> "RunSnapshot":
        """Request the run's state again and return what is shown of it."""
        stages = self.stages()
        if self.state not in _FINAL_STATES:
            return self._snapshot(stages)
        return self._last_snapshot(RunResult(self.state, stages, self._error_message(stages)))

    def _follow(self, update: "Callable[[RunSnapshot], None]") -> "RunSnapshot":
        """Call `update` with the state of the run until it has ended, and return what is shown then."""
        run = self._copy()

        def pause(seconds: float) -> None:
            self._run = run._run
            update(run._snapshot(run._stage_states()))
            time.sleep(seconds)

        result = run._poll(None, None, pause)
        self._run = run._run
        return run._last_snapshot(result)

    def _snapshot(self, stages: tuple[StageState, ...], problem: str = "") -> "RunSnapshot":
        from kfp_edge.client.run_snapshot import RunSnapshot

        return RunSnapshot(
            self.name,
            self.id,
            self.url,
            self.pipeline.name,
            self.state,
            self.created_at,
            self.seconds,
            stages,
            problem=problem,
        )

    def _last_snapshot(self, result: RunResult) -> "RunSnapshot":
        from kfp_edge.client.run_display import with_results

        return with_results(self._snapshot(result.stages, result.error), self._results())

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
