"""A build in the cluster: Buildah in a TaskRun, which is started, followed, and removed whatever happens.

The Secret with the presigned link is created first, and the TaskRun owns it as soon as that exists: in the other
order the pod would try to mount a Secret that does not exist, and a kubelet waits long before it tries again. The
build context is uploaded between them. So wherever this process is killed, what stays in the object store is named by
an annotation (`kfp-edge.io/context`) of an object in the cluster, and everything in the cluster has an expiry time.
"""

import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from kfp_edge.cluster import Cluster, in_pod
from kfp_edge.cluster.metadata import CONTEXT_ANNOTATION, EXPIRES_ANNOTATION, expiry_time, run_labels, unique_name
from kfp_edge.cluster.objects import KubernetesObject, owner_reference
from kfp_edge.components.containerize.build_context import write_context
from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.components.containerize.parameters import check_build_in_cluster
from kfp_edge.components.containerize.step_logs import StepLogs
from kfp_edge.components.containerize.task_run import Build, make_secret, make_task_run
from kfp_edge.components.containerize.task_run_status import (
    describe_failure,
    describe_waiting,
    get_condition,
    has_ended,
)
from kfp_edge.errors import ImageError, KfpEdgeError
from kfp_edge.images.oci.documents import linux_manifests
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.registry import read_labels, read_manifest
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import sha256_file
from kfp_edge.storage.s3 import delete, presigned_url, upload

# Seconds that Tekton gets, once the time of a build is over, to report how it ended.
_GRACE = 60
# Seconds after that until a sweep may delete what a killed process left.
_MARGIN = 600


def build_in_cluster(spec: ImageSpec, destination: ImageRepository, options: BuildOptions, run_id: str) -> ImageRef:
    """Let Tekton build and push an image, and check what is in the registry then.

    Returns:
        The image as the registry reports it.

    Raises:
        KfpEdgeError: the parameters do not fit such a build, the cluster or the object store refuses,
            the build fails or takes too long, or what was pushed is something else.
    """
    check_build_in_cluster(destination, options)
    start = time.perf_counter()
    cluster = Cluster.connect()
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as folder:
        archive = Path(folder) / "context.tar.gz"
        write_context(spec, archive)
        build = _plan_build(cluster, spec, destination, archive, options, run_id)
        logs = StepLogs(cluster)
        try:
            _start(cluster, build, archive)
            run = _follow(cluster, build, logs)
        finally:
            with deferred_signals():
                _clean_up(cluster, build)
            logs.finish()
    image = destination.image(_read_result(run, "IMAGE_DIGEST"))
    _check_labels(image, spec)
    print(f"built and pushed {image} with Tekton in {time.perf_counter() - start:.2f} s", flush=True)
    return image


def _plan_build(
    cluster: Cluster, spec: ImageSpec, destination: ImageRepository, archive: Path, options: BuildOptions, run_id: str
) -> Build:
    run_id = run_id or uuid.uuid4().hex
    name = unique_name("build", run_id)
    context = f"{options.context.rstrip('/')}/{name}.tar.gz"
    base, manifest = spec.base.image, spec.bundle.manifest
    arguments = {"BASE": f"{base.repository}@{base.digest}", "NAME": manifest.name, "VERSION": manifest.version}
    return Build(
        name=name,
        labels=run_labels("build", run_id),
        annotations={EXPIRES_ANNOTATION: expiry_time(options.timeout + _GRACE + _MARGIN), CONTEXT_ANNOTATION: context},
        owners=_find_own_pod(cluster),
        image=f"{destination.path}:{spec.tag}",
        flags=(
            f"--timestamp={spec.epoch}",
            *(f"--build-arg={key}={value}" for key, value in arguments.items()),
            *(f"--label={key}={value}" for key, value in spec.labels.items()),
        ),
        platforms=_list_platforms(base),
        context=context,
        sha256=sha256_file(archive),
        options=options,
    )


def _find_own_pod(cluster: Cluster) -> tuple[KubernetesObject, ...]:
    """Return a reference to the pod we run in, if we do; a host name may be only a part of the pod's name."""
    name = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    pod = cluster.get("Pod", name) if name and in_pod() else None
    return () if pod is None else (owner_reference(pod),)


