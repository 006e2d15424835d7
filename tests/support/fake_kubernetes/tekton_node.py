"""The node below the fake Tekton: the images that it can pull, and what goes wrong on it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: What the scheduler, the kubelet and containerd report.
NO_NODE = (
    "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 "
    "Preemption is not helpful for scheduling."
)
LOW_ON_MEMORY = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 68Mi."
START_ERROR = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "/absent": stat /absent: no such file or directory: unknown'
)


def pull_error(image: str) -> str:
    """What containerd says of an image in a registry that asks for a login."""
    return (
        f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": pulling from host '
        f"{image.partition('/')[0]} failed with status code [manifests 1]: 401 Unauthorized"
    )


class Fault(enum.Enum):
    """What goes wrong with every TaskRun that starts while it is set."""

    #: No node has room for the Pod; it waits until the TaskRun's timeout.
    NEVER_STARTS = enum.auto()
    #: The images cannot be pulled.
    IMAGE_PULL = enum.auto()
    #: The namespace's quota is used up: there is no Pod until the TaskRun ends.
    QUOTA = enum.auto()
    #: No security context constraint allows the Pod.
    ADMISSION = enum.auto()
    #: The node evicts the Pod when a step has written its first line.
    EVICTED = enum.auto()
    #: The kernel kills the first step that writes a line, for want of memory.
    OUT_OF_MEMORY = enum.auto()
    #: The first step cannot be started; the others wait for it, as Tekton's entrypoint does.
    START_ERROR = enum.auto()
    #: Somebody deletes the Pod when a step has written its first line.
    POD_DELETED = enum.auto()
    #: The image of Tekton's first init container cannot be pulled; Tekton waits.
    INIT_IMAGE_PULL = enum.auto()
    #: The last init container fails.
    INIT_FAILS = enum.auto()


@dataclass(frozen=True)
class Image:
    """What stands for an image: this machine's programs, and what its configuration and content add to them.

    `folders` are folders of this machine, such as a virtual environment, that are in the image at the same path.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


class TaskRunEndedError(Exception):
    """A TaskRun ends before its steps do; without a reason if it was deleted or the fake stops."""

    def __init__(self, reason: str = "", message: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
