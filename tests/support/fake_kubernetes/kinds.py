"""The kinds of objects that the fake API knows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    version: str  # v1, apps/v1: what an object's apiVersion says
    name: str
    plural: str
    namespaced: bool = True
    has_schema: bool = True  # the project only reads the others

    @property
    def group(self) -> str:
        return self.version.rpartition("/")[0]

    @property
    def custom(self) -> bool:
        return "." in self.group and not self.group.endswith(".k8s.io")


_ALL = (
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Event", "events"),
    Kind("v1", "LimitRange", "limitranges"),
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "ResourceQuota", "resourcequotas"),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "Service", "services"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("apps/v1", "ReplicaSet", "replicasets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Kind("operators.coreos.com/v1alpha1", "ClusterServiceVersion", "clusterserviceversions", has_schema=False),
    Kind("tekton.dev/v1", "TaskRun", "taskruns"),
    Kind("argoproj.io/v1alpha1", "Workflow", "workflows", has_schema=False),
    Kind(
        "datasciencepipelinesapplications.opendatahub.io/v1",
        "DataSciencePipelinesApplication",
        "datasciencepipelinesapplications",
    ),
    Kind("pipelines.kubeflow.org/v2beta1", "Pipeline", "pipelines"),
    Kind("pipelines.kubeflow.org/v2beta1", "PipelineVersion", "pipelineversions"),
)

BY_NAME = {kind.name: kind for kind in _ALL}
BY_PATH = {(kind.version, kind.plural): kind for kind in _ALL}
