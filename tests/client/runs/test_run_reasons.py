"""Why a run failed and what it waits for is read from the cluster, since a real server reports no reasons."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from kfp_edge.cli import submit as cli_submit
from kfp_edge.cli.app import app
from kfp_edge.cli.submit import print_waiting
from kfp_edge.client import Client, Run, StageState
from kfp_edge.client.runs import observed_run
from kfp_edge.client.runs.in_cluster import RunInCluster
from kfp_edge.client.runs.reasons import RunReasons, WaitingWatch
from kfp_edge.client.server.discovery import find_endpoint
from kfp_edge.errors import RunTimeoutError
from support.clients import small, submit_small
from support.fake_kfp import FakeKfp, run_control
from support.fake_kfp.cluster_objects import pod_name
from support.fake_kfp.workflow import DRIVER_ERROR, Node
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.objects import event, waiting

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")

NAMESPACE = "ds-project"
CLIENT = f"system:serviceaccount:{NAMESPACE}:kfp-edge-client"


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is asked as soon as nothing has changed."""
    monkeypatch.setattr(observed_run, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(observed_run, "HINT_SECONDS", 0.0)


def submit() -> Run:
    return Client.connect().submit(small, {"rows": 3})


def pod_of(server: FakeKfp, run: Run, stage: str) -> str:
    """Return the name of the pod of a stage."""
    workflow = server.store.workflows[run.id]
    return pod_name(workflow, node_of(server, run, f".{stage}.executor"))


def node_of(server: FakeKfp, run: Run, suffix: str) -> Node:
    (node,) = [node for node in server.store.workflows[run.id].nodes.values() if node.name.endswith(suffix)]
    return node


def set_status(cluster: FakeKubernetes, pod: str, **status: Any) -> None:
    def change(resource: dict[str, Any]) -> None:
        resource["status"].update(status)

    cluster.update("Pod", NAMESPACE, pod, change)


def set_state(cluster: FakeKubernetes, pod: str, state: dict[str, Any]) -> None:
    """Set the state of the container `main`."""

    def change(resource: dict[str, Any]) -> None:
        resource["status"]["containerStatuses"][0]["state"] = state

    cluster.update("Pod", NAMESPACE, pod, change)


def error_after(run: Run, change: Callable[[], object]) -> str:
    """Let a run fail, change its pods before anybody reads them, and return why it failed."""
    while run.refresh().state != "failed":
        pass
    change()
    return run.error()


def run_until_running(run: Run) -> None:
    """Let a run come to where its first stage is running."""
    while "running" not in [stage.state for stage in run.stages()]:
        pass


# --- why a run failed


def test_the_error_of_a_stage_is_read_from_the_log_of_its_pod(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.failing["judge"] = "gates: roc_auc is 0.61, below its gate of 0.8."
    run = submit()
    result = run.wait()
    pod = pod_of(server, run, "judge")
    assert result.error == (
        "the stage judge failed: gates: roc_auc is 0.61, below its gate of 0.8; "
        f"`oc logs -n {NAMESPACE} -c main {pod}` shows its log."
    )
    assert [(stage.name, stage.state) for stage in result.stages] == [
        ("learn", "succeeded"),
        ("judge", "failed"),
        ("publish", "skipped"),
    ]


def terminated(code: int, reason: str, message: str = "") -> dict[str, Any]:
    ended = {"exitCode": code, "reason": reason, "finishedAt": "2026-11-29T00:26:52Z"}
    return {"terminated": {**ended, **({"message": message} if message else {})}}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (terminated(137, "OOMKilled"), "it ran out of memory (its limit is 1Gi)"),
        (
            terminated(128, "StartError", 'exec: "/absent": stat /absent: no such file or directory: unknown'),
            'its container main could not be started: exec: "/absent": stat /absent: no such file or directory',
        ),
    ],
)
def test_how_a_container_ended_is_the_reason(
    server: FakeKfp, cluster: FakeKubernetes, state: dict[str, Any], reason: str
) -> None:
    server.store.failing["learn"] = ""
    run = submit()
    error = error_after(run, lambda: set_state(cluster, pod_of(server, run, "learn"), state))
    assert f"the stage learn failed: {reason}" in error


