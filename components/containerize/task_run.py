"""The objects of a build in the cluster: a Secret with the link to the context, and a TaskRun of two steps."""

from dataclasses import dataclass
from pathlib import Path

from kfp_edge.components.containerize.build_options import FETCH_CPU, FETCH_MEMORY, BuildOptions
from kfp_edge.kubernetes.metadata import CONTEXT_ANNOTATION, EXPIRES_ANNOTATION
from kfp_edge.kubernetes.objects import KubernetesObject, guaranteed_resources, unprivileged_context

_FETCH, _BUILD = (Path(__file__).with_name(name).read_text() for name in ("fetch.sh", "build.sh"))
_WORK = "/workspace/build"
_LINK = "/workspace/link"
_AUTH = "/workspace/registry"
_CA = "/workspace/ca"
# Where Tekton reads results ("Emitting Task results").
_RESULTS = "/tekton/results"
_RESULT_TEXTS = {"IMAGE_URL": "The image by tag.", "IMAGE_DIGEST": "The digest that the registry stored it under."}


@dataclass(frozen=True)
class Build:
    """One build in the cluster; the Secret and the TaskRun have its name.

    `image` is what Buildah pushes (`HOST/REPO:TAG`), `flags` are those of `buildah build`, `platforms` are those of the
    base (`linux/arm64`), none when the base is no index, and `context` is the build context, `s3://BUCKET/KEY`, whose
    bytes have the hash `sha256`. Anyone may delete the objects after `expires`.
    """

    name: str
    labels: dict[str, str]
    expires: str
    owners: tuple[KubernetesObject, ...]
    image: str
    flags: tuple[str, ...]
    platforms: tuple[str, ...]
    context: str
    sha256: str
    options: BuildOptions


def make_secret(build: Build, url: str) -> KubernetesObject:
    """Return the Secret that holds the presigned link to the context.

    It has no owner: it names the context for `clean_up`, also after the garbage collector has deleted the TaskRun of a
    stage whose pod is gone.
    """
    annotations = {EXPIRES_ANNOTATION: build.expires, CONTEXT_ANNOTATION: build.context}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": build.name, "labels": build.labels, "annotations": annotations},
        "type": "Opaque",
        "stringData": {"url": url},
    }


def make_task_run(build: Build) -> KubernetesObject:
    """Return the TaskRun, its task embedded: nothing has to be installed in the cluster but Tekton."""
    options = build.options
    pull_secret = options.find_pull_secret(build.image)
    template: KubernetesObject = {
        "automountServiceAccountToken": False,
        "nodeSelector": options.node_selector,
        "tolerations": options.tolerations_json(),
        "imagePullSecrets": [{"name": pull_secret}] if pull_secret else [],
    }
    metadata: KubernetesObject = {
        "name": build.name,
        "labels": build.labels,
        "annotations": {EXPIRES_ANNOTATION: build.expires},
    }
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": metadata | ({"ownerReferences": list(build.owners)} if build.owners else {}),
        "spec": {
            "serviceAccountName": options.service_account,
            "timeout": f"{options.timeout}s",
            "podTemplate": {key: value for key, value in template.items() if value not in ({}, [])},
            "taskSpec": {
                "description": "Fetches a model's build context, builds its image with Buildah and pushes it.",
                "results": [{"name": name, "description": text} for name, text in _RESULT_TEXTS.items()],
                "steps": [_make_fetch_step(build), _make_build_step(build)],
                "volumes": _make_volumes(build),
            },
        },
    }


def _make_fetch_step(build: Build) -> KubernetesObject:
    variables = {"WORK": _WORK, "LINK": _LINK, "SHA256": build.sha256, "CA": _ca_folder(build)}
    return {
        "name": "fetch",
        "image": build.options.builder_image,
        "script": _FETCH,
        "env": _make_env(variables),
        "computeResources": guaranteed_resources(FETCH_CPU, FETCH_MEMORY),
        "securityContext": {"runAsUser": 0, **unprivileged_context()},
        "volumeMounts": _make_mounts({"work": _WORK, "link": _LINK} | _ca_mounts(build)),
    }


def _make_build_step(build: Build) -> KubernetesObject:
    """Return the step that runs Buildah, with the rights that the buildah task of OpenShift Pipelines asks for."""
    auth = {"registry": _AUTH} if build.options.registry_secret else {}
    variables = {
        "WORK": _WORK,
        "IMAGE": build.image,
        "PLATFORMS": " ".join(build.platforms),
        "STORAGE_DRIVER": build.options.storage_driver,
        "AUTH": auth.get("registry", ""),
        "CA": _ca_folder(build),
        "RESULTS": _RESULTS,
    }
    return {
        "name": "build-and-push",
        "image": build.options.builder_image,
        "script": _BUILD,
        "args": list(build.flags),
        "env": _make_env(variables),
        "computeResources": guaranteed_resources(build.options.cpu, build.options.memory),
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["SETFCAP"]}},
        "volumeMounts": _make_mounts({"work": _WORK, "storage": "/var/lib/containers"} | auth | _ca_mounts(build)),
    }


def _make_volumes(build: Build) -> list[KubernetesObject]:
    """Return the volumes; what a user names is optional, as a step reports its absence and a kubelet waits for it."""
    options = build.options
    volumes: list[KubernetesObject] = [
        {"name": "work", "emptyDir": {}},
        {"name": "storage", "emptyDir": {}},
        {"name": "link", "secret": {"secretName": build.name}},
    ]
    if options.registry_secret:
        volumes.append({"name": "registry", "secret": {"secretName": options.registry_secret, "optional": True}})
    if options.ca_bundle:
        volumes.append({"name": "ca", "configMap": {"name": options.ca_bundle, "optional": True}})
    return volumes


def _ca_folder(build: Build) -> str:
    return _CA if build.options.ca_bundle else ""


def _ca_mounts(build: Build) -> dict[str, str]:
    return {"ca": _CA} if build.options.ca_bundle else {}


def _make_env(variables: dict[str, str]) -> list[KubernetesObject]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _make_mounts(paths: dict[str, str]) -> list[KubernetesObject]:
    return [{"name": name, "mountPath": path} for name, path in paths.items()]