def _list_platforms(base: ImageRef) -> tuple[str, ...]:
    """Return the platforms of an index as Buildah writes them, `linux/arm64/v8`; none for an image of one platform."""
    platforms = [entry["platform"] for entry in linux_manifests(read_manifest(base))]
    return tuple(
        "/".join(filter(None, (platform["os"], platform["architecture"], platform.get("variant", ""))))
        for platform in platforms
    )


def _start(cluster: Cluster, build: Build, archive: Path) -> None:
    url = presigned_url(build.context, build.options.timeout + _GRACE)
    with deferred_signals():
        cluster.create(make_secret(build, url))
    upload(archive, build.context)
    with deferred_signals():
        run = cluster.create(make_task_run(build))
        cluster.patch("Secret", build.name, {"metadata": {"ownerReferences": [owner_reference(run)]}})
    print(f"TaskRun {build.name} in {cluster.namespace} builds {build.image}", flush=True)


def _follow(cluster: Cluster, build: Build, logs: StepLogs) -> KubernetesObject:
    """Wait until the TaskRun has succeeded, and return it."""
    what = f"the build (TaskRun {build.name} in {cluster.namespace})"
    waited_for = ""
    for run in cluster.watch("TaskRun", build.name, build.options.timeout + _GRACE):
        if run is None:
            raise ImageError(f"{what} was deleted while it ran; run again, and find out who deletes TaskRuns.")
        logs.follow(run)
        if has_ended(run):
            logs.finish()
            if get_condition(run)["status"] == "True":
                return run
            pod = _get_pod(cluster, run)
            raise ImageError(f"{what} {describe_failure(run, pod, waited_for, logs.last_lines, build.options)}")
        waits_for = describe_waiting(run, _get_pod(cluster, run))
        if waits_for and waits_for != waited_for and get_condition(run):  # at first no controller has seen it yet
            print(f"TaskRun {build.name} waits: {waits_for}", flush=True)
        waited_for = waits_for
    why = f"; it was waiting: {waited_for}" if waited_for else ""
    raise ImageError(f"{what} did not end within {build.options.timeout} s{why}; raise build_options' timeout.")


def _get_pod(cluster: Cluster, run: KubernetesObject) -> KubernetesObject | None:
    name = run.get("status", {}).get("podName", "")
    return cluster.get("Pod", name) if name else None


def _clean_up(cluster: Cluster, build: Build) -> None:
    """Cancel the build if it still runs and delete everything that was created for it."""

    def cancel() -> None:
        run = cluster.get("TaskRun", build.name)
        if run is not None and not has_ended(run):
            cluster.patch("TaskRun", build.name, {"spec": {"status": "TaskRunCancelled"}})

    steps: tuple[Callable[[], object], ...] = (
        cancel,
        lambda: delete(build.context),
        lambda: cluster.delete("TaskRun", build.name),
        lambda: cluster.delete("Secret", build.name),
    )
    for step in steps:
        try:
            step()
        except KfpEdgeError as error:  # the next step may succeed, and the reason why the build failed matters more
            print(f"warning: objects of TaskRun {build.name} remain until the next clean_up: {error}", flush=True)


def _read_result(run: KubernetesObject, name: str) -> str:
    for result in run["status"].get("results", []):
        if result["name"] == name:
            return str(result["value"]).strip()
    raise ImageError(f"the TaskRun {run['metadata']['name']} succeeded without the result {name}; report this.")


def _check_labels(image: ImageRef, spec: ImageSpec) -> None:
    """Check that the registry has the image, and that it is the one that was to be built."""
    manifest = read_manifest(image)
    digests = [entry["digest"] for entry in manifest["manifests"]] if "manifests" in manifest else [image.digest]
    for platform_image in map(image.home.image, digests):
        labels = read_labels(platform_image)
        for key, value in spec.labels.items():
            if labels.get(key) != value:
                raise ImageError(
                    f"{platform_image} has the label {key}={labels.get(key)!r}, but {value!r} was to be built; "
                    "do not use it, and check who else may push there."
                )
