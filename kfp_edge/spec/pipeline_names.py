"""The names that a KFP API server takes for a pipeline and for a version of it.

Source: `ValidatePipelineName` (backend/src/apiserver/common/utils.go) and `LengthSpecs`
(backend/src/apiserver/validation/length.go) of KFP 2.16.1. With the Kubernetes API as the store of pipelines, both
names are those of Kubernetes objects as well, which end in a letter or a digit.

A managed pipeline is named by the file that brings it, not by its pipeline spec: `validPipelineName`
(backend/src/apiserver/config/config.go) of red-hat-data-services/data-science-pipelines, branches rhoai-3.4 and
rhoai-3.5. OpenShift AI 3.4 gives its version the same name.
"""

import re

from kfp_edge.storage.files import sha256_bytes

_LONGEST = 128
_LONGEST_VERSION = 127
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
#: That of a Kubernetes object: what a server takes for a managed pipeline, and what it can store in either place.
_MANAGED_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_DIGEST_LENGTH = 8


def describe_bad_name(name: str) -> str:
    """Return why a server refuses this name of a pipeline, and what to write instead; empty if it takes it."""
    if _NAME.fullmatch(name) and len(name) <= _LONGEST:
        return ""
    suggestion = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST].strip("-")
    remedy = f"; write {suggestion}" if suggestion else ""
    return (
        "must be lower-case letters a to z, digits and dashes, with a letter or digit at both ends, at most "
        f"{_LONGEST} of them; it is {name[: 2 * _LONGEST]!r}{remedy}."
    )


def describe_bad_managed_name(name: str) -> str:
    """Return why a server refuses this name of a managed pipeline, which may have dots; empty if it takes it."""
    if _MANAGED_NAME.fullmatch(name) and len(name) <= _LONGEST_VERSION:
        return ""
    return (
        "must be lower-case letters a to z, digits, dashes and dots, with a letter or digit at both ends and beside "
        f"each dot, at most {_LONGEST_VERSION} of them; it is {name[: 2 * _LONGEST]!r}."
    )


def version_name(pipeline: str, version: str) -> str:
    """Return a name for a version of a pipeline that is unique on the server, shortened to what it takes."""
    name = f"{pipeline}-{version}"
    if len(name) <= _LONGEST_VERSION:
        return name
    ending = f"-{sha256_bytes(pipeline.encode())[:_DIGEST_LENGTH]}-{version}"
    return pipeline[: _LONGEST_VERSION - len(ending)].rstrip("-") + ending
