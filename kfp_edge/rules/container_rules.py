"""Rules on what runs in a pod: its image, resources, commands and security context."""

import re
from collections.abc import Iterator

from kfp_edge.rules.context import LintContext
from kfp_edge.spec.validation.lint_findings import Finding, join_path

_DIGEST = re.compile(r"@\w+:[0-9a-f]{32,}$")
_PLACEHOLDER = "{{"
_PIP = re.compile(r"\bpip[\d.]* +(?:-\S+ +)*install\b")
_OTHER_INSTALLERS = re.compile(
    r"\b(?:apt|apt-get|dnf|microdnf|yum|apk|conda|mamba|micromamba|npm) +(?:-\S+ +)*(?:install|add)\b"
)
_IMAGE_BUILD = re.compile(r"\b(?:buildah +(?:build|bud)|(?:podman|docker) +(?:build|run))\b|/kaniko/executor\b")


def check_images(context: LintContext) -> Iterator[Finding]:
    """Find images whose name may refer to another image tomorrow."""
    for container in context.containers:
        image, path = container.spec.image, join_path(container.path, "image")
        if _PLACEHOLDER in image or _DIGEST.search(image):
            continue
        tag = image.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            problem = "the tag latest" if tag else "no tag, which means latest"
            yield Finding("KE007", path, f"{image} has {problem}; name a version, preferably a digest.")
        else:
            yield Finding("KE001", path, f"{image} is named by a tag, which can be moved; pin it by digest.")


def check_resources(context: LintContext) -> Iterator[Finding]:
    """Find containers without resource limits or requests."""
    for container in context.containers:
        resources = container.spec.resources
        path = join_path(container.path, "resources") if container.spec.HasField("resources") else container.path
        for code, kind in (("KE002", "limit"), ("KE003", "request")):
            missing = [
                resource
                for resource, field in (("CPU", f"cpu_{kind}"), ("memory", f"memory_{kind}"))
                if not getattr(resources, field) and not getattr(resources, f"resource_{field}")
            ]
            if missing:
                yield Finding(code, path, f"there is no {' and no '.join(missing)} {kind}.")


def check_package_installs(context: LintContext) -> Iterator[Finding]:
    """Find containers that install packages at start-up."""
    for container in context.containers:
        if command := container.find_command(_PIP, _OTHER_INSTALLERS):
            yield Finding("KE004", command.path, f"`{command.text}` runs each time the pod starts.")


def check_privileges(context: LintContext) -> Iterator[Finding]:
    """Find containers that need what the pods of OpenShift AI may not do."""
    for container in context.containers:
        security_context = container.platform.security_context
        if security_context.HasField("run_as_user"):
            path = join_path(container.platform_path, "securityContext", "runAsUser")
            user = security_context.run_as_user
            yield Finding("KE010", path, f"asks to run as user {user}; OpenShift chooses the user.")
        if command := container.find_command(_IMAGE_BUILD):
            message = f"`{command.text}` needs privileges that a pipeline's pod does not get."
            yield Finding("KE014", command.path, message)
