"""What a run of our stages needs beside the objects that its tasks name: the pods that stages create, and logins."""

from collections.abc import Iterator, Mapping
from typing import Any

from kfp_edge.components.containerize import parameters as containerize
from kfp_edge.components.containerize.build_options import FETCH_CPU, FETCH_MEMORY, BuildOptions
from kfp_edge.components.preflight.parameters import list_models
from kfp_edge.components.staging_test import parameters as staging_test
from kfp_edge.components.staging_test.manifests import CONTAINER_NAME
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.images.base_addresses import parse_serving_image
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.kubernetes.metadata import run_labels
from kfp_edge.prerequisites.pod_needs import ContainerNeeds, Destination, ObjectNeed, PodNeeds

#: What Tekton adds to the pod of a TaskRun, without requests and limits.
_TEKTON_CONTAINERS = (ContainerNeeds("prepare"), ContainerNeeds("place-scripts"))
_HTTPS = 443


def find_needs(values: Mapping[str, Any]) -> Iterator[PodNeeds]:
    """Yield what a run with these parameters needs, which `check_parameters` has accepted: logins, and pods."""
    yield PodNeeds("the run", objects=tuple(_logins(values)))
    if "registry" not in values:
        return
    if containerize.select_build(values.get("build", "auto"), in_pod=True) == "tekton":
        yield _build_needs(values, BuildOptions.parse(values.get("build_options", {})))
    if staging_test.select_backend(values.get("staging", "auto"), in_pod=True) == "kubernetes":
        yield _candidate_needs(values, StagingOptions.parse(values.get("staging_options", {})))


def _logins(values: Mapping[str, Any]) -> Iterator[ObjectNeed]:
    """Yield the Secrets that stages mount if they exist, and without which they are not let in."""
    addresses = [values.get(name) for name in ("windows", "failures", "model", "champion")]
    addresses += [model.get("data") for model in list_models(values)]
    addresses.append(values.get("build_options", {}).get("context"))
    needed = {
        "data_connection": next((text for text in addresses if str(text or "").startswith("s3://")), ""),
        "registry_secret": _starting_with("docker://", values.get("registry") or values.get("image_registry")),
        "git_secret": _starting_with("https://", values.get("gitops_repo")),
    }
    for parameter, address in needed.items():
        if address and values.get(parameter):
            reason = f"the run has no other login for {address}"
            yield ObjectNeed("Secret", values[parameter], is_required=False, parameter=parameter, reason=reason)


def _starting_with(scheme: str, address: object) -> str:
    return address if isinstance(address, str) and address.startswith(scheme) else ""


def _build_needs(values: Mapping[str, Any], options: BuildOptions) -> PodNeeds:
    named = (
        ObjectNeed("ServiceAccount", options.service_account, parameter="build_options"),
        ObjectNeed("Secret", options.registry_secret, parameter="build_options"),
        ObjectNeed("ConfigMap", options.ca_bundle, parameter="build_options"),
    )
    pull_secret = options.find_pull_secret(ImageRegistry.parse(values["registry"]).location)
    return PodNeeds(
        title="the build",
        image=options.builder_image if pull_secret else "",  # its registry may ask for no login
        pull_secret=ObjectNeed("Secret", pull_secret, parameter="build_options") if pull_secret else None,
        objects=tuple(each for each in named if each.name),
        containers=(
            _guaranteed("fetch", FETCH_CPU, FETCH_MEMORY),
            _guaranteed("build-and-push", options.cpu, options.memory),
            *_TEKTON_CONTAINERS,
        ),
        counts={"pods": 1, "secrets": 1, "taskruns.tekton.dev": 1},
        labels=run_labels("build", "any"),
        destinations=tuple(_registries(values)),
        object_store_secret=values.get("data_connection", ""),
    )


def _candidate_needs(values: Mapping[str, Any], options: StagingOptions) -> PodNeeds:
    accounts = (options.service_account, "default" if options.namespace and not options.service_account else "")
    return PodNeeds(
        title="the candidate of the staging test",
        namespace=options.namespace,
        image=ImageRegistry.parse(values["registry"]).candidates(values.get("model_name", "model")).path,
        pull_secret=(
            ObjectNeed("Secret", options.pull_secret, parameter="staging_options") if options.pull_secret else None
        ),
        objects=tuple(ObjectNeed("ServiceAccount", name, parameter="staging_options") for name in accounts if name),
        containers=(_guaranteed(CONTAINER_NAME, options.cpu, options.memory),),
        counts={"pods": 1, "services": 1, "deployments.apps": 1},
        labels=run_labels("staging", "any"),
    )


def _registries(values: Mapping[str, Any]) -> Iterator[Destination]:
    registry = ImageRegistry.parse(values["registry"])
    locations = [registry.location if registry.transport == "docker" else ""]
    serving = parse_serving_image(values.get("serving_image", "auto"))
    if isinstance(serving, ImageRef):
        locations.append(serving.repository if serving.transport == "docker" else "")
    elif serving is not None:
        locations.append(serving[0].path if serving[0].transport == "docker" else "")
    for host in dict.fromkeys(location.partition("/")[0] for location in locations if location):
        name, _, port = host.partition(":")
        yield Destination(f"the registry {name}", int(port) if port else _HTTPS)


def _guaranteed(name: str, cpu: str, memory: str) -> ContainerNeeds:
    amounts = {"cpu": cpu, "memory": memory}
    return ContainerNeeds(name, amounts, amounts)
