"""The objects of a staging test, its options, and the status that is read from Kubernetes."""

from typing import Any

import pytest

from kfp_edge.components.staging_test import manifests, pod_status
from kfp_edge.components.staging_test.candidate import Candidate
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef
from support import schemas
from support.fake_kubernetes.admission import violations

IMAGE = ImageRef("docker", "quay.io/plant/pump-candidate", "sha256:" + "0" * 64)
SERVER = ImageRef("docker", "quay.io/plant/serving", "sha256:" + "1" * 64)
CANDIDATE = Candidate(IMAGE, {}, "pump")
MODELCAR = Candidate(IMAGE, {"org.opencontainers.image.base.digest": SERVER.digest}, "pump", SERVER)
MODELCAR_WITHOUT_BASE = Candidate(IMAGE, {}, "pump", SERVER)
#: Every option, numbers as KFP passes them.
ALL_OPTIONS: dict[str, Any] = {
    "namespace": "edge-staging",
    "service_account": "staging",
    "pull_secret": "quay",
    "node_selector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300.0}],
    "cpu": 2.0,
    "memory": "1Gi",
    "ttl": 600.0,
}


def deployment(candidate: Candidate = CANDIDATE, **options: Any) -> dict[str, Any]:
    return manifests.deployment_manifest("staging-1", candidate, StagingOptions.parse(options), "run-1")


def service(**options: Any) -> dict[str, Any]:
    resource = deployment(**options)
    resource["metadata"]["uid"] = "4f0c"
    return manifests.service_manifest("staging-1", StagingOptions.parse(options), "run-1", resource)


