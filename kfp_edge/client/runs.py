"""A run on the cluster: how it goes, stage by stage, and what it leaves behind.

A backend of 2.16 does not say which artifacts a task made (`outputs` of its task details stays empty). But every
artifact lies at `.../<run id>/<stage>/<salt>/<name>` in the object store, and Data Science Pipelines lists artifacts
and signs download addresses at `/apis/v2beta1/artifacts`. Metrics as such are not part of that answer: our stages
write theirs as JSON into the artifact's file.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from kfp_edge.client.kfp_api import KfpApi
from kfp_edge.client.package import compiled
from kfp_edge.errors import KfpApiError, KfpEdgeError
from kfp_edge.spec.compiled_pipeline import CompiledPipeline

#: Seconds between two looks at a run, and how long a server may be away while we wait.
POLL_SECONDS = 2.0
PATIENCE_SECONDS = 300.0

_ENDED = ("succeeded", "failed", "skipped", "canceled")
#: Where a stage runs more than once (a loop), the first of these states that one of its tasks has is the stage's.
_WEIGHT = ("failed", "canceling", "running", "pending", "paused", "canceled", "succeeded", "skipped")
_REPORTS = ("system.HTML", "system.Markdown")
_METRICS = "system.Metrics"
#: What marks the pods of a run.
_RUN_LABEL = "pipeline/runid"
#: Times that were never set are at or before this one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StageState:
    """A stage of a run: pending, running, succeeded, failed, skipped or canceled; `seconds` on the wall so far."""

    name: str
    state: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended: succeeded, failed, skipped or canceled; `error` is why, in a sentence, empty if it succeeded."""

    state: str
    stages: tuple[StageState, ...]
    error: str = ""


@dataclass(frozen=True)
class _Artifact:
    id: str
    stage: str
    kind: str


