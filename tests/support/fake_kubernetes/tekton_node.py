"""The node below the fake Tekton: the images that it can pull, and what goes wrong on it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
