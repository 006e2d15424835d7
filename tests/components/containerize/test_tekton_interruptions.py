"""Builds in the cluster whose process is killed."""

import signal
from collections.abc import Callable

import pytest

from kfp_edge.cluster.metadata import EXPIRES_ANNOTATION
from kfp_edge.cluster.objects import KubernetesObject
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from support.cluster_builds import (
    BUCKET,
    BuildCluster,
    interrupt_build,
)

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
    def test_by_sigkill_leaves_only_what_a_sweep_finds(
        self,
        cluster: BuildCluster,
        bundle: Bundle,
        pushed_base: ImageRef,
        kind: str,
        reached: Callable[[KubernetesObject], bool],
    ) -> None:
        interrupt_build(cluster, bundle, pushed_base, kind, reached, signal.SIGKILL)
        left = [each for each in cluster.list_objects() if each["kind"] in ("TaskRun", "Secret")]
        assert left
        assert all(EXPIRES_ANNOTATION in each["metadata"]["annotations"] for each in left)
        named = {each["metadata"]["annotations"]["kfp-edge.io/context"] for each in left}
        cluster.remove_all()
        stored = cluster.list_contexts()
        for uri in stored:
            cluster.store.client().delete_object(Bucket=BUCKET, Key=uri.partition(f"{BUCKET}/")[2])
        assert set(stored) <= named
