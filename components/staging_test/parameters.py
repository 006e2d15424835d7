"""The parameters of `staging_test`: checked before a run starts, and by the stage itself."""

import math
from collections.abc import Mapping
from typing import Any

from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.errors import ImageError, ParameterError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.suggestions import describe_unknown_choice

_BACKENDS = ("auto", "kubernetes", "podman")


def check_parameters(registry: str, staging: str, staging_options: Mapping[str, Any], *, in_pod: bool) -> None:
    """Refuse an unknown backend, options that it does not have, and a registry from which it cannot pull.

    Args:
        registry: Where candidates are pushed.
        staging: The backend.
        staging_options: Options of the test in a cluster.
        in_pod: Whether the stage will run in a pod of a cluster, which decides what `auto` means.

    Raises:
        ParameterError: a parameter has a value that cannot be used.
        ImageError: a cluster cannot pull from the registry.
    """
    StagingOptions.parse(staging_options)
    if select_backend(staging, in_pod=in_pod) == "kubernetes":
        check_can_be_pulled(ImageRegistry.parse(registry))


def check_limits(startup_timeout: float, max_latency_ms: float, *, latency_parameter: str = "max_latency_ms") -> None:
    """Refuse limits that no candidate keeps.

    Args:
        startup_timeout: Seconds until the candidate must be ready.
        max_latency_ms: Upper bound of the latency of a request.
        latency_parameter: The name of that parameter, which in a pipeline is another one.

    Raises:
        ParameterError: one of them is not a number above 0.
    """
    if not 0 < startup_timeout < math.inf:
        raise ParameterError(f"startup_timeout is {startup_timeout:g}; give seconds above 0, such as 600.")
    if not max_latency_ms > 0:
        raise ParameterError(f"{latency_parameter} is {max_latency_ms:g}; give milliseconds above 0.")


def select_backend(staging: str, *, in_pod: bool) -> str:
    """Return `kubernetes` or `podman`.

    Raises:
        ParameterError: there is no such backend.
    """
    if staging not in _BACKENDS:
        raise ParameterError(describe_unknown_choice("staging", staging, _BACKENDS))
    if staging != "auto":
        return staging
    return "kubernetes" if in_pod else "podman"


def check_can_be_pulled(location: ImageRef | ImageRegistry) -> None:
    """Refuse a layout on this machine.

    Raises:
        ImageError: no cluster can pull from there.
    """
    if location.transport == "oci":
        raise ImageError(
            f"{location} cannot be staged in a cluster, which pulls from registries only; set registry to "
            "docker://HOST/REPO."
        )
