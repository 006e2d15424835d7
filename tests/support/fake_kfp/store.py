"""The objects of the fake backend, as the REST API v2beta1 of a 2.16 backend returns them."""

import itertools
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.pipeline_file import read_pipeline_file
from support.fake_kfp import cluster_objects
from support.fake_kfp.refusals import OPENSHIFT_AI, RefusedError, refuse_beyond_database
from support.fake_kfp.uploads import MOST_BYTES_OF_VERSION, read_upload
from support.fake_kfp.workflow import Behaviour, FakeWorkflow, Node
from support.fake_kubernetes import FakeKubernetes

JsonObject = dict[str, Any]

__all__ = ["RefusedError", "Store"]

NAMESPACE = "ds-project"
UNFINISHED = ("PENDING", "RUNNING", "CANCELING")
NEVER = "1970-01-01T00:00:00Z"
_NOT_ENDED = "0001-01-01T00:00:00Z"
_MOST_BYTES_OF_EXPERIMENT = 128
_MOST_CHARACTERS = 255
_TYPES = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool, "LIST": list}


@dataclass
class Store:
    """All objects by id. A run advances by one step whenever it is read."""

    pipelines: dict[str, JsonObject] = field(default_factory=dict)
    versions: dict[str, JsonObject] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    experiments: dict[str, JsonObject] = field(default_factory=dict)
    runs: dict[str, JsonObject] = field(default_factory=dict)
    recurring_runs: dict[str, JsonObject] = field(default_factory=dict)
    artifacts: dict[str, JsonObject] = field(default_factory=dict)
    #: Artifacts that the server cannot describe, since it does not find their objects.
    undescribed: set[str] = field(default_factory=set)
    #: The contents of the artifacts that the stages of every run produce, by (stage, artifact).
    contents: dict[tuple[str, str], bytes] = field(default_factory=dict)
    #: What happens to the stages of all runs.
    behaviour: Behaviour = field(default_factory=Behaviour)
    #: The cluster that has the Workflows and pods of the runs; None if there is none.
    cluster: FakeKubernetes | None = None
    workflows: dict[str, FakeWorkflow] = field(default_factory=dict)
    #: Runs without their Workflow: they stay in their state for ever.
    runs_without_workflow: set[str] = field(default_factory=set)
    #: Whether a deletion can spare the Workflows of a recurring run, as from 2.16 on.
    has_propagation_policy: bool = True
    #: Whether this is the server of Data Science Pipelines; KFP's own has no API for artifacts.
    has_artifact_api: bool = True
    #: Which server it is: how it refuses a pipeline.
    backend: str = OPENSHIFT_AI
    _tasks: dict[str, dict[str, JsonObject]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # --- pipelines

    def create_pipeline(self, body: JsonObject) -> JsonObject:
        name = body.get("name") or body.get("display_name", "")
        if any(pipeline["name"] == name for pipeline in self.pipelines.values()):
            raise RefusedError(
                409,
                "Failed to create a pipeline due to server error: Failed to create a pipeline in PipelineStore: "
                f"Already exist error: Failed to create a new pipeline. The name {name} already exist. "
                "Please specify a new name",
            )
        created = {
            "pipeline_id": _id(),
            "name": name,
            "display_name": body.get("display_name", name),
            "created_at": _now(),
        }
        self.pipelines[created["pipeline_id"]] = created
        return created

    def upload(self, name: str, text: str) -> JsonObject:
        """Create a pipeline and its first version, which has the same name."""
        documents = read_upload(text, self.backend, "a pipeline and a pipeline version")
        try:
            created = self.create_pipeline({"name": name})
        except RefusedError as error:
            raise RefusedError(error.status, "Failed to create a pipeline and a pipeline version") from error
        self._create_version(created["pipeline_id"], name, name, documents)
        return created

    def upload_version(self, pipeline_id: str, name: str, display_name: str, text: str) -> JsonObject:
        if len(name.encode()) > MOST_BYTES_OF_VERSION:
            message = f"Invalid input error: PipelineVersion.Name length cannot exceed {MOST_BYTES_OF_VERSION}"
            raise RefusedError(400, message, is_plain=True)
        if pipeline_id not in self.pipelines:
            raise RefusedError(400, "Failed to create a pipeline version")
        documents = read_upload(text, self.backend, "a pipeline version")
        if any(version["name"] == name for version in self.versions_of(pipeline_id)):
            raise RefusedError(409, "Failed to create a pipeline version")
        return self._create_version(pipeline_id, name, display_name, documents)

    def _create_version(
        self, pipeline_id: str, name: str, display_name: str, documents: list[JsonObject]
    ) -> JsonObject:
        if any(ord(character) > 0xFFFF for character in json.dumps(documents, ensure_ascii=False)):
            raise RefusedError(500, "Failed to create a pipeline version")  # the database's reason is in the log only
        spec = dict(zip(("pipeline_spec", "platform_spec"), documents, strict=False))
        created = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": _id(),
            "name": name,
            "display_name": display_name,
            "created_at": _now(),
            "pipeline_spec": spec if len(spec) > 1 else documents[0],
        }
        self.versions[created["pipeline_version_id"]] = created
        self.texts[created["pipeline_version_id"]] = "\n---\n".join(map(json.dumps, documents))
        return created

    def versions_of(self, pipeline_id: str) -> list[JsonObject]:
        return [version for version in self.versions.values() if version["pipeline_id"] == pipeline_id]

    def version(self, pipeline_id: str, version_id: str) -> JsonObject:
        version = _get(self.versions, version_id, "PipelineVersion")
        if version["pipeline_id"] != pipeline_id:
            raise RefusedError(404, f"ResourceNotFoundError: PipelineVersion {version_id} not found.")
        return version

    @property
    def failing(self) -> dict[str, str]:
        """Stages that fail, with the last line of their log: the API says nothing of it."""
        return self.behaviour.failing

    # --- experiments

    def create_experiment(self, body: JsonObject) -> JsonObject:
        name = body.get("display_name", "")
        if len(name.encode()) > _MOST_BYTES_OF_EXPERIMENT:
            raise RefusedError(
                500,
                "[ExperimentServer]: Failed to create a experiment due to conversion error: InternalServerError: "
                "Failed to convert API experiment to model experiment: Invalid input error: Experiment.Name length "
                "cannot exceed "
                f"{_MOST_BYTES_OF_EXPERIMENT}",
            )
        action = "Failed to create a experiment: InternalServerError: Failed to add experiment to experiment table"
        refuse_beyond_database(name, action, "`mlpipeline`.`experiments`.`Name`")
        if any(experiment["display_name"] == name for experiment in self.experiments.values()):
            raise RefusedError(
                409,
                f"Failed to create a new experiment. The name {name} already exists. Please specify a new name",
                "Failed to create a experiment: Already exist error: ",
            )
        created = {
            "experiment_id": _id(),
            "display_name": name,
            "created_at": _now(),
            "storage_state": "AVAILABLE",
            "last_run_created_at": NEVER,
        }
        self.experiments[created["experiment_id"]] = created
        return created

    def archive(self, objects: Mapping[str, JsonObject], key: str) -> JsonObject:
        """Archive a run or an experiment."""
        _get(objects, key, "Object").update(storage_state="ARCHIVED")
        return {}

    # --- runs

    def create_run(self, body: JsonObject) -> JsonObject:
        reference, pipeline = self.compiled_pipeline(body)
        check_parameters(pipeline, body)
        _check_text(body)
        now = _now()
        created = {
            **{key: value for key, value in body.items() if key != "runtime_config" or value.get("parameters")},
            "pipeline_version_reference": reference,
            "run_id": _id(),
            "storage_state": "AVAILABLE",
            "service_account": "pipeline-runner-dspa",
            "created_at": now,
            "scheduled_at": now,
            "finished_at": NEVER,
            "state": "PENDING",
            "state_history": [{"update_time": now, "state": "PENDING"}],
        }
        self.runs[created["run_id"]] = created
        spec = read_pipeline_file(pipeline.text).pipelines[0].spec
        workflow = FakeWorkflow(spec, datetime.fromisoformat(now), self.behaviour)
        self.workflows[created["run_id"]] = workflow
        if self.cluster is not None:
            cluster_objects.apply_workflow(self.cluster, NAMESPACE, created["run_id"], workflow)
        return _copy(created)

    def run(self, run_id: str) -> JsonObject:
        """Return a run as it is."""
        return _get(self.runs, run_id, "Run")

    def read_run(self, run_id: str) -> JsonObject:
        """Return a copy of a run, and advance the run by one step."""
        if run_id not in self.runs:
            prefix = f"Failed to get a run: Failed to fetch run {run_id}: ResourceNotFoundError: "
            raise RefusedError(404, f"Run {run_id} not found", prefix)
        run = self.run(run_id)
        copy = _copy(run)
        if run["state"] in UNFINISHED and self.has_workflow(run_id):
            self._advance(run)
        return copy

    def has_workflow(self, run_id: str) -> bool:
        """Whether the Workflow of a run still exists: without it, the state of the run does not change any more."""
        if run_id in self.runs_without_workflow:
            return False
        return self.cluster is None or self.cluster.store.has("Workflow", NAMESPACE, self.workflows[run_id].name)

    def delete_workflow(self, run_id: str) -> None:
        """Delete the Workflow of a run: if the run has not ended, it stays in its state."""
        if self.cluster is not None and self.has_workflow(run_id):
            self.cluster.delete("Workflow", NAMESPACE, self.workflows[run_id].name)
        self.runs_without_workflow.add(run_id)

    def _advance(self, run: JsonObject) -> None:
        """Let ten seconds pass; the persistence agent then reports the nodes of the Workflow and its state."""
        workflow = self.workflows[run["run_id"]]
        is_canceling = run["state"] == "CANCELING" and run["state_history"][-1]["state"] != "CANCELING"
        if run["state"] != "PENDING" and not is_canceling:
            workflow.step()
        self._report(run, workflow)
        self._set_state(run, "CANCELING" if is_canceling else workflow.state, workflow)
        while workflow.stages_done:
            self._create_artifacts(run, workflow.stages_done.pop(0))
        if self.cluster is not None:
            cluster_objects.apply_workflow(self.cluster, NAMESPACE, run["run_id"], workflow)

    def _set_state(self, run: JsonObject, state: str, workflow: FakeWorkflow) -> None:
        run["state"] = state
        if run["state_history"][-1]["state"] != state:
            run["state_history"].append({"update_time": format_time(workflow.now), "state": state})
        if state not in UNFINISHED:
            run["finished_at"] = format_time(workflow.now)

    def _report(self, run: JsonObject, workflow: FakeWorkflow) -> None:
        tasks = self._tasks.setdefault(run["run_id"], {})
        for node in workflow.nodes.values():
            task = tasks.setdefault(node.name, {"run_id": run["run_id"], "task_id": _id()})
            task.pop("state", None)
            task.update(_task_details(node, workflow, run["created_at"]))
        run["run_details"] = {"task_details": sorted(tasks.values(), key=lambda task: str(task["task_id"]))}

    def _create_artifacts(self, run: JsonObject, name: str) -> None:
        pipeline = _compiled_pipeline(self.texts[run["pipeline_version_reference"]["pipeline_version_id"]])
        stage = next(stage for stage in pipeline.stages if stage.name == name)
        for artifact, artifact_type in stage.artifacts.items():
            self._create_artifact(run, name, artifact, artifact_type)

    def _create_artifact(self, run: JsonObject, stage: str, name: str, artifact_type: str) -> None:
        number = str(next(self._numbers))
        now = self.workflows[run["run_id"]].now.strftime("%Y-%m-%dT%H:%M:%S.000Z")  # not in whole seconds as the others
        version = self.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        path = f"pipelines/{spec['pipelineInfo']['name']}/{run['run_id']}/{stage}/{_id()}/{name}"
        self.artifacts[number] = {
            "artifact_id": number,
            "storage_provider": "s3",
            "storage_path": path,
            "uri": f"s3://bucket/{path}",
            "namespace": NAMESPACE,
            "artifact_type": artifact_type,
            "artifact_size": str(len(self.contents.get((stage, name), b""))),
            "created_at": now,
            "last_updated_at": now,
        }

    def number_from(self, number: int) -> None:
        """Give the next artifact this number."""
        self._numbers = itertools.count(number)

    def content(self, artifact_id: str) -> bytes | None:
        """Return the content of an artifact; None if its stage wrote no file."""
        *_, stage, _, name = self.artifacts[artifact_id]["storage_path"].split("/")
        return self.contents.get((stage, name))

    def compiled_pipeline(self, body: JsonObject) -> tuple[JsonObject, CompiledPipeline]:
        """Return the pipeline of a run or a recurring run, with its reference; without a version it is the newest."""
        _get(self.experiments, body.get("experiment_id", ""), "Experiment")
        reference = body.get("pipeline_version_reference") or {}
        if not reference.get("pipeline_id"):
            raise RefusedError(400, "Invalid input error: a pipeline is needed")
        version_id = reference.get("pipeline_version_id")
        if not version_id:
            version_id = self.versions_of(reference["pipeline_id"])[-1]["pipeline_version_id"]
        self.version(reference["pipeline_id"], version_id)
        return {**reference, "pipeline_version_id": version_id}, _compiled_pipeline(self.texts[version_id])


