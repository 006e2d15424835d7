"""What a run reads and writes: whether it is there and lets the run in; nothing is transferred or changed."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from kfp_edge.components.containerize.parameters import select_build
from kfp_edge.components.gitops_commit.gitops_commit import Destination, check_target
from kfp_edge.components.gitops_commit.proposal import check_pull_requests, parse_pull_requests
from kfp_edge.components.preflight.findings import Check
from kfp_edge.components.preflight.parameters import list_models, ring_of
from kfp_edge.errors import StorageError
from kfp_edge.git.remote import GitRemote
from kfp_edge.images.base_addresses import MODELCAR_BASE, resolve_auto
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.references import ImageRegistry
from kfp_edge.images.push_access import check_push_access
from kfp_edge.images.serving.model_bases import (
    find_in_registry,
    find_modelcar_base,
    find_modelcar_base_in_registry,
    find_serving_image,
)
from kfp_edge.kubernetes import in_pod
from kfp_edge.ml.bundle import MANIFEST
from kfp_edge.retraining.claims import read_claims
from kfp_edge.storage.fetch import check_exists
from kfp_edge.storage.urls import url_scheme

#: What comes with the package.
_BUILT_IN = ("synthetic:", "example:")


def target_checks(values: Mapping[str, Any]) -> Iterator[Check]:
    """Yield a check of each address among the parameters of a pipeline, which `check_parameters` has accepted."""
    for model in list_models(values):
        if isinstance(model.get("data"), str):
            yield partial(_check_address, "data", model["data"])
    for name in ("windows", "failures", "model"):
        if values.get(name):
            yield partial(_check_address, name, values[name])
    if champion := values.get("champion", ""):
        yield partial(_check_address, "champion", f"{champion.rstrip('/')}/{MANIFEST}")
    if "registry" in values and "model_name" in values:
        yield partial(_check_registry, values["registry"], values["model_name"])
        build = values.get("build", "auto")
        yield partial(_check_serving_image, values.get("serving_image", "auto"), build)
        if values.get("format") == ModelFormat.MODELCAR:
            yield partial(_check_modelcar_base, values.get("modelcar_base", MODELCAR_BASE), build)
    if "gitops_repo" in values:
        yield partial(_check_git, values)
    if "retraining_state" in values:
        yield partial(read_claims, values["retraining_state"], values["model_name"])


def _check_registry(registry: str, model: str) -> None:
    repositories = ImageRegistry.parse(registry)
    check_push_access(repositories.candidates(model))
    check_push_access(repositories.releases(model))


def _check_git(values: Mapping[str, Any]) -> None:
    settings = parse_pull_requests(values.get("pull_requests"))
    destination = Destination(GitRemote.parse(values["gitops_repo"]), *ring_of(values), settings)
    format = ModelFormat.parse(values.get("format", ModelFormat.IMAGE))
    check_target(destination, values.get("model_name", ""), values.get("model_version", ""), format)
    check_pull_requests(destination)


def _check_serving_image(serving_image: str, build: str) -> None:
    if select_build(build, in_pod=in_pod()) == "tekton":
        find_in_registry(serving_image)
    elif resolve_auto(serving_image).startswith(("docker://", "oci:")):
        find_serving_image(serving_image)


def _check_modelcar_base(modelcar_base: str, build: str) -> None:
    if select_build(build, in_pod=in_pod()) == "tekton":
        find_modelcar_base_in_registry(modelcar_base)
    else:
        find_modelcar_base(modelcar_base)


def _check_address(parameter: str, uri: str) -> None:
    """Check that there is something at an address.

    Raises:
        StorageError: there is not, with the parameter that names it.
    """
    if uri.startswith(_BUILT_IN):
        return
    try:
        check_exists(uri)
    except StorageError as error:
        hint = ""
        if in_pod() and url_scheme(uri) in ("", "file"):
            hint = " A pod does not see the files of your machine: name an s3:// or https:// address."
        raise StorageError(f"{parameter}: {error}{hint}") from error
