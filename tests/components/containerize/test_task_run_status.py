"""Every ending of a TaskRun that was recorded on a real cluster has its own sentence, and so has what it waits for."""

import re
from typing import Any

import pytest

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.pod_state import PodState
from kfp_edge.components.containerize.task_run_status import (
    describe_failure,
    describe_start_failure,
    describe_waiting,
    get_condition,
    has_broken_step,
    has_ended,
)
from support import recorded_builds

OPTIONS = BuildOptions.parse({"service_account": "absent", "memory": "64Mi", "timeout": 10})
IMAGE = "registry.access.redhat.com/ubi8/buildah:8.10-5"
UNAUTHORIZED = r"failed with status code \[manifests 1\]: 401 Unauthorized"

ENDINGS = {
    "big-result": "failed: its step build ended with exit code 1: the end of its log.",
    "canceled": 'was cancelled by someone else: TaskRun "canceled" was cancelled; run again.',
    "no-account": "could not get its pod: there is no service account absent in this namespace; create it",
    "no-image": f"cannot pull the image {IMAGE}: .*{UNAUTHORIZED}.*check build_options' builder_image and pull_secret",
    "out-of-memory": "failed: its step build ran out of memory; raise build_options' memory, now 64Mi.",
    "past-timeout": "did not end within 10 s; raise build_options' timeout.",
    "pod-deleted": r"was interrupted in its step build: its pod was deleted \(by a person, or as its node",
    "step-fails": "failed: its step build ended with exit code 125: the end of its log.",
}
WAITING = {
    "no-secret": (True, 'FailedMount: MountVolume.SetUp failed for volume "v" : secret "absent" not found'),
    "too-big": (False, "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."),
}


def state_of(run: dict[str, Any]) -> PodState:
    """The pod of a recorded TaskRun, with its events."""
    name = run["status"]["podName"]
    return PodState(recorded_builds.pod(name), recorded_builds.events(name))


def sentence(run: dict[str, Any], state: PodState, waited_for: str = "") -> str:
    return describe_failure(run, state, waited_for, lambda step: "the end of its log", OPTIONS)


def pod_of(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "build-pod"}, "status": status}


def run_of(reason: str = "Failed", message: str = "", steps: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    condition = {"type": "Succeeded", "status": "False", "reason": reason, "message": message}
    status = {"podName": "build-pod", "conditions": [condition], "steps": steps or []}
    return {"metadata": {"name": "build"}, "status": status}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


class TestARecordedTaskRun:
    def test_of_every_kind_is_described(self) -> None:
        assert {*ENDINGS, *WAITING, "ok"} == set(recorded_builds.task_runs())

    @pytest.mark.parametrize("name", ENDINGS)
    def test_that_failed_has_its_own_sentence(self, name: str) -> None:
        run = recorded_builds.task_run(name)
        assert has_ended(run)
        text = sentence(run, state_of(run))
        assert re.match(ENDINGS[name], text), text

    def test_that_succeeded_has_ended_with_that(self) -> None:
        assert get_condition(recorded_builds.task_run("ok"))["status"] == "True"

    @pytest.mark.parametrize("name", WAITING)
    def test_that_waits_names_the_reason_that_its_pod_or_an_event_has(self, name: str) -> None:
        run = recorded_builds.task_run(name)
        assert not has_ended(run)
        problem = describe_waiting(run, state_of(run))
        assert (problem.unrecoverable, problem.reason.startswith(WAITING[name][1])) == (WAITING[name][0], True), problem

    def test_that_waits_for_a_secret_ends_with_what_to_do(self) -> None:
        run = recorded_builds.task_run("no-secret")
        state = state_of(run)
        text = describe_start_failure(run, state, describe_waiting(run, state).reason, OPTIONS)
        assert text.endswith("create what is missing in this namespace, and run again.")


class TestAFailureOfTheNode:
    """What no recorded TaskRun has: each is what Kubernetes documents, or Tekton's source."""

    def test_of_a_program_that_cannot_be_started_has_the_text_of_the_kubelet(self) -> None:
        recorded = recorded_builds.pod("no-command")
        assert recorded is not None
        (container,) = recorded["status"]["containerStatuses"]
        steps = [{"name": "fetch"} | container["state"], {"name": "build-and-push", "running": {}}]
        run = run_of("Running", "Not all Steps in the Task have finished executing", steps)
        assert has_broken_step(run)
        text = sentence(run, PodState(pod_of(phase="Running")))
        assert re.match(
            'failed: its step fetch could not be started: .*exec: "/absent": stat /absent: no such file', text
        )

    def test_of_a_container_that_got_lost(self) -> None:
        message = "The container could not be located when the pod was terminated"
        steps = [{"name": "build-and-push"} | ended(137, "ContainerStatusUnknown", message)]
        text = sentence(run_of(steps=steps), PodState(pod_of(phase="Failed")))
        assert text == f"failed: its step build-and-push was lost with its node: {message}; run again."

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            (
                {"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."},
                "was ended by Kubernetes: Terminated: Pod was terminated in response to imminent node shutdown; "
                "run again.",
            ),
            (
                {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]},
                "was ended by Kubernetes: PreemptionByScheduler; run again.",
            ),
        ],
    )
    def test_that_ended_the_pod_has_the_reason_of_the_pod(self, status: dict[str, Any], text: str) -> None:
        steps = [{"name": "fetch"} | ended(255)]
        assert sentence(run_of(steps=steps), PodState(pod_of(phase="Failed", **status))) == text

    def test_that_deleted_the_pod_has_the_reason_of_an_event(self) -> None:
        event = {"type": "Normal", "reason": "TaintManagerEviction", "message": "Marking for deletion Pod ns/build-pod"}
        text = sentence(run_of(steps=[{"name": "fetch"} | ended(255)]), PodState(None, (event,)))
        assert "deleted (TaintManagerEviction: Marking for deletion Pod ns/build-pod)" in text

    def test_with_which_a_step_of_its_own_exit_code_has_nothing_to_do(self) -> None:
        text = sentence(run_of(steps=[{"name": "fetch"} | ended(44)]), PodState(None))
        assert text.startswith("failed: its step fetch found no build context (HTTP 404)")


