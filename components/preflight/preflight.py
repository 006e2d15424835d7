"""Check everything that a run depends on, before its first stage."""

from collections.abc import Mapping
from typing import Any

from kfp_edge.components.preflight.findings import collect, raise_findings
from kfp_edge.components.preflight.parameters import check_parameters
from kfp_edge.components.preflight.targets import target_checks
from kfp_edge.kubernetes import in_pod


def preflight(values: Mapping[str, Any]) -> None:
    """Check the parameters of a pipeline, and that what they name is there and lets the run in.

    Args:
        values: The parameters that the pipeline has.

    Raises:
        ParameterError: with everything that was found.
    """
    check_parameters(values, in_pod=in_pod())
    raise_findings(collect(target_checks(values)))
    print(f"checked {', '.join(sorted(values))}: the run can start", flush=True)
