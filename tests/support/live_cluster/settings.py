"""What the tests need to know of a cluster: environment variables, and the parameters of a run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.paths import ROOT

#: Seconds in which a cluster of a few nodes that is not busy does each of these.
PULL_SECONDS, STAGE_SECONDS, RUN_SECONDS = 120.0, 240.0, 1200.0

_PREFIX = "KFP_EDGE_TEST_"


class SettingsError(Exception):
    """What is missing, and what to do, in one sentence."""


@dataclass(frozen=True)
class Settings:
    """The cluster to test, and how.

    Attributes:
        namespace: The project with the pipeline server.
        parameters: Those of `edge_mlops`: where data, images and commits are, and the names of Secrets.
        host: The address of the pipeline server; empty for that in the status of the project's DSPA.
        overlay: The reader's copy of `deploy/openshift/overlays/example`; None to write one from what is discovered.
        audit_log: The audit log of the Kubernetes API, one JSON object a line; None if there is none to read.
        timeout_scale: By how much all timeouts are multiplied.
        parallel_runs: How many runs that build and test an image go on at a time.
    """

    namespace: str
    parameters: dict[str, Any]
    host: str = ""
    overlay: Path | None = None
    audit_log: Path | None = None
    timeout_scale: float = 1.0
    parallel_runs: int = 3

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables `KFP_EDGE_TEST_*`.

        Raises:
            SettingsError: a variable is missing or has a value that cannot be used.
        """
        values = {name.removeprefix(_PREFIX): value for name, value in environment.items() if name.startswith(_PREFIX)}
        for name in ("NAMESPACE", "PARAMETERS"):
            if not values.get(name):
                raise SettingsError(f"set {_PREFIX}{name}; tests/cluster/README.md says what it is.")
        return cls(
            namespace=values["NAMESPACE"],
            parameters=_read_parameters(_file("PARAMETERS", values["PARAMETERS"])),
            host=values.get("HOST", ""),
            overlay=_file("OVERLAY", values["OVERLAY"]) if values.get("OVERLAY") else None,
            audit_log=_file("AUDIT_LOG", values["AUDIT_LOG"]) if values.get("AUDIT_LOG") else None,
            timeout_scale=_number("TIMEOUT_SCALE", values.get("TIMEOUT_SCALE", "1")),
            parallel_runs=int(_number("PARALLEL_RUNS", values.get("PARALLEL_RUNS", "3"))),
        )

    def seconds(self, seconds: float) -> float:
        """Return a timeout, longer where `timeout_scale` says so."""
        return seconds * self.timeout_scale

    @property
    def staging(self) -> str:
        """The namespace in which candidates are tested."""
        return str(self.parameters.get("staging_options", {}).get("namespace") or self.namespace)

    @property
    def context(self) -> str:
        """Where build contexts are stored, `s3://BUCKET/PREFIX`; empty if nothing is built with Tekton."""
        return str(self.parameters.get("build_options", {}).get("context", ""))

    def secret(self, parameter: str) -> str:
        """Return the name of the Secret that a parameter such as `data_connection` names, or its default."""
        defaults = {
            "data_connection": "kfp-edge-data",
            "registry_secret": "kfp-edge-registry",
            "image_pull_secret": "kfp-edge-registry",
            "git_secret": "kfp-edge-git",
        }
        return str(self.parameters.get(parameter, defaults[parameter]))


def _file(name: str, value: str) -> Path:
    path = Path(value)
    path = path if path.is_absolute() else ROOT / path
    if not path.exists():
        raise SettingsError(f"{_PREFIX}{name} is {value}, which does not exist.")
    return path


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise SettingsError(f"{_PREFIX}{name} is {value!r}; write a number above 0.")
    return number


def _read_parameters(path: Path) -> dict[str, Any]:
    parameters = yaml.safe_load(path.read_text())
    needed = ("registry", "serving_image", "gitops_repo")
    missing = [name for name in needed if not isinstance(parameters, dict) or not parameters.get(name)]
    if missing:
        raise SettingsError(
            f"{path} lacks {', '.join(missing)}; copy deploy/openshift/parameters.yaml and replace its names."
        )
    return dict(parameters)