class TestAnInitContainer:
    """Tekton's own, which puts its entrypoint and our scripts into place."""

    def waiting(self, state: dict[str, Any]) -> tuple[bool, str]:
        message = 'pod status "Initialized":"False"; message: "containers with incomplete status: [prepare]"'
        run = run_of("Pending", message)
        run["status"]["conditions"][0]["status"] = "Unknown"
        statuses = {
            "initContainerStatuses": [{"name": "prepare", "state": state}],
            "containerStatuses": [{"name": "step-fetch", "state": {"waiting": {"reason": "PodInitializing"}}}],
        }
        problem = describe_waiting(run, PodState(pod_of(phase="Pending", **statuses)))
        return problem.unrecoverable, problem.reason

    def test_whose_image_cannot_be_pulled_is_not_waited_for(self) -> None:
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        assert self.waiting(state) == (True, "its init container prepare: ImagePullBackOff: Back-off pulling image")

    def test_that_failed_is_named_until_the_pod_has_failed(self) -> None:
        assert self.waiting(ended(1)) == (False, "its init container prepare ended with exit code 1: Error")

    def test_that_is_made_is_waited_for(self) -> None:
        assert self.waiting({"waiting": {"reason": "PodInitializing"}}) == (False, "its containers are being created")

    def test_that_failed_gives_its_log_as_the_reason(self) -> None:
        statuses = {"initContainerStatuses": [{"name": "prepare", "state": ended(1)}]}
        run = run_of(message='init container failed, "prepare" exited with code 1: Error')
        text = sentence(run, PodState(pod_of(phase="Failed", **statuses)))
        assert text.startswith("could not start: its init container prepare ended with exit code 1: Error: the end of")


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (
            "failed quota: q: must specify limits.cpu for: place-scripts,prepare",
            "to specify limits.cpu for: place-scripts,prepare; a LimitRange with defaults does that",
        ),
        ("maximum memory usage per Container is 1Gi, but limit is 2Gi", "is 1Gi, but limit is 2Gi; ask for what"),
        ("maximum memory usage per Container is 1Gi, but limit is 2Gi", "allows (build_options' cpu and memory)"),
        (
            'unable to validate against any security context constraint: [provider "anyuid": Forbidden: not usable by '
            "user or serviceaccount, .containers[0].runAsUser: Invalid value: 0]",
            "may use the SCC that Buildah needs",
        ),
        ('violates PodSecurity "restricted:latest": runAsNonRoot != true', "may use the SCC that Buildah needs"),
    ],
)
def test_a_refused_pod_has_the_remedy_for_that_refusal(refusal: str, remedy: str) -> None:
    run = run_of(
        "PodCreationFailed", f'failed to create task run pod "build": pods "build-pod" is forbidden: {refusal}'
    )
    assert remedy in sentence(run, PodState())


def test_a_quota_that_can_never_be_enough_is_not_waited_for() -> None:
    quota = "exceeded quota: q, requested: limits.memory=2Gi, used: limits.memory=0, limited: limits.memory=1Gi"
    message = f'TaskRun Pod exceeded available resources: pods "build-pod" is forbidden: {quota}'
    run = run_of("ExceededResourceQuota", message)
    run["status"]["conditions"][0]["status"] = "Unknown"
    problem = describe_waiting(run, PodState())
    assert problem.unrecoverable
    text = describe_start_failure(run, PodState(), problem.reason, OPTIONS)
    assert (
        "limits.memory 2Gi asked for, 1Gi allowed; waiting does not help: lower build_options' cpu and memory" in text
    )


def test_a_pull_secret_that_is_not_there_is_named_with_the_image_that_cannot_be_pulled() -> None:
    missing = "Unable to retrieve some image pull secrets (absent); attempting to pull the image may not succeed."
    event = {"type": "Warning", "reason": "FailedToRetrieveImagePullSecret", "message": missing}
    run = recorded_builds.task_run("no-image")
    assert "Unable to retrieve some image pull secrets (absent)" in sentence(run, PodState(None, (event,)))


@pytest.mark.parametrize(
    ("log", "text"),
    [
        ("dial tcp: lookup quay.example on 10.0.0.10:53: no such host", "cannot reach the registry"),
        ("dial tcp 10.1.2.3:5000: i/o timeout", "NetworkPolicy"),
        ("http: server gave HTTP response to HTTPS client", "needs https"),
        ("x509: certificate signed by unknown authority", "does not trust the registry"),
        ("write /var/lib/containers: no space left on device", "ran out of disk"),
    ],
)
def test_the_log_of_buildah_says_what_to_do(log: str, text: str) -> None:
    run = run_of(steps=[{"name": "build-and-push"} | ended(125)])
    assert text in describe_failure(run, PodState(pod_of(phase="Failed")), "", lambda step: log, OPTIONS)


def test_the_shortened_records_are_those_of_the_servers() -> None:
    if not recorded_builds.COMPLETE.is_dir():
        pytest.skip("the complete records are not on this machine")
    for kind, name, record in recorded_builds.read_complete():
        assert recorded_builds.read_shortened(kind, name) == record, (kind, name)