def _get(objects: Mapping[str, JsonObject], key: str, kind: str) -> JsonObject:
    if key not in objects:
        raise RefusedError(404, f"ResourceNotFoundError: {kind} {key} not found.")
    return objects[key]


def _check_text(body: JsonObject) -> None:
    """Refuse what the database cannot store, and what Argo Workflows would replace."""
    name = body.get("display_name", "")
    parameters = json.dumps(_parameters(body), ensure_ascii=False)
    if template := re.search(r"\{\{(?:tasks|inputs|workflow)\.[^}]*\}\}", parameters):
        raise RefusedError(
            500,
            "Failed to create a new run: InternalServerError: Failed to validate workflow for (): "
            f"templates.entrypoint.tasks.root-driver failed to resolve {template[0]}",
        )
    action = (
        f"Failed to create a new run: Failed to create a run: InternalServerError: Failed to store run {name} to table"
    )
    if len(name) > _MOST_CHARACTERS:
        raise RefusedError(500, f"{action}: Error 1406 (22001): Data too long for column 'DisplayName' at row 1")
    refuse_beyond_database(name + parameters, action, "`mlpipeline`.`run_details`.`PipelineRuntimeManifest`")


@lru_cache
def _compiled_pipeline(text: str) -> CompiledPipeline:
    return CompiledPipeline(text)


