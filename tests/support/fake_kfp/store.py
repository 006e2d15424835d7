"""What the fake backend keeps: the objects of the REST API v2beta1, as a backend of 2.16 shows them."""

import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import yaml

from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.validation import validate_text

Object = dict[str, Any]

NAMESPACE = "ds-project"
_EQUALS = (1, "EQUALS")
_NEVER = "1970-01-01T00:00:00Z"
_TYPES = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool, "LIST": list}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Store:
    """All objects by their ids. Runs move on by a step whenever one is read."""

    pipelines: dict[str, Object] = field(default_factory=dict)
    versions: dict[str, Object] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    experiments: dict[str, Object] = field(default_factory=dict)
    runs: dict[str, Object] = field(default_factory=dict)
    recurring_runs: dict[str, Object] = field(default_factory=dict)
    artifacts: dict[str, Object] = field(default_factory=dict)
    #: Bytes of artifacts: what the stages of every run leave, by (stage, artifact).
    contents: dict[tuple[str, str], bytes] = field(default_factory=dict)
    #: Stages that fail, with the reason that the backend gives (most often none).
    failing: dict[str, str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # --- pipelines

    def create_pipeline(self, body: Object) -> Object:
        name = body.get("name") or body.get("display_name", "")
        if any(pipeline["name"] == name for pipeline in self.pipelines.values()):
            raise Refusal(409, f"Already exist error: The name {name} already exist. Please specify a new name")
        made = {
            "pipeline_id": _id(),
            "name": name,
            "display_name": body.get("display_name", name),
            "created_at": _now(),
        }
        self.pipelines[made["pipeline_id"]] = made
        return made

    def upload(self, name: str, text: str) -> Object:
        """Create a pipeline and its first version, which has the same name."""
        _must_be_taken(text)
        made = self.create_pipeline({"name": name})
        self.upload_version(made["pipeline_id"], name, name, text)
        return made

    def upload_version(self, pipeline_id: str, name: str, display_name: str, text: str) -> Object:
        _found(self.pipelines, pipeline_id, "Pipeline")
        _must_be_taken(text)
        if any(version["name"] == name for version in self.versions_of(pipeline_id)):
            raise Refusal(409, "Failed to create a pipeline version")
        documents = [document for document in yaml.safe_load_all(text) if document]
        spec = dict(zip(("pipeline_spec", "platform_spec"), documents, strict=False))
        made = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": _id(),
            "name": name,
            "display_name": display_name,
            "created_at": _now(),
            "pipeline_spec": spec if len(spec) > 1 else documents[0],
        }
        self.versions[made["pipeline_version_id"]] = made
        self.texts[made["pipeline_version_id"]] = text
        return made

    def versions_of(self, pipeline_id: str) -> list[Object]:
        return [version for version in self.versions.values() if version["pipeline_id"] == pipeline_id]

    def version(self, pipeline_id: str, version_id: str) -> Object:
        found = _found(self.versions, version_id, "PipelineVersion")
        if found["pipeline_id"] != pipeline_id:
            raise Refusal(404, f"ResourceNotFoundError: PipelineVersion {version_id} not found.")
        return found

    # --- experiments

    def create_experiment(self, body: Object) -> Object:
        name = body.get("display_name", "")
        if any(experiment["display_name"] == name for experiment in self.experiments.values()):
            raise Refusal(409, f"Already exist error: The experiment {name} already exists.")
        made = {"experiment_id": _id(), "display_name": name, "created_at": _now()}
        self.experiments[made["experiment_id"]] = made
        return made

    # --- runs

    def create_run(self, body: Object) -> Object:
        version_id = self._version_of(body)
        made = {
            **body,
            "run_id": _id(),
            "created_at": _now(),
            "scheduled_at": _now(),
            "finished_at": _NEVER,
            "state": "PENDING",
            "run_details": {"task_details": []},
        }
        _check_parameters(_compiled(self.texts[version_id]), _parameters(body))
        self.runs[made["run_id"]] = made
        return made

    def read_run(self, run_id: str) -> Object:
        """Return a run as it was, and let a step of time go by in it."""
        run = _found(self.runs, run_id, "Run")
        answer = json.loads(json.dumps(run))
        if run["state"] in ("PENDING", "RUNNING"):
            self._advance(run)
        return answer

    def _advance(self, run: Object) -> None:
        """End the stage that runs and begin the next one."""
        tasks = run["run_details"]["task_details"]
        pipeline = _compiled(self.texts[run["pipeline_version_reference"]["pipeline_version_id"]])
        if run["state"] == "PENDING":
            run["state"] = "RUNNING"
            # beside the stages, Argo's nodes are tasks as well
            tasks += [self._task(run, "root-driver", "SUCCEEDED"), self._task(run, "root", "RUNNING")]
        done = {task["display_name"]: task for task in tasks}
        for stage in pipeline.stages:
            task = done.get(stage.name)
            if task is None:
                tasks.append(self._task(run, f"{stage.name}-driver", "SUCCEEDED"))
                tasks.append(self._task(run, stage.name, "RUNNING"))
                tasks.append(self._task(run, "executor", "RUNNING"))
                return
            if task["state"] == "RUNNING":
                self._end(task, "FAILED" if stage.name in self.failing else "SUCCEEDED")
                if task["state"] == "FAILED":
                    task["error"] = {"code": 13, "message": self.failing[stage.name]}
                    self._finish(run, "FAILED")
                    return
                for name, kind in stage.artifacts.items():
                    self._make_artifact(run, stage.name, name, kind)
        self._finish(run, "SUCCEEDED")

    def _finish(self, run: Object, state: str) -> None:
        run["state"] = state
        run["finished_at"] = _now()
        self._end(next(task for task in run["run_details"]["task_details"] if task["display_name"] == "root"), state)

    def _task(self, run: Object, name: str, state: str) -> Object:
        ended = _now() if state == "SUCCEEDED" else _NEVER
        return {
            "run_id": run["run_id"],
            "task_id": _id(),
            "display_name": name,
            "create_time": _now(),
            "start_time": _now(),
            "end_time": ended,
            "state": state,
            "child_tasks": [],
        }

    @staticmethod
    def _end(task: Object, state: str) -> None:
        task.update(state=state, end_time=_now())

    def _make_artifact(self, run: Object, stage: str, name: str, kind: str) -> None:
        number = str(next(self._numbers))
        version = self.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        path = f"pipelines/{spec['pipelineInfo']['name']}/{run['run_id']}/{stage}/{_id()}/{name}"
        self.artifacts[number] = {
            "artifact_id": number,
            "storage_provider": "s3",
            "storage_path": path,
            "uri": f"s3://bucket/{path}",
            "namespace": NAMESPACE,
            "artifact_type": kind,
            "created_at": _now(),
            "last_updated_at": _now(),
        }

    def content(self, artifact_id: str) -> bytes | None:
        """Return the bytes of an artifact; None where its stage left no file."""
        *_, stage, _, name = self.artifacts[artifact_id]["storage_path"].split("/")
        return self.contents.get((stage, name))

    # --- recurring runs

    def create_recurring_run(self, body: Object) -> Object:
        version_id = self._version_of(body)
        _check_parameters(_compiled(self.texts[version_id]), _parameters(body))
        if not 1 <= int(body.get("max_concurrency", 0)) <= 10:
            raise Refusal(400, "Max concurrency of a recurring run must be at least 1 and at most 10.")
        trigger = body.get("trigger", {})
        cron = trigger.get("cron_schedule", {}).get("cron")
        # the backend takes five fields as well, and then reads the first as the second
        if cron is not None and len(cron.split()) not in (5, 6):
            raise Refusal(400, f"Schedule cron is not a supported format. Error: Expected 5 to 6 fields: {cron}")
        if cron is None and int(trigger.get("periodic_schedule", {}).get("interval_second", 0)) < 1:
            raise Refusal(400, "Found invalid period schedule interval. Set at interval to least 1 second")
        made = {
            **body,
            "recurring_run_id": _id(),
            "created_at": _now(),
            "updated_at": _now(),
            "namespace": NAMESPACE,
            "status": "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED",
        }
        self.recurring_runs[made["recurring_run_id"]] = made
        return made

    def set_mode(self, recurring_run_id: str, mode: str) -> Object:
        found = _found(self.recurring_runs, recurring_run_id, "RecurringRun")
        found.update(mode=mode, status=f"{mode}D", updated_at=_now())
        return {}

    def delete_recurring_run(self, recurring_run_id: str) -> Object:
        _found(self.recurring_runs, recurring_run_id, "RecurringRun")
        del self.recurring_runs[recurring_run_id]
        return {}

    def _version_of(self, body: Object) -> str:
        _found(self.experiments, body.get("experiment_id", ""), "Experiment")
        reference = body.get("pipeline_version_reference") or {}
        if not reference.get("pipeline_version_id"):
            raise Refusal(400, "Invalid input error: a pipeline version is needed")
        version = self.version(reference.get("pipeline_id", ""), reference["pipeline_version_id"])
        return str(version["pipeline_version_id"])


