"""For which backend, and with which limits, a pipeline is compiled.

KFP's compiler has no options for either: what it writes is adapted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from kfp_edge.errors import ParameterError
from kfp_edge.spec.backends.profiles import BACKENDS, DEFAULT_BACKEND, Backend, knows
from kfp_edge.spec.compiling.joined_stages import join_stages
from kfp_edge.storage.files import JsonObject

_DURATION = re.compile(r"([0-9]+) ?(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
#: The fields are `int32`.
_MOST_SECONDS = 2**31 - 1
#: The server reads from the Workflow how a run has ended; without it, the run would stay "running".
_LEAST_TIME_TO_LIVE = 60
#: The parts of an executor's configuration that name a Secret or a ConfigMap, with their messages.
_REFERENCES = {
    "secretAsEnv": "SecretAsEnv",
    "secretAsVolume": "SecretAsVolume",
    "configMapAsEnv": "ConfigMapAsEnv",
    "configMapAsVolume": "ConfigMapAsVolume",
}


@dataclass(frozen=True)
class RunLimits:
    """Limits of every run, in seconds; 0 sets none.

    Attributes:
        deadline: How long a run may take. Then it fails: its pods are ended, and exit tasks do not run.
        time_to_live: How long the Workflow of a run is kept after its end, and with it the pods and their logs. The
            run itself stays in the list of runs, but can no longer be retried.
    """

    deadline: int = 0
    time_to_live: int = 0

    @classmethod
    def parse(cls, deadline: str, time_to_live: str) -> "RunLimits":
        """Read limits as people write them: `90m`, `6h`, `7d`; an empty text sets none.

        Raises:
            ParameterError: one is not a duration, or is too short or too long.
        """
        limits = cls(parse_seconds("deadline", deadline), parse_seconds("time to live", time_to_live))
        if 0 < limits.time_to_live < _LEAST_TIME_TO_LIVE:
            raise ParameterError(
                f"the time to live {time_to_live!r} is too short: the server needs the Workflow of a run to see how it "
                f"has ended; give at least {_LEAST_TIME_TO_LIVE}s."
            )
        return limits

    @property
    def fields(self) -> dict[str, int]:
        """The fields of `pipelineConfig` that set the limits."""
        limits = {"activeDeadlineSeconds": self.deadline, "resourceTtlOnCompletion": self.time_to_live}
        return {name: seconds for name, seconds in limits.items() if seconds}


@dataclass(frozen=True)
class CompileTarget:
    """A backend, the limits of its runs, and whether stages that may share a pod are joined into one task.

    Raises:
        ParameterError: the backend has no such limits.
    """

    backend: Backend = DEFAULT_BACKEND
    limits: RunLimits = field(default_factory=RunLimits)
    is_joined: bool = False

    def __post_init__(self) -> None:
        for name in self.limits.fields:
            if not knows(self.backend, "PipelineConfig", name):
                kind = "deadline" if name == "activeDeadlineSeconds" else "time to live"
                known_to = [backend.name for backend in BACKENDS.values() if knows(backend, "PipelineConfig", name)]
                raise ParameterError(
                    f"{self.backend.title} has no {kind} of runs, only {', '.join(known_to)} have; leave it out."
                )

    def adapt(self, text: str) -> str:
        """Return what KFP's compiler wrote, YAML or Kubernetes manifests, for this target.

        KFP writes `optional: false`, the default, for every Secret; and OpenShift AI 2.25 does not know `optional` for
        Secrets in environment variables. There, the Secret has to exist.

        Raises:
            PipelineError: the pipeline has no stages that can share a pod.
        """
        is_old = not knows(self.backend, "SecretAsEnv", "optional")
        if not (self.limits.fields or self.is_joined) and not (is_old or "optional: false" in text):
            return text
        documents: list[JsonObject] = list(yaml.safe_load_all(text))
        before = yaml.dump_all(documents, sort_keys=True)
        for message, reference in _references(documents):
            if not reference.get("optional") or not knows(self.backend, message, "optional"):
                reference.pop("optional", None)
        if self.limits.fields:
            kubernetes = _platform_spec(documents).setdefault("platforms", {}).setdefault("kubernetes", {})
            kubernetes.setdefault("pipelineConfig", {}).update(self.limits.fields)
        if self.is_joined:
            join_stages(_pipeline_spec(documents), _platform_spec(documents))
        adapted = yaml.dump_all(documents, sort_keys=True)
        if adapted == before:
            return text
        comments = re.match(r"(?:#.*\n)*", text)
        return (comments[0] if comments else "") + adapted


def parse_seconds(name: str, text: str) -> int:
    """Return a duration such as `90m`, `6h` or `7d` in seconds; 0 for an empty text.

    Raises:
        ParameterError: it is not a duration above 0; the message calls it `name`.
    """
    if not text:
        return 0
    match = _DURATION.fullmatch(text.strip())
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _MOST_SECONDS:
        raise ParameterError(
            f"the {name} is {text!r}; give one number above 0 with its unit (s, m, h or d), such as 90m, 6h or 7d."
        )
    return seconds


def _pipeline_spec(documents: list[JsonObject]) -> JsonObject:
    versions = [document for document in documents if document.get("kind") == "PipelineVersion"]
    spec: JsonObject = versions[0]["spec"]["pipelineSpec"] if versions else documents[0]
    return spec


def _platform_spec(documents: list[JsonObject]) -> dict[str, Any]:
    """Return the platform spec of a pipeline, an empty one where it goes if there is none."""
    for document in documents:
        if document.get("kind") == "PipelineVersion":
            platform: dict[str, Any] = document["spec"].setdefault("platformSpec", {})
            return platform
        if "platforms" in document:
            return document
    documents.append({})
    return documents[-1]


def _references(documents: list[JsonObject]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the references of executors to Secrets and ConfigMaps, each with the name of its message."""
    for document in documents:
        platform = document.get("spec", {}).get("platformSpec", document)
        kubernetes = platform.get("platforms", {}).get("kubernetes", {})
        for executor in kubernetes.get("deploymentSpec", {}).get("executors", {}).values():
            for key, message in _REFERENCES.items():
                yield from ((message, reference) for reference in executor.get(key, ()))
