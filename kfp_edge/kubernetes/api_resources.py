"""The kinds of Kubernetes objects that kfp-edge uses, and their paths in the Kubernetes API."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class ApiResource:
    """The API version of a kind and its plural, as in paths and RBAC rules (`kubectl api-resources`)."""

    api_version: str
    plural: str
    is_namespaced: bool = True


API_RESOURCES = {
    "ClusterServiceVersion": ApiResource("operators.coreos.com/v1alpha1", "clusterserviceversions"),
    "ConfigMap": ApiResource("v1", "configmaps"),
    "ConsoleLink": ApiResource("console.openshift.io/v1", "consolelinks", is_namespaced=False),
    "DataSciencePipelinesApplication": ApiResource(
        "datasciencepipelinesapplications.opendatahub.io/v1", "datasciencepipelinesapplications"
    ),
    "Deployment": ApiResource("apps/v1", "deployments"),
    "Event": ApiResource("v1", "events"),
    "LimitRange": ApiResource("v1", "limitranges"),
    "NetworkPolicy": ApiResource("networking.k8s.io/v1", "networkpolicies"),
    "PersistentVolumeClaim": ApiResource("v1", "persistentvolumeclaims"),
    "Pod": ApiResource("v1", "pods"),
    "ResourceQuota": ApiResource("v1", "resourcequotas"),
    "Secret": ApiResource("v1", "secrets"),
    "Service": ApiResource("v1", "services"),
    "ServiceAccount": ApiResource("v1", "serviceaccounts"),
    "TaskRun": ApiResource("tekton.dev/v1", "taskruns"),
    "Workflow": ApiResource("argoproj.io/v1alpha1", "workflows"),
}


def resource_path(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Return the URL path of an object, of a subresource (`log`), or, without a name, of all objects of a kind."""
    resource = API_RESOURCES[kind]
    root = "apis" if "/" in resource.api_version else "api"
    scope = ("namespaces", quote(namespace, safe="")) if resource.is_namespaced else ()
    segments = (root, resource.api_version, *scope, resource.plural)
    return "/" + "/".join(filter(None, (*segments, quote(name, safe=""), subresource)))


def resource_name(kind: str, subresource: str = "") -> str:
    """Return the name of a kind in RBAC: `pods`, `pods/log`, `taskruns.tekton.dev`."""
    resource = API_RESOURCES[kind]
    group = resource.api_version.rpartition("/")[0]
    return ".".join(filter(None, (resource.plural, group))) + (f"/{subresource}" if subresource else "")