def page(objects: list[Object], query: Mapping[str, str]) -> tuple[list[Object], str]:
    """Filter, sort and cut a list as its query asks; the second is the token of the next page."""
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    for predicate in predicates:
        if predicate["operation"] not in _EQUALS:
            raise Refusal(400, f"the fake knows no operation {predicate['operation']}")
        objects = [each for each in objects if each[predicate["key"]] == predicate["stringValue"]]
    key, _, order = query.get("sort_by", "").partition(" ")
    if key:
        objects = sorted(objects, key=lambda each: each[key])
    if order == "desc":
        objects = objects[::-1]
    size = int(query.get("page_size") or 0) or 20
    begin = int(query.get("page_token") or 0)
    rest = objects[begin + size :]
    return objects[begin : begin + size], str(begin + size) if rest else ""


def _found(objects: Mapping[str, Object], key: str, kind: str) -> Object:
    if key not in objects:
        raise Refusal(404, f"ResourceNotFoundError: {kind} {key} not found.")
    return objects[key]


def _must_be_taken(text: str) -> None:
    report = validate_text(text)
    if not report.ok:
        finding = report.findings[0]
        raise Refusal(400, f"Invalid input error: Invalid IR spec format: {finding.path} {finding.message}")


@lru_cache
def _compiled(text: str) -> CompiledPipeline:
    return CompiledPipeline(text)


def _parameters(body: Object) -> Object:
    found: Object = (body.get("runtime_config") or {}).get("parameters") or {}
    return found


def _check_parameters(pipeline: CompiledPipeline, given: Object) -> None:
    for name, about in pipeline.parameters.items():
        if name not in given and "defaultValue" not in about and not about.get("isOptional"):
            raise Refusal(400, f"parameter {name} is not optional, yet has neither default value nor user value")
        if name in given and not isinstance(given[name], _TYPES.get(about["parameterType"], dict)):
            raise Refusal(400, f"input parameter {name} is not of its type")


def _id() -> str:
    return str(uuid.uuid4())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
