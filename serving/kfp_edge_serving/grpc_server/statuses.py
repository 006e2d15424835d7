"""Errors as gRPC sends them: the status codes that correspond to the HTTP status codes of errors."""

import traceback

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.calls import Call
from kfp_edge_serving.grpc_server.core import StatusCode
from kfp_edge_serving.inference.handler import INTERNAL_ERROR
from kfp_edge_serving.telemetry.log import log

_STATUS_CODES = {
    200: StatusCode.OK,
    202: StatusCode.OK,
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    404: StatusCode.NOT_FOUND,
    409: StatusCode.ABORTED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    500: StatusCode.INTERNAL,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
}
#: Characters of an error that are sent; clients accept some 8 kB of trailing metadata.
_MAX_ERROR = 1000


def status_name(status: int) -> str:
    """Return the name of the status code that corresponds to one of HTTP."""
    return str(_STATUS_CODES[status].name)


def refuse(call: Call, error: RequestError) -> None:
    """End a call with an error."""
    call.end(_STATUS_CODES[error.status].value[0], str(error)[:_MAX_ERROR])


def report_bug(call: Call) -> None:
    """End a call whose handling has just raised: clients must not see the traceback, operators must."""
    log("internal error", "error", protocol="grpc", traceback=traceback.format_exc())
    refuse(call, RequestError(INTERNAL_ERROR, 500))
