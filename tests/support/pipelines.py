"""Pipelines to break: small ones that are in order under every rule, and a way to change them."""

import copy
from collections.abc import Callable
from typing import Any

import yaml
from kfp import dsl, kubernetes

from kfp_edge.rules import Lint, lint_text
from kfp_edge.spec.compilation import compile_text

IMAGE = "quay.io/plant/work@sha256:" + "1" * 64


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def work(text: str, options: dict) -> str:
    """Explain that nobody needs to run pip install here."""
    # nor git push
    return text + str(options)


@dsl.pipeline(name="in-order")
def in_order(text: str = "x", storage_secret: str = "plant-storage"):
    """Two tasks, one with a Secret, as they should be."""
    first = work(text=text, options={"depth": 3})
    second = work(text=first.output, options={"depth": 4}).set_retry(2, backoff_duration="30s")
    for task in (first, second):
        task.set_cpu_request("100m").set_cpu_limit("1").set_memory_request("64Mi").set_memory_limit("1Gi")
    kubernetes.use_secret_as_env(second, storage_secret, {"password": "STORAGE_PASSWORD"})


TEXT = compile_text(in_order)
_SPEC, _PLATFORM = yaml.safe_load_all(TEXT)
EXECUTOR = "deploymentSpec.executors.exec-work.container"


def dumped(*documents: Any) -> str:
    """Return documents as YAML."""
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False)


def changed(change: Callable[[dict[str, Any], dict[str, Any]], object], ignore: tuple[str, ...] = ()) -> Lint:
    """Apply the rules to the pipeline after `change(spec, platform)`."""
    spec, platform = copy.deepcopy((_SPEC, _PLATFORM))
    change(spec, platform)
    return lint_text(dumped(spec, platform), ignore)


def container(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the container of the first task."""
    return spec["deploymentSpec"]["executors"]["exec-work"]["container"]


def task(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the first task."""
    return spec["root"]["dag"]["tasks"]["work"]


def executor_config(platform: dict[str, Any]) -> dict[str, Any]:
    """Return what the platform says of the second task, which has a Secret."""
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work-2"]


def told(lint: Lint) -> list[str]:
    """Return the problems that count: code, path and message in one line each."""
    findings = [problem.finding for problem in lint.problems if not problem.allowed]
    return [f"{finding.code} {finding.path}: {finding.message}" for finding in findings]


def codes(lint: Lint) -> list[str]:
    """Return the codes of the problems that count."""
    return [line.split()[0] for line in told(lint)]
