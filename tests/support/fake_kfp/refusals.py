"""The errors of an API server in its formats: gRPC's gateway, the upload of pipelines, and a proxy before it."""

import json
import re
from dataclasses import dataclass
from typing import Any

#: Which of them answers; OpenShift AI's refuses a bad pipeline in words, KFP's keeps the reason to itself.
KFP = "kfp-2.16.1"
OPENSHIFT_AI = "openshift-ai-3.5"

#: The codes of gRPC for those of HTTP (grpc-gateway, `runtime/errors.go`).
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}
#: How the messages of the gateway itself begin.
_OF_THE_GATEWAY = ("Not Found", "invalid character", "proto:")
_STATUS_TYPE = "type.googleapis.com/google.rpc.Status"
#: What the server says to its own log only, before the message for the client.
_KIND = re.compile(r".*(?:ResourceNotFoundError|Invalid input error|Already exist error|BadRequestError): ", re.DOTALL)
_JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """The status, the body and its type."""

    status: int
    body: bytes
    content_type: str


class RefusedError(Exception):
    """The backend responds with an error.

    Args:
        status: The status of HTTP.
        message: What is wrong.
        prefix: What the API puts in front of the message.
        code: The code of gRPC, if more than one stands for the status.
        is_internal: Whether the details of the response are silent about it.
        is_plain: Whether the upload answers with plain text, as it does for what it finds before it reads the file.
    """

    def __init__(
        self,
        status: int,
        message: str,
        prefix: str = "",
        code: int | None = None,
        is_internal: bool = False,
        is_plain: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.prefix = prefix
        self.code = code or _GRPC_CODES.get(status, 2)
        self.is_plain = is_plain
        is_internal = is_internal or "InternalServerError: " in f"{prefix}{message}"
        self.detail = "Internal Server Error" if is_internal else _KIND.sub("", message)

    def answer(self, is_upload: bool = False) -> Answer:
        """Return the response: JSON of the upload or of gRPC's gateway, which adds details unless it refuses itself."""
        message = f"{self.prefix}{self}"
        if self.is_plain:
            return Answer(self.status, f"{message}\n".encode(), "text/plain; charset=utf-8")
        if is_upload:
            return _json_answer(self.status, {"error_message": message, "error_details": f"{message}\nmain.upload"})
        body: dict[str, Any] = {"code": self.code, "message": message}
        if not message.startswith(_OF_THE_GATEWAY):
            body["details"] = [{"@type": _STATUS_TYPE, "code": self.code, "message": self.detail}]
        return _json_answer(self.status, body)


def router_answer(status: int) -> Answer:
    """Return the page of a router that has no answer from the server."""
    return Answer(status, f"<html><h1>{status} from the router</h1></html>".encode(), "text/html")


def refuse_beyond_database(text: str, action: str, column: str) -> None:
    """Refuse to store a text that has a character of four bytes: MySQL's `utf8` has three."""
    if character := next((each for each in text if ord(each) > 0xFFFF), ""):
        escaped = "".join(f"\\x{byte:02X}" for byte in character.encode())
        raise RefusedError(
            500,
            f"{action}: Error 1366 (22007): Incorrect string value: '{escaped}...' for column {column} at row 1",
        )


def _json_answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), _JSON)
