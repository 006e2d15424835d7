"""Compares what the pods of a run need with what their namespaces have."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes import Cluster
from kfp_edge.prerequisites import images, limits, networks, objects, quotas
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.pod_needs import PodNeeds, describe_pods

#: A check of one topic, for all pods of a namespace.
_Check = Callable[[Namespace, Sequence[PodNeeds]], Iterator[Diagnosis]]

_CHECKS: dict[str, _Check] = {
    "service accounts": objects.check_service_accounts,
    "Secrets": objects.check_secrets,
    "ConfigMaps": objects.check_config_maps,
    "claims": objects.check_claims,
    "image pull secrets": images.check_pull_secrets,
    "quotas": quotas.check_quotas,
    "limit ranges": limits.check_limit_ranges,
    "network policies": networks.check_networks,
}


def check_namespaces(cluster: Cluster, needs: Iterable[PodNeeds]) -> list[Diagnosis]:
    """Return what the namespaces of a run have and lack; nothing is changed.

    What the API does not let us read has the status "unchecked": no check raises an error.
    """
    pods = sorted(needs, key=attrgetter("namespace"))
    diagnoses: list[Diagnosis] = []
    for name, group in groupby(pods, attrgetter("namespace")):
        namespace, pods_there = Namespace(cluster, name), list(group)
        if cluster.lacks_namespace(name):
            details = f"does not exist, and {describe_pods([pod.title for pod in pods_there])} would run there"
            remedy = "create it (deploy/openshift), or name another one"
            diagnoses.append(Diagnosis(f"namespace {name}", details, "missing", remedy))
            continue
        for topic, check in _CHECKS.items():
            diagnoses += _run(topic, check, namespace, pods_there)
    return list(dict.fromkeys(diagnoses))


def _run(topic: str, check: _Check, namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    try:
        yield from check(namespace, pods)
    except ClusterError as error:
        reason = f"could not be read in {namespace.name}: {str(error).rstrip('.')}"
        yield Diagnosis(topic, reason, "unchecked")