def test_a_pod_that_kubernetes_ended_is_reported_with_its_reason(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.failing["learn"] = ""
    run = submit()
    message = "The node was low on resource: memory."
    error = error_after(
        run, lambda: set_status(cluster, pod_of(server, run, "learn"), reason="Evicted", message=message)
    )
    assert "Kubernetes ended its pod: Evicted: The node was low on resource: memory; " in error


def test_a_pod_that_is_gone_is_explained_by_the_workflow(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.failing["learn"] = ""
    run = submit()
    error = error_after(run, lambda: cluster.delete("Pod", NAMESPACE, pod_of(server, run, "learn")))
    assert error == "the stage learn failed: Error (exit code 1)."


def test_a_driver_that_failed_is_explained_by_its_log(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.behaviour.failing_drivers.add("learn")
    result = submit().wait()
    assert f"KFP's driver of the stage learn failed: KFP driver: {DRIVER_ERROR}; `oc logs " in result.error
    assert [stage.state for stage in result.stages] == ["failed", "skipped", "skipped"]


def test_the_driver_of_the_pipeline_is_named_if_it_failed(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.behaviour.failing_drivers.add("root")
    assert submit().wait().error.startswith("KFP's driver of the pipeline failed: KFP driver: driver.")


def test_the_driver_of_a_nested_pipeline_is_named_if_it_failed(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.behaviour.failing_drivers.add("small")
    assert submit().wait().error.startswith("KFP's driver of the nested pipeline small failed: ")


def test_a_run_that_a_person_terminated_is_canceled_and_no_stage_failed(
    server: FakeKfp, cluster: FakeKubernetes
) -> None:
    server.store.behaviour.slow.add("learn")
    run = submit()
    run_until_running(run)
    run_control.terminate(server.store, run.id)
    result = run.wait()
    assert (result.state, result.error) == ("canceled", f"the run {run.name} was canceled before it had ended.")
    assert [stage.state for stage in result.stages] == ["canceled", "skipped", "skipped"]
    assert server.store.runs[run.id]["state"] == "FAILED"  # as a real server reports it


def test_a_termination_that_the_server_did_not_note_is_read_from_the_workflow(
    server: FakeKfp, cluster: FakeKubernetes
) -> None:
    server.store.behaviour.slow.add("learn")
    run = submit()
    run_until_running(run)
    run_control.terminate(server.store, run.id)
    while server.store.runs[run.id]["state"] != "FAILED":
        server.store.read_run(run.id)
    history = server.store.runs[run.id]["state_history"]
    server.store.runs[run.id]["state_history"] = [each for each in history if each["state"] != "CANCELING"]
    progress: list[tuple[StageState, ...]] = []
    assert Client.connect().run(run.id).wait(progress.append).state == "canceled"
    assert [[stage.state for stage in stages] for stages in progress] == [["canceled", "skipped", "skipped"]]


# --- where the cluster cannot be read


def test_without_a_cluster_one_command_shows_the_log_of_the_pod_that_failed(server: FakeKfp) -> None:
    server.store.failing["learn"] = "no reason reaches the client"
    run = submit_small(server)
    command = (
        f"oc logs -n {NAMESPACE} -c main $(oc get pods -n {NAMESPACE} -l pipeline/runid={run.id} "
        "--field-selector=status.phase=Failed -o jsonpath='{.items[0].metadata.name}')"
    )
    assert run.wait().error == f"the stage learn failed; `{command}` shows why, and so does the dashboard."


def test_a_driver_that_failed_is_named_without_a_cluster(server: FakeKfp) -> None:
    server.store.behaviour.failing_drivers.add("root")
    assert submit_small(server).wait().error.startswith("KFP's root-driver failed; `oc logs -n ds-project -c main ")


def test_a_client_without_permission_for_pods_gets_the_command(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.failing["learn"] = ""
    run = submit()
    cluster.fail("list", "pods", 403, times=100)
    assert "the stage learn failed; `oc logs -n ds-project -c main $(oc get pods" in run.wait().error


def test_a_cluster_that_is_off_is_asked_once(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.failing["learn"] = ""
    run = submit()
    cluster.drop_connections(1)
    before = len(cluster.requests)
    assert "the stage learn failed; `oc logs -n ds-project -c main $(oc get pods" in run.wait().error
    assert len(cluster.requests) == before


# --- what a run waits for


@pytest.mark.usefixtures("no_patience")
def test_waiting_reports_once_what_a_stage_waits_for(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = stuck(server, "learn")
    reported: list[tuple[str, ...]] = []
    message = 'Back-off pulling image "example.com/runtime:1": ErrImagePull: 401 Unauthorized'
    set_state(cluster, pod_of(server, run, "learn"), waiting("ImagePullBackOff", message))

    def report(texts: tuple[str, ...]) -> None:
        reported.append(texts)
        server.store.behaviour.stuck.clear()

    assert run.wait(on_waiting=report).state == "succeeded"
    assert (f"the stage learn waits: ImagePullBackOff: {message}",) in reported
    assert len(reported) == len(set(reported))


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize("options", [(), ("--wait",)], ids=["runs", "runs --wait"])
def test_the_command_line_prints_what_a_run_waits_for(
    server: FakeKfp, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    run = stuck(server, "learn")
    message = 'Back-off pulling image "example.com/runtime:1": ErrImagePull: 401 Unauthorized'
    set_state(cluster, pod_of(server, run, "learn"), waiting("ImagePullBackOff", message))

    def print_and_go_on(texts: tuple[str, ...]) -> None:
        print_waiting(texts)
        server.store.behaviour.stuck.clear()

    monkeypatch.setattr(cli_submit, "print_waiting", print_and_go_on)
    result = CliRunner().invoke(app, ["runs", run.id, *options])
    assert result.exit_code == 0
    assert f"the stage learn waits: ImagePullBackOff: {message}" in result.stdout


def test_reasons_that_alternate_are_reported_once_each() -> None:
    """The kubelet goes from ErrImagePull to ImagePullBackOff and back."""
    first, second = ("ErrImagePull: 401",), ("ImagePullBackOff: 401",)
    seen = iter([first, second, first, second])

    class Reasons(RunReasons):
        def waits(self, run: object) -> tuple[str, ...]:
            return next(seen)

    watch, reasons = WaitingWatch(0.0, 0.0), Reasons.__new__(Reasons)
    in_cluster = RunInCluster.__new__(RunInCluster)
    reported = [watch.news(reasons, (), in_cluster) for _ in range(4)]
    assert reported == [first, second, (), ()]


def stuck(server: FakeKfp, stage: str) -> Run:
    """Return a run whose stage's pod does not start."""
    server.store.behaviour.stuck.add(stage)
    run = submit()
    while not any(node.name.endswith(f".{stage}.executor") for node in server.store.workflows[run.id].nodes.values()):
        run.stages()
    run.stages()
    return run


def test_a_run_says_which_node_it_waits_for(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = stuck(server, "learn")
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
    set_status(cluster, pod_of(server, run, "learn"), conditions=[condition], containerStatuses=[])
    assert run.waits_for() == ("the stage learn waits: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu",)
    assert [stage.state for stage in run.stages()] == ["pending", "pending", "pending"]


def test_a_missing_secret_is_read_from_the_events_of_the_pod(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = stuck(server, "learn")
    pod = cluster.store.get("Pod", NAMESPACE, pod_of(server, run, "learn"))
    message = 'MountVolume.SetUp failed for volume "v" : secret "absent" not found'
    cluster.apply(event(pod, "Warning", "FailedMount", message, "kubelet"))
    assert run.waits_for() == (f"the stage learn waits: FailedMount: {message}",)


def test_a_pod_that_a_quota_refuses_is_explained_by_the_workflow(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = stuck(server, "learn")
    cluster.delete("Pod", NAMESPACE, pod_of(server, run, "learn"))
    message = 'pods "x" is forbidden: exceeded quota: q'
    workflow = server.store.workflows[run.id]
    node = workflow.id_of(node_of(server, run, ".learn.executor"))

    def change(resource: dict[str, Any]) -> None:
        resource["status"]["nodes"][node]["message"] = message

    cluster.update("Workflow", NAMESPACE, workflow.name, change)
    assert run.waits_for() == (f"the stage learn waits: {message}",)


def test_a_workflow_that_no_controller_has_taken_up_is_reported(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = submit()
    name = server.store.workflows[run.id].name
    for pod in cluster.objects("Pod", NAMESPACE):
        cluster.delete("Pod", NAMESPACE, pod["metadata"]["name"])
    cluster.update("Workflow", NAMESPACE, name, lambda resource: resource.update(status={}))
    (text,) = run.waits_for()
    assert text.startswith("the pipeline waits: Argo's workflow controller")


@pytest.mark.usefixtures("no_patience")
def test_a_timeout_says_what_the_run_waits_for(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = stuck(server, "learn")
    set_state(cluster, pod_of(server, run, "learn"), waiting("ImagePullBackOff", "401 Unauthorized"))
    with pytest.raises(
        RunTimeoutError, match=r"continues \(the stage learn waits: ImagePullBackOff: 401 Unauthorized\);"
    ):
        run.wait(timeout=0.5)


@pytest.mark.usefixtures("no_patience")
def test_without_a_cluster_a_command_shows_what_a_run_waits_for(server: FakeKfp) -> None:
    server.store.behaviour.stuck.add("learn")
    run = submit_small(server)
    reported: list[tuple[str, ...]] = []

    def report(texts: tuple[str, ...]) -> None:
        reported.append(texts)
        server.store.behaviour.stuck.clear()

    run.wait(on_waiting=report)
    ((text,), *_) = reported
    assert text.startswith("learn has not started for ")
    assert f"`oc describe pods -n {NAMESPACE} -l pipeline/runid={run.id}` shows what it waits for" in text


def test_a_run_that_does_not_wait_says_nothing(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = submit()
    run.stages()
    assert run.waits_for() == ()
    run.wait()
    assert run.waits_for() == ()


# --- a run whose Workflow is gone


def lose(server: FakeKfp, cluster: FakeKubernetes, run: Run) -> None:
    cluster.delete("Workflow", NAMESPACE, server.store.workflows[run.id].name)


@pytest.mark.usefixtures("no_patience")
def test_waiting_ends_when_the_workflow_of_the_run_was_deleted(server: FakeKfp, cluster: FakeKubernetes) -> None:
    run = submit()
    result = run.wait(lambda stages: lose(server, cluster, run) if stages[0].state == "running" else None)
    assert result.state == "lost"
    assert result.error.startswith(f"the run {run.name} has no Workflow in the namespace {NAMESPACE} any more")
    assert server.store.runs[run.id]["state"] == "RUNNING"


def test_a_run_without_a_workflow_is_distinguished_from_one_in_another_cluster(
    server: FakeKfp, cluster: FakeKubernetes
) -> None:
    run = submit()
    run.refresh()
    lose(server, cluster, run)
    token = server.token
    elsewhere = Client(find_endpoint(NAMESPACE, host=server.url, token=token)).run(run.id)
    assert elsewhere.waits_for() == ()  # the server may run its pipelines in another cluster
    submit()
    assert [text.startswith(f"the run {run.name} has no Workflow") for text in elsewhere.waits_for()] == [True]
    assert len(Client.connect().run(run.id).waits_for()) == 1


def test_the_role_of_the_client_grants_what_it_reads(server: FakeKfp, cluster: FakeKubernetes) -> None:
    server.store.failing["learn"] = ""
    submit().wait()
    server.store.failing.clear()
    run = submit()
    run.refresh()
    run.waits_for()
    used = {(call.verb, call.resource) for call in cluster.requests if call.user == CLIENT}
    assert {("list", "pods"), ("get", "pods/log"), ("list", "events"), ("list", "workflows")} <= used
    assert [call for call in cluster.requests if call.status == 403] == []
