"""The image in which the stages of a pipeline run: the platform's own, in place of the public default."""

import re
from collections.abc import Iterator

from kfp_edge.errors import ClusterError, ParameterError, PipelineError
from kfp_edge.kubernetes import Cluster
from kfp_edge.runtime.component import DEFAULT_RUNTIME_IMAGE, RUNTIME_IMAGE
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.document_parts import get_deployment_spec
from kfp_edge.storage.files import JsonObject

#: The ConfigMap in which deploy/openshift names the images of a project, and its key for this one.
IMAGES_CONFIG_MAP, RUNTIME_KEY = "kfp-edge-images", "runtime"
_REPOSITORY = DEFAULT_RUNTIME_IMAGE.rpartition(":")[0]
_IMAGE = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")


def put_runtime_image(pipeline: PipelineDocument, image: str, cluster: Cluster | None) -> str:
    """Put the image that is given, or else the project's, in place of the default of a compiled pipeline.

    Args:
        pipeline: The pipeline. An image that `KFP_EDGE_RUNTIME_IMAGE` named when it was compiled stays, unless the
            user names another one while the variable is still set.
        image: The image that the user names; empty for that of the project.
        cluster: Where the project's is looked up; None if there is no cluster to ask.

    Returns:
        A warning where the stages will run in the default image, else an empty text.

    Raises:
        ParameterError: what the user or the project names is no image.
        PipelineError: the user names one, and the pipeline has no stage with the default image.
    """
    replaced = [RUNTIME_IMAGE] if image else []
    containers = [
        each for each in _containers(pipeline.spec) if _is_default(each["image"]) or each["image"] in replaced
    ]
    if image and not _IMAGE.fullmatch(image):
        raise ParameterError(f"the image {image!r} is no image of a registry; write HOST/REPOSITORY@sha256:DIGEST.")
    if image and not containers:
        raise PipelineError(
            f"no stage of the pipeline has the image {DEFAULT_RUNTIME_IMAGE}, so {image} replaces nothing; compile it "
            "without KFP_EDGE_RUNTIME_IMAGE, or leave the image out."
        )
    chosen = image or (_image_of_project(cluster) if containers and cluster is not None else "")
    if not chosen or (chosen == DEFAULT_RUNTIME_IMAGE and not image):
        return _warning(containers[0]["image"]) if containers else ""
    for container in containers:
        container["image"] = chosen
    return ""


def _warning(image: str) -> str:
    return (
        f"the stages run in {image}, the default; name the image that you have built with --image or "
        f"KFP_EDGE_RUNTIME_IMAGE, or once for the project in {IMAGES_CONFIG_MAP} (deploy/openshift)."
    )


def _image_of_project(cluster: Cluster) -> str:
    """Return the image that the project names; empty if it names none, or does not let us read it."""
    if not cluster.is_reachable():
        return ""
    try:
        config_map = cluster.get("ConfigMap", IMAGES_CONFIG_MAP)
    except ClusterError:
        return ""  # then the default is reported
    image = str(((config_map or {}).get("data") or {}).get(RUNTIME_KEY, "")).strip()
    if image and not _IMAGE.fullmatch(image):
        raise ParameterError(
            f"the ConfigMap {IMAGES_CONFIG_MAP} in {cluster.namespace} names the runtime image {image!r}, which is no "
            "image of a registry; correct it in names.yaml of deploy/openshift."
        )
    return image


def _is_default(image: str) -> bool:
    """Whether this is the public image by a tag, of any version; one by digest was chosen by somebody."""
    return "@" not in image and image.rpartition(":")[0] == _REPOSITORY


def _containers(spec: JsonObject) -> Iterator[JsonObject]:
    for executor in get_deployment_spec(spec).get("executors", {}).values():
        if "image" in executor.get("container", {}):
            yield executor["container"]