class Run:
    """One run; what it says of itself is as of the last look, which `refresh`, `stages` and `wait` take."""

    def __init__(self, session: KfpApi, found: Any) -> None:
        self._session = session
        self._found = found

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.name!r}, {self.state!r})"

    @property
    def id(self) -> str:
        """The run's id, a UUID."""
        return str(self._found.run_id)

    @property
    def name(self) -> str:
        """The run's name, which need not be unique."""
        return str(self._found.display_name)

    @property
    def state(self) -> str:
        """pending, running, succeeded, failed, skipped, canceling, canceled or paused."""
        return _state(self._found.state)

    @property
    def created_at(self) -> datetime:
        """When the run was submitted, or started by its schedule."""
        created: datetime = self._found.created_at
        return created

    @property
    def url(self) -> str:
        """The run's page in the user interface of KFP, below the API server's host."""
        return f"{self._session.endpoint.host}/#/runs/details/{self.id}"

    @cached_property
    def pipeline(self) -> CompiledPipeline:
        """The pipeline that runs, read from its version."""
        if self._found.pipeline_spec is not None:
            return compiled(self._found.pipeline_spec)
        version = self._found.pipeline_version_reference
        service = self._session.pipelines
        found = self._session.call(
            "read the pipeline of the run",
            service.pipeline_service_get_pipeline_version,
            version.pipeline_id,
            version.pipeline_version_id,
        )
        return compiled(found.pipeline_spec)

    def refresh(self) -> "Run":
        """Look at the run again."""
        self._found = self._session.call("read the run", self._session.runs.run_service_get_run, self.id)
        return self

    def stages(self) -> tuple[StageState, ...]:
        """Look at the run again and return its stages, each after those it waits for."""
        return self.refresh()._stages()

    def _stages(self) -> tuple[StageState, ...]:
        details = self._found.run_details
        tasks = details.task_details or [] if details is not None else []
        missing = "skipped" if self.state in _ENDED else "pending"
        return tuple(
            _stage(stage.name, [task for task in tasks if task.display_name == stage.name], missing)
            for stage in self.pipeline.stages
        )

    def wait(
        self, show: Callable[[tuple[StageState, ...]], None] | None = None, timeout: float | None = None
    ) -> Outcome:
        """Wait until the run has ended.

        Args:
            show: Called with the stages whenever one of them has begun, ended or otherwise changed its state.
            timeout: Seconds to wait at most.

        Raises:
            KfpEdgeError: it has not ended in time, or the server refuses or stays away. The run itself goes on.
        """
        start = answered = time.monotonic()
        shown: list[str] = []
        while True:
            try:
                stages = self.stages()
                answered = time.monotonic()
            except KfpApiError as error:
                if not error.retryable or time.monotonic() - answered > PATIENCE_SECONDS:
                    raise
            else:
                states = [stage.state for stage in stages]
                if show is not None and states != shown:
                    show(stages)
                    shown = states
                if self.state in _ENDED:
                    return Outcome(self.state, stages, self._error(stages))
            if timeout is not None and time.monotonic() - start >= timeout:
                raise KfpEdgeError(
                    f"the run {self.name} has not ended within {timeout:g} s and goes on; "
                    f"look at it later with `kfp-edge runs {self.id}`."
                )
            time.sleep(POLL_SECONDS)

    def metrics(self) -> dict[str, float]:
        """Return the numbers that the stages measured; a later stage's stand above an earlier one's of the same name.

        Raises:
            KfpApiError: the server or the object store refuses or cannot be reached.
        """
        found = {artifact.stage: artifact for artifact in self._artifacts() if artifact.kind == _METRICS}
        numbers: dict[str, float] = {}
        for stage in self.pipeline.stages:
            if stage.name in found:
                numbers |= _numbers(self._download(found[stage.name]))
        return numbers

    def report(self, stage: str) -> str:
        """Return the report of a stage: HTML, or Markdown where the stage writes that.

        Raises:
            KfpEdgeError: the run has no report of such a stage, or the object store refuses.
        """
        for artifact in self._artifacts():
            if artifact.stage == stage and artifact.kind in _REPORTS and (data := self._download(artifact)) is not None:
                return data.decode("utf-8", "replace")
        able = [each.name for each in self.pipeline.stages if set(each.artifacts.values()) & set(_REPORTS)]
        if stage not in able:
            raise KfpEdgeError(f"the pipeline has no stage {stage!r} with a report; those are: {', '.join(able)}.")
        raise KfpEdgeError(
            f"the run {self.name} holds no report of {stage}: the stage did not succeed, "
            "or was answered from the cache, and then its report is with the earlier run."
        )

    def _artifacts(self) -> Iterator[_Artifact]:
        """Yield the run's artifacts, the newest first."""
        namespace = self._session.endpoint.namespace
        if not namespace:
            raise KfpEdgeError("artifacts are listed by namespace; give the namespace of the API server.")
        query = {"namespace": namespace, "max_result_size": "100", "order_by_field": "CREATE_TIME", "order_by": "desc"}
        while True:
            page = self._session.get("list the run's artifacts", "/apis/v2beta1/artifacts", **query)
            for artifact in page.get("artifacts", ()):
                if _time(artifact["created_at"]) < self.created_at:
                    return  # all others are older than the run
                _, found, rest = artifact["uri"].partition(f"/{self.id}/")
                if found:
                    yield _Artifact(artifact["artifact_id"], rest.split("/")[0], artifact["artifact_type"])
            if not page.get("next_page_token"):
                return
            query["next_page_token"] = page["next_page_token"]

    def _download(self, artifact: _Artifact) -> bytes | None:
        what = f"read an artifact of {artifact.stage}"
        found = self._session.get(what, f"/apis/v2beta1/artifacts/{artifact.id}", view="DOWNLOAD")
        return self._session.download(what, found["download_url"])

    def _error(self, stages: tuple[StageState, ...]) -> str:
        if self.state == "succeeded":
            return ""
        failed = [stage.name for stage in stages if stage.state == "failed"]
        details = self._found.run_details
        told = [self._found.error, *(task.error for task in (details.task_details or [] if details else []))]
        said = [" ".join(error.message.split()).rstrip(".") for error in told if error is not None and error.message]
        reason = f": {said[0]}" if said else ""
        who = f"the stage {failed[0]} failed" if failed else f"the run ended as {self.state}"
        return f"{who}{reason}; `oc logs -c main -l {_RUN_LABEL}={self.id}` shows its log, and so does the dashboard."


def _state(state: str | None) -> str:
    return "pending" if state in (None, "RUNTIME_STATE_UNSPECIFIED") else str(state).lower()


def _stage(name: str, tasks: list[Any], missing: str) -> StageState:
    """Put the tasks of a stage together: more than one where it stands in a loop."""
    if not tasks:
        return StageState(name, missing)
    state = min((_state(task.state) for task in tasks), key=_WEIGHT.index)
    begun = [task.start_time for task in tasks if task.start_time and task.start_time > _EPOCH]
    ended = [task.end_time for task in tasks if task.end_time and task.end_time > _EPOCH]
    now = datetime.now(UTC)
    end = max(ended, default=now) if state in _ENDED else now
    return StageState(name, state, max(0.0, (end - min(begun, default=end)).total_seconds()))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _numbers(data: bytes | None) -> dict[str, float]:
    """Read the numbers of a metrics file; a stage that is not ours may have left none there."""
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