class TestManifests:
    @pytest.mark.parametrize("options", [{}, ALL_OPTIONS], ids=["no options", "all options"])
    @pytest.mark.parametrize("make", [deployment, service])
    def test_are_valid(self, make: Any, options: dict[str, Any]) -> None:
        schemas.check(make(**options))

    def test_have_a_pod_that_the_restricted_standard_admits(self) -> None:
        assert violations(deployment()["spec"]["template"]) == ""

    def test_have_a_pod_without_token_and_volumes_and_with_a_read_only_root(self) -> None:
        pod = deployment()["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert "volumes" not in pod
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True

    @pytest.mark.parametrize("candidate", [MODELCAR, MODELCAR_WITHOUT_BASE], ids=["base", "scratch"])
    def test_of_a_modelcar_are_valid_and_admitted(self, candidate: Candidate) -> None:
        resource = deployment(candidate, **ALL_OPTIONS)
        schemas.check(resource)
        assert violations(resource["spec"]["template"]) == ""

    def test_of_a_modelcar_start_its_shell_as_kserve_does_and_the_server_with_its_files(self) -> None:
        pod = deployment(MODELCAR)["spec"]["template"]["spec"]
        (init,), (server,) = pod["initContainers"], pod["containers"]
        assert (init["image"], server["image"]) == tuple(f"{each.repository}@{each.digest}" for each in (IMAGE, SERVER))
        assert init["args"][:2] == ["sh", "-c"]
        assert "command" not in init
        assert "--model_dir=/mnt/models" in server["args"]
        assert {each["mountPath"] for each in (*init["volumeMounts"], *server["volumeMounts"])} == {"/mnt/models"}

    def test_of_a_modelcar_without_a_shell_mount_its_image(self) -> None:
        pod = deployment(MODELCAR_WITHOUT_BASE)["spec"]["template"]["spec"]
        assert pod["volumes"] == [{"name": "modelcar", "image": {"reference": f"{IMAGE.repository}@{IMAGE.digest}"}}]
        (mount,) = pod["containers"][0]["volumeMounts"]
        assert (mount["mountPath"], mount["subPath"]) == ("/mnt/models", "models")

    def test_of_a_modelcar_that_come_back_without_their_volume_are_refused(self) -> None:
        # Kubernetes 1.34 without the feature gate ImageVolume: volume and mount are gone, and nothing says so
        created = deployment(MODELCAR_WITHOUT_BASE)
        manifests.check_volumes(created, MODELCAR_WITHOUT_BASE)
        del created["spec"]["template"]["spec"]["volumes"]
        with pytest.raises(KfpEdgeError, match="mounts no images as volumes .* set modelcar_base to an image with"):
            manifests.check_volumes(created, MODELCAR_WITHOUT_BASE)
        manifests.check_volumes(deployment(), CANDIDATE)

    def test_have_the_image_by_digest(self) -> None:
        (container,) = deployment()["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"quay.io/plant/pump-candidate@{IMAGE.digest}"

    def test_have_the_run_and_when_they_expire(self) -> None:
        for resource in (deployment(), service()):
            assert resource["metadata"]["labels"]["kfp-edge.io/run"] == "run-1"
            assert resource["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kfp-edge"
            assert resource["metadata"]["annotations"]["kfp-edge.io/expires"].endswith("Z")

    def test_are_owned_by_the_deployment(self) -> None:
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "staging-1", "uid": "4f0c"}
        assert service()["metadata"]["ownerReferences"] == [owner]

    def test_have_every_option(self) -> None:
        pod = deployment(**ALL_OPTIONS)["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "staging"
        assert pod["imagePullSecrets"] == [{"name": "quay"}]
        assert pod["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
        assert pod["tolerations"] == [{**ALL_OPTIONS["tolerations"][0], "tolerationSeconds": 300}]
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["resources"]["limits"] == {"cpu": "2.0", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name_space": "x"}, "has no option 'name_space'; did you mean namespace. its options are cpu, memory,"),
        (
            {"cpu": "many"},
            "staging_options: cpu cannot be 'many'; it is no quantity of Kubernetes; write processors, such as",
        ),
        ({"tolerations": [{"effect": "Never"}]}, "staging_options: tolerations.0.effect cannot be "),
        ({"tolerations": [{"seconds": 3}]}, "staging_options: tolerations.0.seconds cannot be "),
        ({"ttl": 1.5}, "staging_options: ttl cannot be 1.5; "),
    ],
)
def test_an_option_that_is_not_valid_is_refused_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(KfpEdgeError, match=sentence):
        StagingOptions.parse(options)


def pod(
    state: dict[str, Any] | None = None,
    *,
    last: dict[str, Any] | None = None,
    phase: str = "Pending",
    init: dict[str, Any] | None = None,
    last_init: dict[str, Any] | None = None,
    **conditions: str,
) -> dict[str, Any]:
    """A pod in which a container is in a state; a condition is its status and, behind a space, its message."""
    listed = [
        {"type": name, "status": text.partition(" ")[0], "message": text.partition(" ")[2]}
        for name, text in conditions.items()
    ]
    statuses = [] if state is None else [{"name": "candidate", "state": state, "lastState": last or {}}]
    metadata = {"name": "p", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    status = {"phase": "Pending", "conditions": listed, "containerStatuses": statuses}
    if init is not None:
        status["initContainerStatuses"] = [{"name": "modelcar", "state": init, "lastState": last_init or {}}]
    return {"metadata": metadata, "status": status}


RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (
            pod(PodScheduled="False 0/3 nodes are available: 3 Insufficient cpu."),
            "no node can run the pod: 0/3 nodes are",
        ),
        (pod(), "it is not on a node yet"),
        (pod(waits("ContainerCreating")), "the container cannot start: ContainerCreating"),
        (pod(waits("ImagePullBackOff", "Back-off")), "the image cannot be pulled: ImagePullBackOff: Back-off"),
        (pod(RUNNING, Ready="False"), "the container runs and is not ready"),
        (pod(RUNNING, init=ended(0, "Completed"), Ready="False"), "the container runs and is not ready"),
        (
            pod(waits("PodInitializing"), init=waits("ImagePullBackOff", "Back-off")),
            "the image cannot be pulled: ImagePullBackOff: Back-off",
        ),
        (pod(waits("PodInitializing"), init=RUNNING), "the container cannot start: PodInitializing"),
    ],
)
def test_what_kubernetes_retries_is_waited_for(resource: dict[str, Any], reason: str) -> None:
    status = pod_status.pod_status(resource)
    assert (status.ready, status.unrecoverable) == (False, False)
    assert status.reason.startswith(reason)


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (pod(ended(1)), "the container ended with exit code 1"),
        (pod(ended(137, "OOMKilled")), "the container ended with exit code 137 (out of memory)"),
        (pod(waits("CrashLoopBackOff", "back-off 10s"), last=ended(3)), "the container ended with exit code 3"),
        (pod(RUNNING, last=ended(3), Ready="True"), "the container ended with exit code 3"),
        (
            # as containerd 1.6 reports it (recorded/kubernetes/pod.no-command.json)
            pod({"terminated": {"exitCode": 128, "reason": "StartError", "message": 'exec: "/absent": no such file'}}),
            'the container ended with exit code 128 (StartError: exec: "/absent": no such file)',
        ),
        (
            pod(waits("PodInitializing"), init=ended(128, "StartError")),
            "its init container modelcar ended with exit code 128: StartError",
        ),
        (
            pod(waits("PodInitializing"), init=waits("CrashLoopBackOff"), last_init=ended(1)),
            "its init container modelcar ended with exit code 1: Error",
        ),
        (pod(waits("InvalidImageName", "no: such")), "the container cannot start: InvalidImageName: no: such"),
        (
            pod(waits("CreateContainerConfigError", "runs as root")),
            "the container cannot start: CreateContainerConfigError",
        ),
    ],
)
def test_what_is_unrecoverable_ends_the_wait(resource: dict[str, Any], reason: str) -> None:
    status = pod_status.pod_status(resource)
    assert (status.ready, status.unrecoverable) == (False, True)
    assert status.reason.startswith(reason)


