"""What the stages of a run report: metrics and reports."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

from kfp_server_api import V2beta1Run

from kfp_edge.client.runs.argo_nodes import TaskIndex
from kfp_edge.client.runs.artifacts import ArtifactReader, TaskTime, open_reader
from kfp_edge.client.runs.stage_states import display_names
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import ParameterError, StorageError
from kfp_edge.reports.stage_report import StageReport
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, Stage

_REPORT_TYPES = ("system.HTML", "system.Markdown")
_METRICS_TYPE = "system.Metrics"
#: A time that was never set is not after this one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RunResults:
    """The metrics and reports of a run as it was when the server was asked; a stage has them once it has succeeded."""

    def __init__(self, api: KfpApi, run: V2beta1Run, pipeline: CompiledPipeline) -> None:
        self._api = api
        self._run = run
        self._pipeline = pipeline
        self._reader: ArtifactReader | None = None

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all stages; a later stage's value replaces an earlier one's of the same name.

        Raises:
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the object store refuses or cannot be reached, or there are no credentials for it.
        """
        metrics: dict[str, float] = {}
        for stage in self._pipeline.stages:
            for name in _outputs(stage, [_METRICS_TYPE]):
                metrics |= _parse_metrics(self._read(stage, name))
        return metrics

    def reports(self) -> dict[str, StageReport]:
        """Return the reports that there are, by stage.

        Raises:
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the object store refuses or cannot be reached, or there are no credentials for it.
        """
        reports = {stage: self._read_report(outputs) for stage, outputs in self._outputs_by_stage.items()}
        return {stage: report for stage, report in reports.items() if report is not None}

    def report(self, stage: str) -> StageReport:
        """Return the report of a stage: HTML, or Markdown where the stage writes that.

        Raises:
            ParameterError: the pipeline has no stage of this name with a report.
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the run has no such report, or the object store refuses or cannot be reached.
        """
        reporting = self._outputs_by_stage
        if stage not in reporting:
            raise ParameterError(
                f"the pipeline has no stage {stage!r} with a report; those are: {', '.join(reporting)}."
            )
        report = self._read_report(reporting[stage])
        if report is None:
            raise StorageError(
                f"the run {self._run.display_name} has no report of {stage}: the stage did not succeed, "
                "or its result came from the cache, and then the report is with the earlier run."
            )
        return report

    @cached_property
    def _outputs_by_stage(self) -> dict[str, list[tuple[Stage, str]]]:
        """The reports by the names of their stages, each with the task and the name of its output."""
        reports: dict[str, list[tuple[Stage, str]]] = {}
        tasks = self._pipeline.stages
        for display_name, task in zip(display_names(tasks), tasks, strict=True):
            for name in _outputs(task, _REPORT_TYPES):
                producer = task.producer_of(name)  # another one where stages share a pod
                reports.setdefault(display_name if producer == task.name else producer, []).append((task, name))
        return reports

    def _read_report(self, outputs: Sequence[tuple[Stage, str]]) -> StageReport | None:
        for task, name in outputs:
            if (data := self._read(task, name)) is not None:
                return StageReport(data.decode("utf-8", "replace"))
        return None

    def _read(self, stage: Stage, name: str) -> bytes | None:
        tasks = self._task_times(stage)
        if not tasks:
            return None
        if self._reader is None:
            self._reader = open_reader(self._api, self._run.run_id, self._pipeline.name, self._pipeline_roots())
        return self._reader.read(stage.name, name, tasks)

    @cached_property
    def _index(self) -> TaskIndex:
        details = self._run.run_details
        return TaskIndex((details.task_details or ()) if details is not None else ())

    def _task_times(self, stage: Stage) -> list[TaskTime]:
        """Return when the tasks of a stage ran that have succeeded: the others have stored nothing but their logs."""
        if self._index.has_node_ids:
            tasks = [task for node in self._index.instances(stage.path) if (task := self._index.task(node))]
        else:
            tasks = self._index.named(stage.name)
        return [
            TaskTime(task.start_time, task.end_time)
            for task in tasks
            if task.state == "SUCCEEDED" and task.end_time and task.end_time > _EPOCH
        ]

    def _pipeline_roots(self) -> list[str]:
        configuration = self._run.runtime_config
        of_run = configuration.pipeline_root if configuration is not None else None
        return [root for root in (of_run, self._pipeline.root) if root][:1]


def _outputs(stage: Stage, types: Sequence[str]) -> list[str]:
    return [name for name, artifact_type in stage.artifacts.items() if artifact_type in types]


def _parse_metrics(data: bytes | None) -> dict[str, float]:
    """Return the numbers in a metrics file; a stage that is not ours may have written none."""
    try:
        metrics = json.loads(data or b"{}")
    except ValueError:
        return {}
    if not isinstance(metrics, dict):
        return {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}
