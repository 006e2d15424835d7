"""Why a pod waits or ended, for every pod that was recorded on a real cluster."""

import pytest

from kfp_edge.kubernetes.pods import StartProblem, describe_pod_failure, find_start_problem, has_started
from support import recorded_builds

NO_CPU = (
    "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes "
    "are available: 1 Preemption is not helpful for scheduling"
)
NO_MOUNT = 'FailedMount: MountVolume.SetUp failed for volume "v" : secret "absent" not found'
#: Pods that wait, why, and whether waiting is in vain.
WAITING = {
    "no-claim": ('Unschedulable: 0/1 nodes are available: persistentvolumeclaim "absent" not found. not found', False),
    "too-big": (NO_CPU, False),
    "too-big-pod": (NO_CPU, False),
    "no-image": ('ImagePullBackOff: Back-off pulling image "registry.example.com/nothing/here:1": ErrImagePull', True),
    "no-secret": ('CreateContainerConfigError: secret "absent" not found', True),
    "root-refused": ("CreateContainerConfigError: container has runAsNonRoot and image will run as root", True),
    "no-volume-secret": (NO_MOUNT, True),
    "no-secret-pod": (NO_MOUNT, True),
    "crashes-c89854cf5-b5btv": ("CrashLoopBackOff: back-off 40s restarting failed container=main", False),
}
STARTED = (
    *("big-result-pod", "exit-3", "never-ready-584497d4df-fb4mf", "no-command", "ok-pod", "out-of-memory"),
    *("out-of-memory-pod", "past-deadline", "step-fails-pod"),
)


def problem_of(name: str) -> StartProblem | None:
    pod = recorded_builds.pod(name)
    assert pod is not None
    return find_start_problem(pod, recorded_builds.events(name))


def test_every_recorded_pod_is_described() -> None:
    assert {*WAITING, *STARTED} == set(recorded_builds.pods())


@pytest.mark.parametrize("name", WAITING)
def test_a_pod_that_waits_names_the_reason(name: str) -> None:
    problem = problem_of(name)
    assert problem is not None
    reason, unrecoverable = WAITING[name]
    assert problem.reason.startswith(reason)
    assert problem.unrecoverable is unrecoverable


@pytest.mark.parametrize("name", STARTED)
def test_a_pod_that_runs_or_has_ended_waits_for_nothing(name: str) -> None:
    pod = recorded_builds.pod(name)
    assert pod is not None
    assert has_started(pod)
    assert problem_of(name) is None


def test_only_a_pod_that_kubernetes_ended_has_failed_for_that() -> None:
    failures = {name: describe_pod_failure(recorded_builds.pod(name) or {}) for name in recorded_builds.pods()}
    message = "DeadlineExceeded: Pod was active on the node longer than the specified deadline"
    assert {name: failure for name, failure in failures.items() if failure} == {"past-deadline": message}


def test_a_secret_that_was_missed_once_may_come_yet() -> None:
    (event,) = [each for each in recorded_builds.events("no-volume-secret") if each["reason"] == "FailedMount"]
    pod = recorded_builds.pod("no-volume-secret")
    assert pod is not None
    assert find_start_problem(pod, [event | {"count": 1}]) == StartProblem(NO_MOUNT, unrecoverable=False)


def test_the_last_event_that_gives_a_reason_counts() -> None:
    pod = recorded_builds.pod("no-volume-secret")
    assert pod is not None
    sandbox = {"type": "Warning", "reason": "FailedCreatePodSandBox", "message": "no network"}
    summary = "Unable to attach or mount volumes: unmounted volumes=[v]"
    events = [
        sandbox | {"lastTimestamp": "2026-11-29T00:00:02Z"},
        {"type": "Warning", "reason": "FailedMount", "message": summary, "lastTimestamp": "2026-11-29T00:00:03Z"},
        {
            "type": "Warning",
            "reason": "FailedScheduling",
            "message": "no node",
            "lastTimestamp": "2026-11-29T00:00:04Z",
        },
        {"type": "Normal", "reason": "Pulling", "message": "image", "lastTimestamp": "2026-11-29T00:00:05Z"},
    ]
    assert find_start_problem(pod, events) == StartProblem("FailedCreatePodSandBox: no network")
