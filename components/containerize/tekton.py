"""A build in the cluster: Buildah in a TaskRun, which is started, followed, and removed whatever happens.

The Secret with the link comes first and the TaskRun owns it as soon as that is there: in the other order the
pod would try to mount a Secret that does not exist, and a kubelet waits long before it tries again. The object
comes between them. So wherever this process is killed, what stays in the object store is named by an annotation
(`kfp-edge.io/context`) of an object in the cluster, and everything in the cluster says when it expires.
"""

import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp_edge.cluster import Cluster, in_pod
from kfp_edge.cluster.metadata import CONTEXT_ANNOTATION, EXPIRES_ANNOTATION, expiry_time, run_labels, unique_name
from kfp_edge.cluster.objects import owner_reference
from kfp_edge.components.containerize.build_context import write_context
from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.components.containerize.step_logs import StepLogs
from kfp_edge.components.containerize.task_run import Build, secret, task_run
from kfp_edge.components.containerize.task_run_status import condition, ended, failure, waiting
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.references import ImageRef, ImageRepository
from kfp_edge.images.registry import read_manifest
from kfp_edge.images.skopeo import registry_flags, skopeo
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import sha256_file
from kfp_edge.storage.s3 import delete, presigned_url, upload

# Seconds that Tekton gets to tell how a build ended whose time is over.
_GRACE = 60
# Seconds after that when a sweep may take what a killed process left.
_MARGIN = 600


def build_in_cluster(spec: ImageSpec, destination: ImageRepository, options: BuildOptions, run_id: str) -> ImageRef:
    """Let Tekton build and push the image of a spec, and check what is in the registry then.

    Returns:
        The image as the registry reports it.

    Raises:
        KfpEdgeError: the parameters do not fit such a build, the cluster or the object store refuses,
            the build fails or takes too long, or what was pushed is something else.
    """
    if destination.transport != "docker":
        raise KfpEdgeError(f"a build in the cluster cannot push to {destination}; name docker://HOST/REPO in registry.")
    if not options.context:
        raise KfpEdgeError(
            "a build in the cluster needs a place for its context; name s3://BUCKET/PREFIX in build_options' "
            "context, or choose build=append, which needs none."
        )
    start = time.perf_counter()
    cluster = Cluster.connect()
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as folder:
        archive = Path(folder) / "context.tar.gz"
        write_context(spec, archive)
        build = _planned(cluster, spec, destination, archive, options, run_id)
        logs = StepLogs(cluster)
        try:
            _begin(cluster, build, archive)
            run = _followed(cluster, build, logs)
        finally:
            with deferred_signals():
                _clean_up(cluster, build)
            logs.finish()
    image = destination.image(_result(run, "IMAGE_DIGEST"))
    _check(image, spec)
    print(f"built and pushed {image} with Tekton in {time.perf_counter() - start:.2f} s", flush=True)
    return image


def _planned(
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
        owners=_own_pod(cluster),
        image=f"{destination.path}:{spec.tag}",
        flags=(
            f"--timestamp={spec.epoch}",
            *(f"--build-arg={key}={value}" for key, value in arguments.items()),
            *(f"--label={key}={value}" for key, value in spec.labels.items()),
        ),
        platforms=_platforms(base),
        context=context,
        sha256=sha256_file(archive),
        options=options,
    )


def _own_pod(cluster: Cluster) -> tuple[dict[str, Any], ...]:
    """Return a reference to the pod we run in, if we do; a host name may be a part of the pod's name only."""
    name = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    pod = cluster.get("Pod", name) if name and in_pod() else None
    return () if pod is None else (owner_reference(pod),)


def _platforms(base: ImageRef) -> tuple[str, ...]:
    entries = [entry.get("platform", {}) for entry in read_manifest(base).get("manifests", [])]
    return tuple(
        "/".join(filter(None, (entry["os"], entry["architecture"], entry.get("variant", ""))))
        for entry in entries
        # what else is in an index, such as attestations, is not for a platform that exists
        if entry.get("os") == "linux"
    )


def _begin(cluster: Cluster, build: Build, archive: Path) -> None:
    url = presigned_url(build.context, build.options.timeout + _GRACE)
    with deferred_signals():
        cluster.create(secret(build, url))
    upload(archive, build.context)
    with deferred_signals():
        run = cluster.create(task_run(build))
        cluster.patch("Secret", build.name, {"metadata": {"ownerReferences": [owner_reference(run)]}})
    print(f"TaskRun {build.name} in {cluster.namespace} builds {build.image}", flush=True)


def _followed(cluster: Cluster, build: Build, logs: StepLogs) -> dict[str, Any]:
    """Return the TaskRun when it has succeeded."""
    what = f"the build (TaskRun {build.name} in {cluster.namespace})"
    waited = ""
    for run in cluster.watch("TaskRun", build.name, build.options.timeout + _GRACE):
        if run is None:
            raise KfpEdgeError(f"{what} was deleted while it ran; run again, and find out who deletes TaskRuns.")
        logs.follow(run)
        if ended(run):
            logs.finish()
            if condition(run)["status"] == "True":
                return run
            raise KfpEdgeError(f"{what} {failure(run, _pod(cluster, run), waited, logs.last, build.options)}")
        waits = waiting(run, _pod(cluster, run))
        if waits and waits != waited and condition(run):  # in the first moment nobody can have taken it up
            print(f"TaskRun {build.name} waits: {waits}", flush=True)
        waited = waits
    why = f"; it was waiting: {waited}" if waited else ""
    raise KfpEdgeError(f"{what} did not end within {build.options.timeout} s{why}; raise build_options' timeout.")


def _pod(cluster: Cluster, run: dict[str, Any]) -> dict[str, Any] | None:
    name = run.get("status", {}).get("podName", "")
    return cluster.get("Pod", name) if name else None


def _clean_up(cluster: Cluster, build: Build) -> None:
    """Cancel the build if it still runs and remove all that was made for it."""

    def cancel() -> None:
        run = cluster.get("TaskRun", build.name)
        if run is not None and not ended(run):
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
        except KfpEdgeError as error:  # the next may go well, and why the build failed matters more
            print(f"warning: of TaskRun {build.name} something stays until the next sweep: {error}", flush=True)


def _result(run: dict[str, Any], name: str) -> str:
    for result in run["status"].get("results", []):
        if result["name"] == name:
            return str(result["value"]).strip()
    raise KfpEdgeError(f"the TaskRun {run['metadata']['name']} succeeded without the result {name}; report this.")


def _check(image: ImageRef, spec: ImageSpec) -> None:
    """Check that the registry has the image, and that it is the one that was to be built."""
    entries = read_manifest(image).get("manifests", [{"digest": image.digest}])
    for one in (image.home.image(entry["digest"]) for entry in entries):
        shown = skopeo("inspect", "--config", *registry_flags("", one.home.host), str(one), where=str(one.home))
        found = json.loads(shown)["config"].get("Labels") or {}
        for key, value in spec.labels.items():
            if found.get(key) != value:
                raise KfpEdgeError(
                    f"{one} says {key}={found.get(key)!r}, but {value!r} was to be built; "
                    "do not use it, and check who else may push there."
                )
