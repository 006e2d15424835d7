"""What the namespaces lack for a run, found before it is started."""

from collections.abc import Mapping, Sequence
from typing import Any

from kfp_edge.client.submission.package import PipelinePackage
from kfp_edge.diagnosis import Diagnosis
from kfp_edge.errors import ParameterError
from kfp_edge.kubernetes import Cluster
from kfp_edge.prerequisites import check_namespaces, find_run_needs


def check_run(cluster: Cluster, package: PipelinePackage, arguments: Mapping[str, Any]) -> list[Diagnosis]:
    """Return what the namespaces of a run have and lack.

    Args:
        cluster: Where the run will be, and its namespace.
        package: The pipeline.
        arguments: Its parameters, which `PipelinePackage.arguments` has checked.
    """
    if not cluster.is_reachable():
        return [Diagnosis("cluster", f"the Kubernetes API at {cluster.host} cannot be reached", "unchecked")]
    needs = find_run_needs(package.document, package.pipeline, arguments, cluster.namespace)
    return check_namespaces(cluster, needs)


def refuse_missing(diagnoses: Sequence[Diagnosis]) -> None:
    """Refuse a run that could not start, or would not get to its end.

    Raises:
        ParameterError: with everything that is missing.
    """
    missing = [str(each) for each in diagnoses if each.status == "missing"]
    if len(missing) == 1:
        raise ParameterError(f"the run is not started: {missing[0]}.")
    if missing:
        numbered = " ".join(f"({number}) {each}." for number, each in enumerate(missing, start=1))
        raise ParameterError(f"the run is not started, as {len(missing)} things are missing: {numbered}")


def describe_warnings(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """Return what may impair the run, each in a sentence; what prevents it, too, where that was not refused."""
    return [f"{each}." for each in diagnoses if each.status in ("missing", "warning")]
