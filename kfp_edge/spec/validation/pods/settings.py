"""Settings of a pod that are one value each: its image, times, user, labels and image pull secrets."""

from collections.abc import Iterator

from kfp_edge.kubernetes.names import describe_bad_image
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.object_names import secret_reference
from kfp_edge.spec.validation.pods.task_pod import (
    POD_REFUSED,
    POD_WAITS,
    TASK_FAILS,
    TaskPod,
    is_known,
    quote,
    task_finding,
)
from kfp_edge.spec.validation.pods.volumes import check_metadata

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_LARGEST_INT32 = 2**31 - 1
_LARGEST_ANNOTATIONS = 256 * 1024


def check_settings(pod: TaskPod) -> Iterator[Finding]:
    """Find settings that a pod cannot have."""
    yield from _check_container(pod)
    platform, path = pod.platform, pod.platform_path
    if platform.image_pull_policy and platform.image_pull_policy not in _PULL_POLICIES:
        message = f"is {quote(platform.image_pull_policy)}, {TASK_FAILS}; write one of {', '.join(_PULL_POLICIES)}."
        yield task_finding(join_path(path, "imagePullPolicy"), message)
    if platform.active_deadline_seconds > _LARGEST_INT32:
        message = f"is {platform.active_deadline_seconds}, {POD_REFUSED}; write at most {_LARGEST_INT32} seconds."
        yield task_finding(join_path(path, "activeDeadlineSeconds"), message)
    for index, secret in enumerate(platform.image_pull_secret):
        reference = secret_reference(f"{join_path(path, 'imagePullSecret')}[{index}]", secret)
        if reference.name == "":
            yield reference.missing_name()
    for key, number in (
        ("runAsUser", platform.security_context.run_as_user),
        ("runAsGroup", platform.security_context.run_as_group),
    ):
        if not 0 <= number <= _LARGEST_INT32:
            message = f"is {number}, {POD_REFUSED}; write a number from 0 to {_LARGEST_INT32}, or leave it out."
            yield task_finding(join_path(path, "securityContext", key), message)
    yield from _check_metadata(pod)


def _check_container(pod: TaskPod) -> Iterator[Finding]:
    image = pod.container.image
    if image and is_known(image) and (remedy := describe_bad_image(image)):
        consequence = POD_REFUSED if image != image.strip() else POD_WAITS
        message = f"is {quote(image)}, which is no reference to an image, {consequence}; {remedy}."
        yield task_finding(join_path(pod.path, "image"), message)
    if not pod.container.command and not pod.container.args:
        message = (
            f"is missing, {TASK_FAILS}, since KFP does not run what the image starts by itself; write the program."
        )
        yield task_finding(join_path(pod.path, "command"), message)


def _check_metadata(pod: TaskPod) -> Iterator[Finding]:
    path = join_path(pod.platform_path, "podMetadata")
    metadata = pod.platform.pod_metadata
    labels, annotations = (
        {key: value for key, value in field.items() if is_known(key) and is_known(value)}
        for field in (metadata.labels, metadata.annotations)
    )
    yield from check_metadata(labels, annotations, path)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _LARGEST_ANNOTATIONS:
        message = f"has {size} bytes, {POD_REFUSED}; write at most {_LARGEST_ANNOTATIONS}."
        yield task_finding(join_path(path, "annotations"), message)
