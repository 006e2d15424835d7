"""A run on the cluster: its stages, metrics and reports."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from kfp_server_api import V2beta1Run

from kfp_edge.client.runs import control
from kfp_edge.client.runs.observed_run import ObservedRun, OnProgress, OnWaiting, RunResult
from kfp_edge.client.runs.results import RunResults
from kfp_edge.client.runs.stage_states import FINAL_STATES, StageState
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import KfpEdgeError
from kfp_edge.reports.stage_report import StageReport

if TYPE_CHECKING:
    from kfp_edge.client.runs.notebook_output import RunDisplay
    from kfp_edge.client.runs.snapshot import RunSnapshot


class _StoppedError(Exception):
    """Nobody waits for the run any more."""


class Run(ObservedRun):
    """One run. Its properties are as of the last request, which `refresh`, `stages` and `wait` repeat.

    A notebook shows it with its stages, metrics and reports, and keeps the output up to date until the run has ended.
    `await run` waits like `wait`, while other tasks of the event loop go on.
    """

    def __init__(self, api: KfpApi, run: V2beta1Run) -> None:
        super().__init__(api, run)
        self._display: RunDisplay | None = None

    def wait(
        self,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        on_waiting: OnWaiting | None = None,
    ) -> RunResult:
        """Wait until the run has ended, or its Workflow is gone.

        Args:
            on_progress: Called with the stages whenever the state of one of them has changed.
            timeout: Seconds to wait at most.
            on_waiting: Called with what the run waits for (`waits_for`) when nothing has changed for some seconds, and
                whenever that has changed.

        Raises:
            RunTimeoutError: it has not ended in time. The run itself continues.
            KfpApiError: the server refuses or stays unreachable. The run itself continues.
            KeyboardInterrupt: Ctrl-C. The run itself continues.
        """
        try:
            result = self._poll(on_progress, on_waiting, timeout, time.sleep)
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
            result = await asyncio.to_thread(run._poll, None, None, None, pause)
        finally:
            stopped.set()
        self._adopt(run)
        if self._display is not None:
            await asyncio.to_thread(self._display.wait_for_last_update)
        return result

    def _copy(self) -> "Run":
        """Return the run for another thread: with a connection of its own."""
        return Run(KfpApi(self._api.endpoint), self._run)

    def _adopt(self, run: "Run") -> None:
        """Take over what another object has read about this run."""
        self._run, self._terminated_at, self._waits = run._run, run._terminated_at, run._waits

    def cancel(self) -> None:
        """Cancel the run: what runs is stopped, and nothing else starts. That takes some seconds.

        Raises:
            ParameterError: it has ended.
            KfpApiError: the server refuses or cannot be reached, or there is no Workflow that it could stop.
        """
        self._set_run(control.cancel(self._api, self.id))

    def retry(self) -> None:
        """Run the stages again that failed, and those after them; the run has the same id.

        Raises:
            ParameterError: it has not failed.
            KfpApiError: the server refuses or cannot be reached.
        """
        self._set_run(control.retry(self._api, self.id))

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
        if self.state not in FINAL_STATES:
            self.refresh()
        return RunResults(self._api, self._run, self.pipeline)

    def _ipython_display_(self) -> None:
        """Show the run in a notebook, and follow it there; a terminal gets it as text."""
        from IPython import get_ipython
        from IPython.display import display

        from kfp_edge.client.runs.notebook_output import RunDisplay, to_bundle

        try:
            snapshot = self._current_snapshot()
        except KfpEdgeError as error:
            print(f"{self!r}: {error}")
            return
        if snapshot.state in FINAL_STATES or not hasattr(get_ipython(), "kernel"):
            display(to_bundle(snapshot), raw=True)
            return
        if self._display is None:
            self._display = RunDisplay(self._follow, self.cancel)
        self._display.show(snapshot)

    def _repr_html_(self) -> str:
        from kfp_edge.client.runs.html import render

        return render(self._current_snapshot())

    def _current_snapshot(self) -> "RunSnapshot":
        """Request the run's state again and return what is shown of it."""
        stages = self.stages()
        if self.state not in FINAL_STATES:
            return self._snapshot(stages)
        return self._last_snapshot(self._result(stages))

    def _follow(self, update: "Callable[[RunSnapshot], None]") -> "RunSnapshot":
        """Call `update` with the state of the run until it has ended, and return what is shown then."""
        run = self._copy()

        def pause(seconds: float) -> None:
            self._adopt(run)
            update(run._snapshot(run._stage_states()))
            time.sleep(seconds)

        result = run._poll(None, None, None, pause)
        self._adopt(run)
        return run._last_snapshot(result)

    def _snapshot(self, stages: tuple[StageState, ...], state: str = "", problem: str = "") -> "RunSnapshot":
        from kfp_edge.client.runs.snapshot import RunSnapshot

        return RunSnapshot(
            self.name,
            self.id,
            self.url,
            self.pipeline.name,
            state or self.state,
            self.created_at,
            self.seconds,
            stages,
            waits=self._waits,
            problem=problem,
        )

    def _last_snapshot(self, result: RunResult) -> "RunSnapshot":
        from kfp_edge.client.runs.notebook_output import with_results

        return with_results(self._snapshot(result.stages, result.state, result.error), self._results())
