"""The two kinds of error: the server or a bundle cannot start, and a request is refused."""

#: What the metrics call a refusal, by its HTTP status.
_REASONS = {
    400: "malformed",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "body_too_large",
    415: "content_encoding",
    429: "overloaded",
    431: "head_too_large",
    501: "not_supported",
    503: "overloaded",
    505: "not_supported",
}
NOT_READY, TOO_MANY_CONNECTIONS, TOO_MANY_BYTES = "not_ready", "too_many_connections", "too_many_bytes"
#: Reasons that are the server's want of room, not the client's fault.
OVERLOAD_REASONS = frozenset({"overloaded", TOO_MANY_CONNECTIONS, TOO_MANY_BYTES})


class StartError(Exception):
    """The server cannot start, or a bundle cannot be served; the message is one sentence that says why."""


class RequestError(Exception):
    """A refused or failed request; the message is one sentence that names the field and what is wrong with it.

    `status` is the HTTP status code, which says whether the client or the server is at fault; `reason` is what the
    metrics call it.
    """

    def __init__(self, message: str, status: int = 400, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or _REASONS.get(status, "other")


class UnknownCategoryError(RequestError):
    """A request is refused for `count` values of a column that are none of its categories."""

    def __init__(self, message: str, column: str, count: int) -> None:
        super().__init__(message)
        self.column = column
        self.count = count
