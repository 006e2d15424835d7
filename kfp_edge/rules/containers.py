"""Rules on what runs in a pod: its image, its resources, its commands, its rights."""

import re
from collections.abc import Iterator

from kfp_edge.rules.context import LintContext
from kfp_edge.spec.fields import Finding, at

_DIGEST = re.compile(r"@\w+:[0-9a-f]{32,}$")
_PLACEHOLDER = "{{"
_PIP = re.compile(r"\bpip[\d.]* +(?:-\S+ +)*install\b")
_OTHER_INSTALLERS = re.compile(
    r"\b(?:apt|apt-get|dnf|microdnf|yum|apk|conda|mamba|micromamba|npm) +(?:-\S+ +)*(?:install|add)\b"
)
_IMAGE_BUILD = re.compile(r"\b(?:buildah +(?:build|bud)|(?:podman|docker) +(?:build|run))\b|/kaniko/executor\b")


def images(subject: LintContext) -> Iterator[Finding]:
    """Find images that may be another one tomorrow."""
    for container in subject.containers:
        image, place = container.spec.image, at(container.path, "image")
        if _PLACEHOLDER in image or _DIGEST.search(image):
            continue
        tag = image.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            said = "the tag latest" if tag else "no tag, which means latest"
            yield Finding("KE007", place, f"{image} has {said}; name a version, by digest at best.")
        else:
            yield Finding("KE001", place, f"{image} is named by a tag, which can be moved; pin it by digest.")


def resources(subject: LintContext) -> Iterator[Finding]:
    """Find containers that may take all of a node, or are placed without regard to what they need."""
    for container in subject.containers:
        given = container.spec.resources
        place = at(container.path, "resources") if container.spec.HasField("resources") else container.path
        for code, what in (("KE002", "limit"), ("KE003", "request")):
            missing = [
                kind
                for kind, names in (("CPU", f"cpu_{what}"), ("memory", f"memory_{what}"))
                if not getattr(given, names) and not getattr(given, f"resource_{names}")
            ]
            if missing:
                yield Finding(code, place, f"there is no {' and no '.join(missing)} {what}.")


def installs(subject: LintContext) -> Iterator[Finding]:
    """Find containers that install packages before they do their work."""
    for container in subject.containers:
        if said := container.runs(_PIP, _OTHER_INSTALLERS):
            yield Finding("KE004", said.path, f"`{said.text}` runs each time the pod starts.")


def rights(subject: LintContext) -> Iterator[Finding]:
    """Find what the pods of OpenShift AI may not do."""
    for container in subject.containers:
        context = container.platform.security_context
        if context.HasField("run_as_user"):
            place = at(container.platform_path, "securityContext", "runAsUser")
            yield Finding("KE010", place, f"asks to run as user {context.run_as_user}; OpenShift chooses the user.")
        if said := container.runs(_IMAGE_BUILD):
            yield Finding("KE014", said.path, f"`{said.text}` needs rights that a pipeline's pod does not get.")
