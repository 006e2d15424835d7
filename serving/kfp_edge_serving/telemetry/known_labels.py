"""The label values that a counter can have, so that each is there with 0 from the start.

Prometheus' `increase()` and `rate()` compare samples: of a series that begins with its first event, they do not see it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kfp_edge_serving.errors import TOO_MANY_BYTES, TOO_MANY_CONNECTIONS

if TYPE_CHECKING:  # it imports NumPy, which the server does only once it listens
    from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec

REST, GRPC = "rest", "grpc"

#: HTTP status codes with which every model can answer, by protocol; over gRPC those that correspond.
_STATUSES = {REST: (200, 400, 413, 415, 500, 503), GRPC: (200, 400, 500, 503)}
#: Why requests can be refused before a model computes anything, by protocol.
_REASONS = {
    REST: (
        "malformed",
        "not_found",
        "method_not_allowed",
        "timeout",
        "body_too_large",
        "head_too_large",
        "not_supported",
        "not_ready",
        "overloaded",
        TOO_MANY_CONNECTIONS,
        TOO_MANY_BYTES,
    ),
    GRPC: ("malformed", "not_found", "not_supported", "timeout", "overloaded"),
}
_UNAUTHORIZED = "unauthorized"


def list_statuses(bundle: "LoadedBundle", protocols: Sequence[str]) -> list[tuple[str, int]]:
    """Return with which status codes a model can answer, each with its protocol."""
    statuses = [(protocol, status) for protocol in protocols for status in _STATUSES[protocol]]
    if GRPC in protocols and any(tensor.batch_dimension is not None for tensor in bundle.inputs):
        statuses.append((GRPC, 413))  # too many rows; over REST also too large a body
    if bundle.features is not None:  # late rows, and rows of which some have no answer
        statuses += [(protocol, 409) for protocol in protocols]
        statuses += [(REST, 202)] * (REST in protocols)
    return statuses


def list_reasons(protected: Sequence[str], protocols: Sequence[str]) -> list[tuple[str, str]]:
    """Return for which reasons requests can be refused, each with its protocol; `protected` protocols need access."""
    reasons = [(protocol, reason) for protocol in protocols for reason in _REASONS[protocol]]
    return reasons + [(protocol, _UNAUTHORIZED) for protocol in protocols if protocol in protected]


def list_classes(bundle: "LoadedBundle", label: "TensorSpec") -> tuple[str, ...]:
    """Return the classes that a model can predict; none if they are not known."""
    if label.classes:
        return label.classes
    if label.datatype == "BOOL":
        return str(False), str(True)
    return ("0", "1") if bundle.task == "anomaly" else ()
