"""What one pod of a run needs of its namespace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

#: Kinds of objects that a pod names.
Kind = Literal["Secret", "ConfigMap", "PersistentVolumeClaim", "ServiceAccount"]


@dataclass(frozen=True)
class ObjectNeed:
    """An object that a pod names.

    Attributes:
        kind: Its kind.
        name: Its name.
        keys: The keys that it must have; empty if any do.
        is_required: Whether the pod cannot start without it.
        parameter: The parameter of the pipeline that names it; empty if the pipeline itself does.
        reason: Why the run is likely to fail without it although the pod starts; empty if it is not.
    """

    kind: Kind
    name: str
    keys: frozenset[str] = frozenset()
    is_required: bool = True
    parameter: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ContainerNeeds:
    """A container: its requests and limits, quantities by `cpu` and `memory`; empty where it names none."""

    name: str
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Destination:
    """A port that a pod connects to: `what` is it, such as `the registry registry.example.com`."""

    what: str
    port: int


@dataclass(frozen=True)
class PodNeeds:
    """What a pod needs.

    Attributes:
        title: Which pod it is, as part of a sentence: `the stage train`.
        namespace: Its namespace; empty for that of the run.
        image: Its image; empty if it is not known before the run.
        pull_secret: The Secret with which the image is pulled, None if it names none.
        objects: The objects that it names.
        containers: Its containers with the resources that count against a quota.
        counts: What else is created beside it and counts against a quota, such as `{"services": 1}`.
        labels: Its labels, which network policies select.
        destinations: What it connects to.
        object_store_secret: The Secret with the endpoint of the object store that it connects to; empty if none.
    """

    title: str
    namespace: str = ""
    image: str = ""
    pull_secret: ObjectNeed | None = None
    objects: tuple[ObjectNeed, ...] = ()
    containers: tuple[ContainerNeeds, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    destinations: tuple[Destination, ...] = ()
    object_store_secret: str = ""


def describe_pods(titles: Sequence[str]) -> str:
    """Return the pods as part of a sentence: `the stage train and 2 others`."""
    others = len(set(titles)) - 1
    return titles[0] + (f" and {others} other{'s' if others > 1 else ''}" if others else "")
