"""The kinds of objects that the line handles, and where the Kubernetes API keeps them."""

from urllib.parse import quote

#: Kind to the version of its API and its name in paths and in rules of access.
KINDS = {
    "ConfigMap": ("v1", "configmaps"),
    "DataSciencePipelinesApplication": (
        "datasciencepipelinesapplications.opendatahub.io/v1",
        "datasciencepipelinesapplications",
    ),
    "Deployment": ("apps/v1", "deployments"),
    "Event": ("v1", "events"),
    "Pod": ("v1", "pods"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "TaskRun": ("tekton.dev/v1", "taskruns"),
}


def path(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """The URL path of an object, of one of its parts (`log`), or, without a name, of all of its kind."""
    version, plural = KINDS[kind]
    parts = ("apis" if "/" in version else "api", version, "namespaces", quote(namespace, safe=""), plural)
    return "/" + "/".join(filter(None, (*parts, quote(name, safe=""), subresource)))


def resource(kind: str, subresource: str = "") -> str:
    """What rules of access call a kind: `pods`, `pods/log`, `taskruns.tekton.dev`."""
    version, plural = KINDS[kind]
    group = version.rpartition("/")[0]
    return (f"{plural}.{group}" if group else plural) + (f"/{subresource}" if subresource else "")
