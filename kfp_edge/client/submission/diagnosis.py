"""What a cluster lacks for a run of a pipeline: `kfp-edge doctor PIPELINE`."""

from collections.abc import Mapping
from typing import Any

from kfp_edge.client.server.discovery import find_endpoint
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.client.server.version import ServerVersion, find_platform_version, find_server_version
from kfp_edge.client.submission.checks import check_run
from kfp_edge.client.submission.package import PipelinePackage, make_package
from kfp_edge.client.submission.pull_secret import put_pull_secrets
from kfp_edge.client.submission.target import describe_unknown_version
from kfp_edge.diagnosis import Diagnosis
from kfp_edge.errors import KfpApiError, KfpEdgeError
from kfp_edge.kubernetes import Cluster
from kfp_edge.prerequisites.stage_needs import find_stage_needs
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND
from kfp_edge.spec.compiled_pipeline import PipelineLike, is_pipeline_file
from kfp_edge.spec.compiling.target import CompileTarget


def diagnose_cluster(
    pipeline: PipelineLike, parameters: Mapping[str, Any] | None = None, namespace: str = ""
) -> list[Diagnosis]:
    """Return what the namespaces of a run have and lack; nothing is started or changed.

    Args:
        pipeline: The name of a pipeline of kfp-edge, a compiled YAML file, or a function with `@dsl.pipeline`.
        parameters: Values by name, as for `Client.submit`.
        namespace: The project with the pipelines; the pod's own or the kubeconfig's if empty.

    Raises:
        ParameterError: a parameter has a value that cannot be used, or there is no cluster.
        PipelineError: there is no such pipeline, or a backend would refuse it.
    """
    cluster = Cluster.connect(namespace)
    server, version = _check_server(cluster, pipeline)
    package = make_package(pipeline, cluster=cluster, target=CompileTarget(version.backend or DEFAULT_BACKEND))
    arguments = put_pull_secrets(cluster, package, package.arguments(dict(parameters or {})))
    return [*server, _check_image(package), *check_run(cluster, package, arguments)]


def _check_server(cluster: Cluster, pipeline: PipelineLike) -> tuple[list[Diagnosis], ServerVersion]:
    """Return diagnoses of the pipeline server, and its version, for which `Client.submit` asks as well."""
    name = "pipeline server"
    try:
        endpoint = find_endpoint(cluster.namespace)
    except KfpEdgeError as error:
        remedy = "see deploy/openshift/README.md, step 5"
        return _without_answer(cluster, Diagnosis(name, str(error).rstrip("."), "missing", remedy))
    try:
        version = find_server_version(KfpApi(endpoint))
    except KfpApiError as error:
        return _without_answer(cluster, Diagnosis(name, str(error).rstrip("."), "missing"))
    return [Diagnosis(name, endpoint.host, "ok"), _check_version(version, endpoint.host, pipeline)], version


def _without_answer(cluster: Cluster, diagnosis: Diagnosis) -> tuple[list[Diagnosis], ServerVersion]:
    """Return what is known where no server answers: the version of the platform, if the cluster reports that."""
    version = find_platform_version(cluster)
    known = [Diagnosis("backend", version.title, "ok")] if version.backend is not None else []
    return [diagnosis, *known], version


def _check_version(version: ServerVersion, host: str, pipeline: PipelineLike) -> Diagnosis:
    if version.backend is not None:
        return Diagnosis("backend", version.title, "ok")
    remedy = f"the pipeline is compiled for {DEFAULT_BACKEND.title}, which --backend of submit changes"
    return Diagnosis(
        "backend",
        describe_unknown_version(host, version),
        "warning" if version.title else "unchecked",
        "" if is_pipeline_file(pipeline) else remedy,
    )


def _check_image(package: PipelinePackage) -> Diagnosis:
    images = {pod.image for pod in find_stage_needs(package.document, {}) if pod.image}
    if package.warning:
        details, _, remedy = package.warning.rstrip(".").partition("; ")
        return Diagnosis("runtime image", details, "warning", remedy)
    return Diagnosis("images of the stages", ", ".join(sorted(images)), "ok")
