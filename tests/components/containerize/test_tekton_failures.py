"""Builds in the cluster that fail: the error says why, and nothing of them is left."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kfp_edge.components.containerize import tekton
from kfp_edge.components.containerize.pod_state import PodState
from kfp_edge.components.containerize.task_run_status import describe_waiting
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.kubernetes.pods import StartProblem
from kfp_edge.ml.bundle import Bundle
from support.cluster_builds import (
    BUCKET,
    BUILDER,
    NAMESPACE,
    BuildCluster,
    build,
    on_first_object,
    replace_link,
    tag_of,
)
from support.fake_kubernetes.tekton import Fault
from support.images import tiny_base
from support.registry import write_auth_file
from support.registry_proxy import FaultyRegistry

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group(__name__),
    pytest.mark.root,
]


class TestABuildThatFails:
    """Each raises an error of one sentence, and leaves nothing."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, cluster: BuildCluster) -> Iterator[None]:
        yield
        assert (cluster.list_objects(), cluster.list_contexts()) == ([], [])

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (Fault.IMAGE_PULL, f"cannot pull the image {BUILDER}: .*check build_options' builder_image"),
            (Fault.ADMISSION, "could not get its pod: .*security context constraint.*deploy/openshift/README.md"),
            (Fault.EVICTED, "was evicted from its node: The node was low on resource: memory"),
            (Fault.OUT_OF_MEMORY, "step .* ran out of memory; raise build_options' memory, now 2Gi"),
            (Fault.START_ERROR, 'its step fetch could not be started: .*exec: "/absent": stat /absent: no such file'),
            (Fault.POD_DELETED, "was interrupted in its step .*: its pod was deleted"),
            (Fault.INIT_IMAGE_PULL, "cannot start: its init container prepare: ImagePullBackOff: .*401 Unauthorized"),
            (
                Fault.INIT_FAILS,
                "its init container place-scripts ended with exit code 1: Error: no space left on device",
            ),
        ],
    )
    @pytest.mark.parametrize("specific", [False, True], ids=["tekton-before-1.12", "tekton-since-1.12"])
    def test_in_the_cluster(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, fault: Fault, message: str, specific: bool
    ) -> None:
        cluster.tekton.specific_reasons = specific
        cluster.tekton.fault = fault
        with pytest.raises(KfpEdgeError, match=f"the build \\(TaskRun .* in {NAMESPACE}\\) .*{message}"):
            build(cluster, bundle, pushed_base)

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (Fault.NEVER_STARTS, "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"),
            (Fault.QUOTA, "the ResourceQuota build is used up: limits.cpu 1 asked for, 4 of 4 used"),
        ],
    )
    def test_because_it_never_starts(
        self,
        cluster: BuildCluster,
        bundle: Bundle,
        pushed_base: ImageRef,
        monkeypatch: pytest.MonkeyPatch,
        fault: Fault,
        message: str,
    ) -> None:
        def describe_and_skip_time(run: KubernetesObject, state: PodState) -> StartProblem:
            problem = describe_waiting(run, state)
            if re.search(message, problem.reason):  # once we know the reason, the time of the TaskRun may be over
                cluster.tekton.skipped_seconds = 200
            return problem

        monkeypatch.setattr(tekton, "describe_waiting", describe_and_skip_time)
        cluster.tekton.fault = fault
        with pytest.raises(KfpEdgeError, match=f"did not end within 120 s; it was waiting: {message}.*timeout"):
            build(cluster, bundle, pushed_base)

    def test_because_nobody_takes_it_up(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tekton, "_GRACE", 1)
        monkeypatch.setattr(cluster.tekton, "look", lambda: None)
        with pytest.raises(KfpEdgeError, match="no Tekton controller has taken it up"):
            build(cluster, bundle, pushed_base, timeout=1)

    def test_because_its_service_account_is_not_there(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        with pytest.raises(KfpEdgeError, match="there is no service account nobody in this namespace; create it"):
            build(cluster, bundle, pushed_base, service_account="nobody")

    def test_because_its_link_was_deleted(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At once, and not only when the time of the build is over."""
        monkeypatch.setattr(tekton, "_LOOK_SECONDS", 1)

        def lose(secret: KubernetesObject) -> None:
            cluster.fake.delete("Secret", NAMESPACE, secret["metadata"]["name"])

        with (
            on_first_object(cluster.fake, "Secret", lose),
            pytest.raises(KfpEdgeError, match='cannot start: FailedMount: .*secret "build-.*" not found.*run again'),
        ):
            build(cluster, bundle, pushed_base)

    def test_because_a_quota_wants_limits_of_containers_that_are_not_ours(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        metadata = {"name": "limits", "namespace": NAMESPACE}
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": metadata,
            "spec": {"hard": {"limits.cpu": "9"}},
        }
        cluster.fake.apply(quota)
        try:
            with pytest.raises(KfpEdgeError, match="to specify limits.cpu for: place-scripts,prepare; a LimitRange"):
                build(cluster, bundle, pushed_base)
        finally:
            cluster.fake.delete("ResourceQuota", NAMESPACE, "limits")

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("registry_secret", "no .dockerconfigjson in the Secret nobody"),
            ("ca_bundle", "no .crt in the ConfigMap nobody"),
        ],
    )
    def test_because_what_an_option_names_is_not_there(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, option: str, message: str
    ) -> None:
        with pytest.raises(KfpEdgeError, match=message):
            build(cluster, bundle, pushed_base, **{option: "nobody"})

    def test_because_the_registry_refuses_the_login(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, tmp_path: Path
    ) -> None:
        write_auth_file(tmp_path / "wrong.json", cluster.registry.host, "not the password")
        cluster.set_login(tmp_path / "wrong.json")
        with pytest.raises(KfpEdgeError, match="refused by the registry: .*check build_options' registry_secret"):
            build(cluster, bundle, pushed_base)

    def test_because_the_registry_is_not_trusted(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        with pytest.raises(KfpEdgeError, match="does not trust the registry: .*name it in build_options' ca_bundle"):
            build(cluster, bundle, pushed_base, ca_bundle="")

    def test_because_the_object_store_is_not_trusted(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        url = f"https://{cluster.registry.host}/"  # a server whose CA only the registry's option names
        message = "does not trust the object store: curl: .*certificate.*name it in build_options' ca_bundle"
        with (
            on_first_object(cluster.fake, "Secret", lambda secret: replace_link(cluster.fake, secret, url)),
            pytest.raises(KfpEdgeError, match=message),
        ):
            build(cluster, bundle, pushed_base, ca_bundle="")

    def test_because_the_object_store_cannot_be_reached(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        url = "http://127.0.0.1:1/"
        with (
            on_first_object(cluster.fake, "Secret", lambda secret: replace_link(cluster.fake, secret, url)),
            pytest.raises(KfpEdgeError, match="cannot reach the object store: curl: .*port 1.*check AWS_S3_ENDPOINT"),
        ):
            build(cluster, bundle, pushed_base)

    def test_because_its_link_has_expired(self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef) -> None:
        client = cluster.store.client()
        client.put_object(Bucket=BUCKET, Key="old", Body=b"x")
        url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "old"}, ExpiresIn=1)
        while requests.get(url, timeout=10).status_code == 200:
            pass
        client.delete_object(Bucket=BUCKET, Key="old")
        with (
            on_first_object(cluster.fake, "Secret", lambda secret: replace_link(cluster.fake, secret, url)),
            pytest.raises(KfpEdgeError, match="refused the build context .*HTTP 403.*the link expired"),
        ):
            build(cluster, bundle, pushed_base)

    def test_because_its_context_is_gone(self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef) -> None:
        def lose(run: KubernetesObject) -> None:
            cluster.store.client().delete_object(Bucket=BUCKET, Key=cluster.context_of(run))

        with (
            on_first_object(cluster.fake, "TaskRun", lose),
            pytest.raises(KfpEdgeError, match="no build context .*HTTP 404"),
        ):
            build(cluster, bundle, pushed_base)

    def test_because_its_context_was_exchanged(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        def exchange(run: KubernetesObject) -> None:
            cluster.store.client().put_object(Bucket=BUCKET, Key=cluster.context_of(run), Body=b"something else")

        with (
            on_first_object(cluster.fake, "TaskRun", exchange),
            pytest.raises(KfpEdgeError, match="not the one that was uploaded"),
        ):
            build(cluster, bundle, pushed_base)

    def test_because_somebody_cancels_it(self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef) -> None:
        def cancel(run: KubernetesObject) -> None:
            cluster.fake.update(
                "TaskRun", NAMESPACE, run["metadata"]["name"], lambda now: now["spec"].update(status="TaskRunCancelled")
            )

        with (
            on_first_object(cluster.fake, "TaskRun", cancel),
            pytest.raises(KfpEdgeError, match="was cancelled by someone"),
        ):
            build(cluster, bundle, pushed_base)

    def test_because_somebody_deletes_it(self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef) -> None:
        def remove(run: KubernetesObject) -> None:
            cluster.fake.delete("TaskRun", NAMESPACE, run["metadata"]["name"])

        with (
            on_first_object(cluster.fake, "TaskRun", remove),
            pytest.raises(KfpEdgeError, match="deleted while it ran"),
        ):
            build(cluster, bundle, pushed_base)


@pytest.mark.parametrize(("status", "message"), [(401, "registry_secret"), (500, "exit code")])
def test_a_registry_that_fails_while_the_image_is_pushed_gets_no_candidate(
    cluster: BuildCluster,
    faulty: FaultyRegistry,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    message: str,
) -> None:
    cluster.use_registry(faulty.server, monkeypatch)
    base = cluster.push(tiny_base(tmp_path / "base"), "tiny-base")
    faulty.fault = lambda method, _: status if method in ("PATCH", "PUT") else None
    with pytest.raises(KfpEdgeError, match=message):
        build(cluster, bundle, base)
    faulty.fault = None
    assert tag_of(cluster, bundle) is None
    assert (cluster.list_objects(), cluster.list_contexts()) == ([], [])
