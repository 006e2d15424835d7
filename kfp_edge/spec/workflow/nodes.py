"""The nodes that Argo adds to a Workflow while it runs, written as it writes them.

Each holds all inputs and outputs of a pod, so that the source of a component is in a Workflow up to six times.
"""

import json
from collections.abc import Iterator, Mapping

from google.protobuf import json_format

from kfp_edge.spec.workflow.executions import Execution
from kfp_edge.spec.workflow.texts import ROOT, WorkflowTexts, to_go_json

_RUN = "ce6031cc-4aef-47b4-9da4-9247188ccf54"
_LAUNCHER_OPTIONS = (
    *("--run_id", _RUN),
    *("--ml_pipeline_server_address", "ml-pipeline.ds-project.svc.cluster.local"),
    "other options, of which only the length counts, such as the addresses of further services",
    *("--pod_name", "$(KFP_POD_NAME)", "--pod_uid", "$(KFP_POD_UID)", "--publish_logs", "true", "--"),
)


def make_root_nodes(texts: WorkflowTexts) -> tuple[str, ...]:
    """Return the nodes of the whole run."""
    return _graph_nodes(texts, ROOT, texts.runtime_config_text().text)


def make_nodes(texts: WorkflowTexts, execution: Execution) -> Iterator[tuple[str, int]]:
    """Yield the nodes of a task, each with the number of times that it occurs."""
    text = texts.task_text(execution.parent, execution.name).text
    component = execution.task.component_ref.name
    if execution.iterations is not None:
        for node in _graph_nodes(texts, component, text):
            yield node, max(1, execution.count // max(1, execution.iterations))
    if texts.component(component).executor_label:
        nodes = _pod_nodes(texts, component, text, execution)
    else:
        nodes = _graph_nodes(texts, component, text)
    for node in nodes:
        yield node, execution.count


def _graph_nodes(texts: WorkflowTexts, component: str, task: str) -> tuple[str, ...]:
    """Return the node of the driver of a graph, and that of the graph."""
    parameters = {"component": texts.component_text(component).text, "task": task}
    driver = _make_node("system-dag-driver", parameters, {"execution-id": "16", "iteration-count": "0"})
    return driver, _make_node(component, {})


def _pod_nodes(texts: WorkflowTexts, component: str, task: str, execution: Execution) -> tuple[str, ...]:
    """Return the nodes of a task that runs a container: its driver, its graph and its pods."""
    own = texts.component_text(component).text
    implementation = texts.implementation_text(component).text
    if texts.executor(component).HasField("importer"):
        return (_make_node("system-importer", {"task": task, "component": own, "importer": implementation}),)
    patch = _make_pod_patch(texts, component, execution)
    config = texts.kubernetes_text(component).text
    parameters = {"component": own, "task": task, "container": implementation, "kubernetes-config": config}
    pods = 3 if execution.task.HasField("retry_policy") else 2
    driver = _make_node("system-container-driver", parameters, {"pod-spec-patch": patch, "cached-decision": "false"})
    return driver, *[_make_node("metadata-0-2-system-container-impl", {"pod-spec-patch": patch})] * pods


def make_executor_input(texts: WorkflowTexts, component: str, execution: Execution) -> str:
    """Return roughly what the launcher gets as one argument: known inputs and the addresses of artifacts."""
    inputs = texts.component(component).input_definitions.artifacts
    outputs = texts.component(component).output_definitions
    address = f"s3://mlpipeline/{texts.name}/{_RUN}/{execution.name}/0fc40faf-6386-4f45-a189-374dd9e264b9/"
    return json.dumps(
        {
            "inputs": {
                "artifacts": {name: _make_artifact(address, name) for name in inputs},
                "parameterValues": dict(execution.inputs),
            },
            "outputs": {
                "artifacts": {name: _make_artifact(address, name) for name in (*outputs.artifacts, "executor-logs")},
                "parameters": {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.parameters},
                "outputFile": f"{address}output_metadata.json",
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _make_artifact(address: str, name: str) -> dict[str, object]:
    artifact = {"name": name, "type": {"schemaTitle": "system.Artifact"}, "uri": address + name}
    return {"artifacts": [{**artifact, "metadata": {}}]}


def _make_pod_patch(texts: WorkflowTexts, component: str, execution: Execution) -> str:
    """Return roughly what the driver adds to the pod of a task: command, inputs, outputs, settings."""
    container = json_format.MessageToDict(texts.executor(component).container)
    config = texts.kubernetes_text(component).text
    command = ["/kfp-launcher/launch", "--pipeline_name", texts.name, *_LAUNCHER_OPTIONS]
    command += ["--executor_input", make_executor_input(texts, component, execution)]
    command += ["--component_spec", texts.component_text(component).text]
    main = {"command": command, "args": [*container.get("command", ()), *container.get("args", ())]}
    return to_go_json({"containers": [{**container, **main}], "settings": json.loads(config) if config else {}})


def _make_node(template: str, inputs: Mapping[str, str], outputs: Mapping[str, str] | None = None) -> str:
    return to_go_json(
        {
            "children": ["pipeline-abcde-0000000000"],
            "displayName": template,
            "inputs": {"parameters": [{"name": name, "value": value} for name, value in inputs.items()]},
            "name": f"pipeline-abcde.root.exit-handler-1.{template}",
            "outputs": {
                "artifacts": [{"name": "main-logs", "s3": {"key": f"artifacts/pipeline-abcde/2026/11/29/{template}"}}],
                "parameters": [{"name": name, "value": value} for name, value in (outputs or {}).items()],
            },
            "phase": "Succeeded",
            "progress": "1/1",
            "resourcesDuration": {"cpu": 15, "memory": 292},
            "startedAt": "2026-11-29T17:11:13Z",
            "templateName": template,
            "templateScope": "local/pipeline-abcde",
            "type": "Pod",
        }
    )
