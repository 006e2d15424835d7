"""Builds in the cluster whose process is killed."""

import os
import signal
from collections.abc import Callable

import pytest

from kfp_edge.components.clean_up.clean_up import clean_up
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.kubernetes.metadata import EXPIRES_ANNOTATION
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.ml.bundle import Bundle
from support.cluster_builds import NAMESPACE, RUN, USER, BuildCluster, interrupt_build

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group(__name__),
    pytest.mark.root,
]


def has_pod(run: KubernetesObject) -> bool:
    return bool(run.get("status", {}).get("podName"))


class TestABuildThatIsKilled:
    # what has happened when the signal comes: a kind of object, and its state
    POINTS = (
        pytest.param("Secret", lambda secret: "data" in secret or "stringData" in secret, id="link"),
        pytest.param("TaskRun", lambda run: True, id="task-run"),
        pytest.param("TaskRun", has_pod, id="pod"),
        pytest.param(
            "TaskRun", lambda run: any("running" in step for step in run.get("status", {}).get("steps", [])), id="steps"
        ),
    )

    @pytest.mark.parametrize(("kind", "reached"), POINTS)
    def test_by_sigterm_leaves_nothing(
        self,
        cluster: BuildCluster,
        bundle: Bundle,
        pushed_base: ImageRef,
        kind: str,
        reached: Callable[[KubernetesObject], bool],
    ) -> None:
        _, exit_code = interrupt_build(cluster, bundle, pushed_base, kind, reached, signal.SIGTERM)
        assert exit_code == 130
        assert (cluster.list_objects(), cluster.list_contexts()) == ([], [])

    def test_by_sigterm_cancels_its_task_run(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        name, _ = interrupt_build(cluster, bundle, pushed_base, "TaskRun", has_pod, signal.SIGTERM)
        states = [
            each for each in cluster.list_states() if each["kind"] == "TaskRun" and each["metadata"]["name"] == name
        ]
        assert states[-1]["spec"]["status"] == "TaskRunCancelled"

    @pytest.mark.parametrize(("kind", "reached"), POINTS)
    @pytest.mark.parametrize("pod_is_deleted", [False, True], ids=["process", "pod"])
    def test_by_sigkill_leaves_only_what_clean_up_deletes(
        self,
        cluster: BuildCluster,
        bundle: Bundle,
        pushed_base: ImageRef,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        reached: Callable[[KubernetesObject], bool],
        pod_is_deleted: bool,
    ) -> None:
        """So it is with every pod of KFP that is deleted: its launcher ends at once."""
        for name, value in cluster.fake.pod(USER, NAMESPACE).items():
            monkeypatch.setenv(name, value)
        interrupt_build(cluster, bundle, pushed_base, kind, reached, signal.SIGKILL)
        left = [each for each in cluster.list_objects() if each["kind"] in ("TaskRun", "Secret")]
        assert all(EXPIRES_ANNOTATION in each["metadata"]["annotations"] for each in left)
        if pod_is_deleted:
            cluster.fake.delete("Pod", NAMESPACE, os.environ["HOSTNAME"])
        assert "Secret" in {each["kind"] for each in cluster.list_objects()}
        clean_up(RUN, {})
        assert (cluster.list_objects(), cluster.list_contexts()) == ([], [])