def _parameters(body: JsonObject) -> JsonObject:
    parameters: JsonObject = (body.get("runtime_config") or {}).get("parameters") or {}
    return parameters


def check_parameters(pipeline: CompiledPipeline, body: JsonObject) -> None:
    """Refuse the parameter values of a run or a recurring run as the backend does."""
    values = _parameters(body)
    if unknown := values.keys() - pipeline.parameters.keys():
        names = ", ".join(sorted(unknown))
        raise RefusedError(
            400,
            "invalid pipeline job inputs: Invalid input error: "
            f"parameter(s) provided are not required by pipeline: {names}",
        )
    for name, definition in pipeline.parameters.items():
        if name not in values and "defaultValue" not in definition and not definition.get("isOptional"):
            raise RefusedError(400, f"parameter {name} is not optional, yet has neither default value nor user value")
        if name in values and not isinstance(values[name], _TYPES.get(definition["parameterType"], dict)):
            raise RefusedError(400, f"input parameter {name} is not of its type")


def _task_details(node: Node, workflow: FakeWorkflow, created: str) -> JsonObject:
    """Return a node as the API lists it: an omitted one has no state, and none has an error."""
    details: JsonObject = {
        "display_name": node.display_name,
        "create_time": created,
        "start_time": format_time(node.start),
        "end_time": format_time(node.end) if node.end is not None else _NOT_ENDED,
        "state_history": [
            {"update_time": format_time(moment), **({"state": state} if state != "OMITTED" else {})}
            for moment, state in node.history
        ],
    }
    if node.state != "OMITTED":
        details["state"] = node.state
    if node.children:
        details["child_tasks"] = [{"pod_name": workflow.id_of(workflow.nodes[child])} for child in node.children]
    return details


def _copy(created: JsonObject) -> JsonObject:
    copy: JsonObject = json.loads(json.dumps(created))
    return copy


def _id() -> str:
    return str(uuid.uuid4())


def _now() -> str:
    return format_time(datetime.now(UTC))


def format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
