"""Checks of the objects that pods name: service accounts, Secrets, ConfigMaps and claims."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.pod_needs import Kind, ObjectNeed, PodNeeds, describe_pods

_TEMPLATES = "deploy/openshift/secrets has templates"


@dataclass(frozen=True)
class _Needed:
    """One object, with what all pods need of it."""

    kind: Kind
    name: str
    keys: frozenset[str]
    is_required: bool
    parameter: str
    reason: str
    pods: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def users(self) -> str:
        """The pods, as part of a sentence."""
        return describe_pods(self.pods)

    def verb(self, singular: str, plural: str) -> str:
        """Return the form of a verb whose subject are the pods."""
        return singular if len(self.pods) == 1 else plural

    @property
    def or_name_another(self) -> str:
        return f", or name another one with the parameter {self.parameter}" if self.parameter else ""


def check_service_accounts(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check the service accounts that pods run as."""
    for needed in _merge("ServiceAccount", pods):
        if namespace.get("ServiceAccount", needed.name) is not None:
            yield Diagnosis(needed.title, f"exists in {namespace.name}", "ok")
        else:
            yield Diagnosis(
                needed.title,
                f"does not exist in {namespace.name}, so that {needed.users} cannot run",
                "missing",
                f"create it (deploy/openshift){needed.or_name_another}",
            )


def check_secrets(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check the Secrets that pods mount or read, and their keys; no value leaves this function."""
    for needed in _merge("Secret", pods):
        yield _check_data(namespace, needed, namespace.get("Secret", needed.name), f" ({_TEMPLATES})")


def check_config_maps(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check the ConfigMaps that pods mount or read, and their keys."""
    for needed in _merge("ConfigMap", pods):
        yield _check_data(namespace, needed, namespace.get("ConfigMap", needed.name))


def check_claims(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check the claims that pods mount."""
    for needed in _merge("PersistentVolumeClaim", pods):
        claim = namespace.get("PersistentVolumeClaim", needed.name)
        if claim is None:
            yield _absent(namespace, needed)
        elif (phase := claim.get("status", {}).get("phase")) == "Lost":
            details = f"has lost its volume in {namespace.name}, so that {needed.users} cannot start"
            yield Diagnosis(needed.title, details, "missing", f"create it again{needed.or_name_another}")
        else:
            yield Diagnosis(needed.title, f"exists in {namespace.name} ({phase or 'not bound yet'})", "ok")


def _merge(kind: Kind, pods: Iterable[PodNeeds]) -> list[_Needed]:
    """Return the objects of a kind by name, those that several pods name once."""
    uses: dict[str, list[tuple[ObjectNeed, str]]] = {}
    for pod in pods:
        for need in pod.objects:
            if need.kind == kind:
                uses.setdefault(need.name, []).append((need, pod.title))
    return [_merge_uses(kind, name, needs) for name, needs in sorted(uses.items())]


def _merge_uses(kind: Kind, name: str, uses: Sequence[tuple[ObjectNeed, str]]) -> _Needed:
    """Return what all pods need of one object; those that start without it do not count where others do not."""
    required = [(need, title) for need, title in uses if need.is_required]
    counting = required or uses
    return _Needed(
        kind,
        name,
        frozenset().union(*(need.keys for need, _ in required)),
        bool(required),
        counting[0][0].parameter,
        next((need.reason for need, _ in uses if need.reason), ""),
        tuple(dict.fromkeys(title for _, title in counting)),
    )


def _check_data(
    namespace: Namespace, needed: _Needed, resource: KubernetesObject | None, templates: str = ""
) -> Diagnosis:
    if resource is None:
        return _absent(namespace, needed, templates)
    present = {*(resource.get("data") or {}), *(resource.get("binaryData") or {})}
    if lacking := sorted(needed.keys - present):
        keys = _list_keys(lacking)
        details = f"has no {keys} in {namespace.name}, without which {needed.users} cannot start"
        return Diagnosis(needed.title, details, "missing", f"add the {keys}{needed.or_name_another}")
    return Diagnosis(needed.title, f"exists in {namespace.name}", "ok")


def _absent(namespace: Namespace, needed: _Needed, templates: str = "") -> Diagnosis:
    """Return the diagnosis of an object that is not there; the templates are of objects whose keys no pod names."""
    remedy = f"create it with the {_list_keys(sorted(needed.keys))}" if needed.keys else f"create it{templates}"
    if not needed.is_required and needed.reason:
        details = f"does not exist in {namespace.name}, and {needed.reason}"
        return Diagnosis(needed.title, details, "warning", remedy + needed.or_name_another)
    if not needed.is_required:
        details = f"does not exist in {namespace.name}; {needed.users} {needed.verb('starts', 'start')} without it"
        return Diagnosis(needed.title, details, "optional", f"{remedy} if the run needs it")
    details = f"does not exist in {namespace.name}, and {needed.users} cannot run without it"
    return Diagnosis(needed.title, details, "missing", remedy + needed.or_name_another)


def _list_keys(keys: Sequence[str]) -> str:
    return f"key{'s' if len(keys) > 1 else ''} {', '.join(keys)}"
