"""A build in the cluster: Buildah in a TaskRun, which is started, followed, and removed whatever happens.

The Secret with the presigned link is created first: the pod of a TaskRun would wait long for a Secret that is not there
yet. Then the build context is uploaded, then the TaskRun is created. The TaskRun goes with the pod that made it; the
Secret has no owner, because its annotation `kfp-edge.io/context` names the build context. So wherever this process is
killed, the cluster has an object that names what is in the object store, and everything has an expiry time.
"""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from kfp_edge.components.containerize.build_context import write_context
from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.components.containerize.parameters import check_build_in_cluster
from kfp_edge.components.containerize.pod_state import PodReader, PodState
from kfp_edge.components.containerize.step_logs import StepLogs
from kfp_edge.components.containerize.task_run import Build, make_secret, make_task_run
from kfp_edge.components.containerize.task_run_status import (
    describe_failure,
    describe_start_failure,
    describe_waiting,
    get_condition,
    has_broken_step,
    has_ended,
    is_running,
)
from kfp_edge.errors import ImageError, KfpEdgeError, StorageError
from kfp_edge.images.base_addresses import SCRATCH
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.platforms import PLATFORMS
from kfp_edge.images.registry import linux_images, read_labels, read_manifest
from kfp_edge.images.serving.model_bases import BaseImage
from kfp_edge.kubernetes import Cluster, in_pod
from kfp_edge.kubernetes.metadata import expiry_time, run_labels, unique_name
from kfp_edge.kubernetes.objects import KubernetesObject, owner_reference
from kfp_edge.kubernetes.pods import find_failed_init_container
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import sha256_file
from kfp_edge.storage.s3 import delete, presigned_url, upload

# Seconds that Tekton gets, once the time of a build is over, to report how it ended.
_GRACE = 60
# Seconds after that until a sweep may delete what a killed process left.
_MARGIN = 600
# A TaskRun does not change when its pod waits for something else: so often we look at the pod.
_LOOK_SECONDS = 5


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
        is_stored = True
        try:
            _start(cluster, build, archive)
            run = _follow(cluster, build, logs)
        except StorageError:
            is_stored = False  # the store refused the context, or could not be reached
            raise
        finally:
            with deferred_signals():
                _clean_up(cluster, build, is_stored=is_stored)
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
    return Build(
        name=name,
        labels=run_labels("build", run_id),
        expires=expiry_time(options.timeout + _GRACE + _MARGIN),
        owners=_find_own_pod(cluster),
        image=f"{destination.path}:{spec.tag}",
        flags=tuple(_list_flags(spec)),
        platforms=_list_platforms(spec.base),
        context=context,
        sha256=sha256_file(archive),
        options=options,
    )


def _list_flags(spec: ImageSpec) -> Iterator[str]:
    """Yield the flags of `buildah build` that say what is built."""
    base, manifest = spec.base, spec.bundle.manifest
    yield f"--timestamp={spec.epoch}"
    yield f"--build-arg=BASE={f'{base.image.repository}@{base.image.digest}' if base else SCRATCH}"
    if spec.format == ModelFormat.IMAGE:
        yield from (f"--build-arg=NAME={manifest.name}", f"--build-arg=VERSION={manifest.version}")
    yield from (f"--label={key}={value}" for key, value in spec.labels.items())
    if spec.format == ModelFormat.MODELCAR:
        yield from (f"--annotation={key}={value}" for key, value in spec.labels.items())


def _find_own_pod(cluster: Cluster) -> tuple[KubernetesObject, ...]:
    """Return a reference to the pod we run in, if we do; a host name may be only a part of the pod's name."""
    name = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    pod = cluster.get("Pod", name) if name and in_pod() else None
    return () if pod is None else (owner_reference(pod),)


def _list_platforms(base: BaseImage | None) -> tuple[str, ...]:
    """Return the platforms of an index as Buildah writes them, `linux/arm64/v8`; none for an image of one platform.

    Without a base, all that we know share the files.
    """
    if base is None:
        platforms = [platform.fields for platform in PLATFORMS]
    else:
        platforms = [entry["platform"] for entry in linux_images(base.image)]
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
        cluster.create(make_task_run(build))
    print(f"TaskRun {build.name} in {cluster.namespace} builds {build.image}", flush=True)


def _follow(cluster: Cluster, build: Build, logs: StepLogs) -> KubernetesObject:
    """Wait until the TaskRun has succeeded, and return it."""
    what = f"the build (TaskRun {build.name} in {cluster.namespace})"
    pods, waited_for = PodReader(cluster), ""
    for run in cluster.watch("TaskRun", build.name, build.options.timeout + _GRACE, repeat=_LOOK_SECONDS):
        if run is None:
            raise ImageError(f"{what} was deleted while it ran; run again, and find out who deletes TaskRuns.")
        logs.follow(run)
        if has_ended(run) and get_condition(run)["status"] == "True":
            return run
        if has_ended(run) or has_broken_step(run):
            state = pods.read(run)
            _follow_failed_init_container(logs, state)
            if has_ended(run):  # else the other steps wait for the broken one, and log nothing
                logs.finish()
            raise ImageError(f"{what} {describe_failure(run, state, waited_for, logs.last_lines, build.options)}")
        state = PodState() if is_running(run) else pods.read(run)
        problem = describe_waiting(run, state)
        if problem.unrecoverable:
            raise ImageError(f"{what} {describe_start_failure(run, state, problem.reason, build.options)}")
        if problem.reason not in ("", waited_for) and get_condition(run):  # at first no controller has seen it yet
            print(f"TaskRun {build.name} waits: {problem.reason}", flush=True)
        waited_for = problem.reason
    why = f"; it was waiting: {waited_for}" if waited_for else ""
    raise ImageError(f"{what} did not end within {build.options.timeout} s{why}; raise build_options' timeout.")


def _follow_failed_init_container(logs: StepLogs, state: PodState) -> None:
    if state.pod is not None and (container := find_failed_init_container(state.pod)):
        logs.follow_container(container["name"], state.pod["metadata"]["name"], container["name"])


def _clean_up(cluster: Cluster, build: Build, *, is_stored: bool) -> None:
    """Cancel the build if it still runs and delete everything that was created for it.

    The Secret is deleted last, as it names the context: if that was stored and cannot be deleted, the Secret stays.
    """

    def cancel() -> None:
        run = cluster.get("TaskRun", build.name)
        if run is not None and not has_ended(run):
            cluster.patch("TaskRun", build.name, {"spec": {"status": "TaskRunCancelled"}})

    def delete_context() -> None:
        with suppress(*(() if is_stored else (StorageError,))):
            delete(build.context)
        cluster.delete("Secret", build.name)

    steps: tuple[Callable[[], object], ...] = (cancel, lambda: cluster.delete("TaskRun", build.name), delete_context)
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
