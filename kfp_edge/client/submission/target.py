"""For which backend a pipeline is compiled that is submitted, and with which limits of its runs."""

from dataclasses import dataclass

from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.client.server.version import ServerVersion, find_server_version
from kfp_edge.errors import ParameterError
from kfp_edge.spec.backends.profiles import BACKEND_NAMES, DEFAULT_BACKEND, find_backend
from kfp_edge.spec.compiled_pipeline import PipelineLike, is_pipeline_file
from kfp_edge.spec.compiling.target import CompileTarget, RunLimits


@dataclass(frozen=True)
class TargetOptions:
    """What a user says about the target.

    Attributes:
        backend: The backend; empty for that which the server is.
        deadline: How long a run may take, such as `6h`; empty for no limit.
        time_to_live: How long the Workflow of a run is kept after its end; empty for no limit.
        join_stages: Whether stages that may share a pod are joined into one task.
    """

    backend: str = ""
    deadline: str = ""
    time_to_live: str = ""
    join_stages: bool = False


@dataclass(frozen=True)
class ChosenTarget:
    """A target, and what its user should know about the choice; empty if there is nothing."""

    target: CompileTarget
    warning: str = ""


def choose_target(api: KfpApi, pipeline: PipelineLike, options: TargetOptions) -> ChosenTarget:
    """Return the target of a pipeline; the server is asked for its version if the user names no backend.

    Raises:
        ParameterError: there is no such backend, or it has no such limits; or the pipeline is compiled already.
        KfpApiError: the server cannot be reached, or does not accept the token.
    """
    limits = RunLimits.parse(options.deadline, options.time_to_live)
    if is_pipeline_file(pipeline) and (options.backend or limits.fields):
        raise ParameterError(
            f"backend, deadline and time to live are compiled into a pipeline, and {pipeline} is compiled already; "
            "leave them out here, and give them where it is compiled: to `kfp-edge compile` for a pipeline of "
            "kfp-edge, or submit your own as a function, with these arguments of `Client.submit` in Python."
        )
    if options.backend:
        return ChosenTarget(CompileTarget(find_backend(options.backend), limits, options.join_stages))
    version = find_server_version(api)
    if version.backend is not None:
        return ChosenTarget(CompileTarget(version.backend, limits, options.join_stages))
    if limits.fields:
        raise ParameterError(
            f"{describe_unknown_version(api.endpoint.host, version)}, and one that does not know a deadline or a time "
            "to live would run the pipeline without its Secrets and volumes; name it with --backend (backend)."
        )
    warning = (
        f"{describe_unknown_version(api.endpoint.host, version)}; the pipeline is compiled for "
        f"{DEFAULT_BACKEND.title}, which --backend (backend) changes."
    )
    return ChosenTarget(CompileTarget(is_joined=options.join_stages), "" if is_pipeline_file(pipeline) else warning)


def describe_unknown_version(host: str, version: ServerVersion) -> str:
    """Return what is not known about a server, as a sentence without its end."""
    if version.title:
        return f"{host} is {version.title}, whose fields are not known here (known are {', '.join(BACKEND_NAMES)})"
    return f"neither {host} nor its cluster reports which version of OpenShift AI or KFP it is"