@pytest.mark.parametrize(
    ("statuses", "text"),
    [
        ([], "ended (Evicted: The node was low on memory)"),
        ([{"state": ended(137)}], "ended with exit code 137 (Evicted: The node was low on memory)"),
    ],
    ids=["before it started", "while it ran"],
)
def test_the_state_of_an_evicted_pod_has_the_reason_of_the_node(statuses: list[dict[str, Any]], text: str) -> None:
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
    assert (
        str(pod_status.container_state({"metadata": {}, "status": {**status, "containerStatuses": statuses}})) == text
    )


def test_the_oldest_pod_counts_and_not_its_replacement() -> None:
    second = pod()
    second["metadata"] = {**second["metadata"], "name": "q", "creationTimestamp": "2026-01-01T00:01:00Z"}
    assert pod_status.first_created([second, pod()])["metadata"]["name"] == "p"


def refused(message: str) -> pod_status.PodStatus:
    """The status of a Deployment whose pod the API server refuses."""
    condition = {"type": "ReplicaFailure", "status": "True", "message": f'pods "x-1" is forbidden: {message}'}
    return pod_status.status_without_pod({"status": {"conditions": [condition]}})


def test_a_quota_that_is_used_up_is_waited_for() -> None:
    amounts = "requested: limits.memory=256Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi"
    status = refused(f"exceeded quota: small, {amounts}")
    assert status.reason.startswith("the namespace refuses the pod: the ResourceQuota small is used up: limits.memory")
    assert not status.unrecoverable


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "exceeded quota: q, requested: limits.memory=512Mi, used: limits.memory=0, limited: limits.memory=64Mi",
            "the ResourceQuota q can never allow it: limits.memory 512Mi asked for, 64Mi allowed",
        ),
        ("maximum cpu usage per Container is 2, but limit is 4", "a LimitRange does not allow it: maximum cpu usage"),
        (
            'error looking up service account edge-staging/nobody: serviceaccount "nobody" not found',
            "there is no service account nobody in the namespace edge-staging",
        ),
        ('violates PodSecurity "restricted:latest": runAsNonRoot != true', 'violates PodSecurity "restricted:latest"'),
    ],
    ids=["quota", "limit range", "service account", "pod security"],
)
def test_a_refusal_that_time_does_not_change_ends_the_wait(message: str, reason: str) -> None:
    status = refused(message)
    assert status.reason.startswith(f"the namespace refuses the pod: {reason}")
    assert status.unrecoverable


def test_a_deployment_that_another_client_deleted_ends_the_wait() -> None:
    assert pod_status.status_without_pod(None).unrecoverable


def test_the_last_warning_about_the_pod_is_reported() -> None:
    def event(message: str, second: int, uid: str = "1", kind: str = "Warning") -> dict[str, Any]:
        about, at = {"uid": uid}, f"2026-01-01T00:00:{second:02}Z"
        return {"type": kind, "message": message, "involvedObject": about, "lastTimestamp": at}

    events = [
        event("Readiness probe failed: 503.", 3),
        event("Failed to mount", 1),
        event("Error: ErrImagePull", 4),
        event("Pulled", 5, kind="Normal"),
        event("of another", 6, uid="2"),
    ]
    assert pod_status.last_warning(events, pod()) == "Readiness probe failed: 503"
    assert pod_status.last_warning([], pod()) == ""
