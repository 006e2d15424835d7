"""Skopeo: how it reaches a registry, and what its errors mean.

Three variables of the environment say how a registry is reached; nothing secret is ever an argument:

- `REGISTRY_AUTH_FILE`: the credentials, a containers-auth.json(5) file; without it, its default places.
- `KFP_EDGE_REGISTRY_CERT_DIR`: a folder with the CA (`*.crt`) that signed the registry's certificate.
- `KFP_EDGE_REGISTRY_INSECURE=1`: plain HTTP and unknown certificates are allowed, on this machine only.
"""

import os
import subprocess

from kfp_edge.errors import CommandError, ImageError
from kfp_edge.runtime.process import run

_HERE = ("localhost", "127.0.0.1")
_RETRIES = ("--retry-times", "2")
#: Seconds in which a registry has to answer; a copy takes as long as its bytes need.
_ANSWER_SECONDS = 300
_ABSENT = ("manifest unknown", "name unknown", "404 (not found)", "repository not found")

#: What is wrong with a registry, and what to do; each follows its name.
REFUSED_LOGIN = (
    "refused the credentials; put a valid login for it, as `skopeo login` writes it with an `auth`, into the file that "
    "REGISTRY_AUTH_FILE names."
)
UNREADABLE_LOGIN = (
    "was not asked, because the file with its login is not valid; write it anew with "
    "`skopeo login --authfile FILE HOST` and name it in REGISTRY_AUTH_FILE."
)
NO_CREDENTIAL_HELPER = (
    "was not asked, because the credential helper that the file with its login names cannot be run; install it, or "
    "write a login with `skopeo login --authfile FILE HOST` and name that file in REGISTRY_AUTH_FILE."
)
UNTRUSTED = (
    "has a TLS certificate that this machine does not trust; "
    "put its CA as a .crt file into a folder and name it in KFP_EDGE_REGISTRY_CERT_DIR."
)
PLAIN_HTTP = "speaks plain HTTP, which is allowed only on localhost and with KFP_EDGE_REGISTRY_INSECURE=1."
UNREACHABLE = "cannot be reached; check the address and the network."

# Parts of what skopeo logs (in lower case), and what they mean to a person.
_REASONS = (
    (("error getting credentials",), NO_CREDENTIAL_HELPER),
    (("getting username and password",), UNREADABLE_LOGIN),
    (
        ("unauthorized", "authentication required", "denied: ", "is denied", "forbidden", "invalid username/password"),
        REFUSED_LOGIN,
    ),
    (("x509:",), UNTRUSTED),
    (("http response to https client",), PLAIN_HTTP),
    (
        ("received unexpected http status: 5",),
        "failed with an error of its own (HTTP 5xx); run again, or ask who runs it.",
    ),
    (("no space left",), "could not be copied: the disk is full; free some space and run again."),
    (
        ("dial tcp", "connection refused", "no such host", "i/o timeout", "unreachable", "connection reset"),
        UNREACHABLE,
    ),
)


class MissingImageError(ImageError):
    """The registry answers, and has no such image or repository."""


def skopeo(command: str, *args: str, where: str) -> str:
    """Run a command of skopeo against `where`, a repository as the user knows it; return its stdout.

    Raises:
        MissingImageError: there is no such image.
        ImageError: the registry refuses, cannot be reached or is not trusted, or the disk is full.
    """
    timeout = None if command == "copy" else _ANSWER_SECONDS
    try:
        return run(["skopeo", command, *_RETRIES, *args], new_session=True, timeout=timeout)
    except CommandError as error:
        if isinstance(error.__cause__, subprocess.TimeoutExpired):
            raise ImageError(f"{where} {UNREACHABLE}") from error
        log = error.output.lower()
        for signs, meaning in _REASONS:
            if any(sign in log for sign in signs):
                raise ImageError(f"{where} {meaning}") from error
        if any(sign in log for sign in _ABSENT):
            raise MissingImageError(f"there is no such image in {where}; check the reference.") from error
        raise


def registry_flags(side: str, host: str | None) -> list[str]:
    """Return the flags to reach a registry `HOST[:PORT]`, none for a layout; `side` is `src-`, `dest-` or empty."""
    if host is None:
        return []
    flags = []
    if folder := os.environ.get("KFP_EDGE_REGISTRY_CERT_DIR"):
        flags += [f"--{side}cert-dir", folder]
    if is_insecure_allowed(host):
        flags += [f"--{side}tls-verify=false"]
    return flags


def is_insecure_allowed(host: str) -> bool:
    """Return whether a registry `HOST[:PORT]` may use plain HTTP or an unknown certificate."""
    return host.partition(":")[0] in _HERE and os.environ.get("KFP_EDGE_REGISTRY_INSECURE") == "1"
