"""What a KFP API server says when it refuses, and whether it may take the same call a little later."""

import json
import re
from collections.abc import Sequence

import kfp_server_api

from kfp_edge.runtime.process import redact

_LONGEST = 500
#: Where a message is too long, its beginning names the call and its end the cause.
_LONGEST_START = 120
#: A frame of Go's stack traces, which are part of some messages: the function, then file and line.
_STACK_FRAME = re.compile(r"\n\S+\n\t\S+\.(?:go|s):\d+")
#: What Go's HTTP server says where nobody has written a message.
_GENERIC = frozenset({"internal server error", "bad gateway", "service unavailable", "gateway timeout"})
#: KFP answers 500 for most faults, also for those that stay. These words are of faults of its database, of Kubernetes
#: or of the network that pass.
_TRANSIENT = re.compile(
    r"timed? ?out|deadline exceeded|deadlock|connection (?:refused|reset|closed)|broken pipe|bad connection|"
    r"invalid connection|too many (?:connections|requests)|gone away|lost connection|no such host|unavailable|"
    r"unexpected eof|context canceled|shutdown in progress|leader changed|try again|retry later|"
    r"has been modified|transport is closing",
    re.IGNORECASE,
)


def read_message(error: kfp_server_api.ApiException, secrets: Sequence[str]) -> str:
    """Return the message of the server in one line, without secrets; empty where a proxy answered or nobody wrote one.

    gRPC's gateway answers with JSON, the upload of a pipeline with JSON of its own or with plain text.
    """
    body = error.body or ""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        value = json.loads(text)
    except ValueError:
        message = "" if text.lstrip().startswith("<") else text
    else:
        message = str(value.get("message") or value.get("error_message") or "") if isinstance(value, dict) else ""
    line = redact(" ".join(_STACK_FRAME.sub("", f"\n{message}").split()), secrets).rstrip(". ")
    if line.lower() in _GENERIC:
        return ""
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST_START]} … {line[_LONGEST_START - _LONGEST :]}"
    return line


def is_permanent(status: int, message: str) -> bool:
    """Whether a server that answers with this status and message has refused for good."""
    return status == 500 and bool(message) and not _TRANSIENT.search(message)
