"""Kubernetes objects as JSON, and the parts of manifests that several stages write."""

from typing import Any

#: A Kubernetes object, or a part of one, as the API reads and writes it.
KubernetesObject = dict[str, Any]


def owner_reference(owner: KubernetesObject) -> KubernetesObject:
    """Return the owner reference by which the garbage collector deletes an object together with its owner.

    It does not set `blockOwnerDeletion`: OpenShift lets only those do that who may update the owner's finalizers.
    """
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def guaranteed_resources(cpu: str, memory: str) -> KubernetesObject:
    """Return resources whose requests equal their limits (quality of service class `Guaranteed`)."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def unprivileged_context() -> KubernetesObject:
    """Return a container's security context without capabilities and without privilege escalation."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
