"""A small pipeline without any findings, and helpers to change it and to lint the result."""

import copy
from collections.abc import Callable
from typing import Any

import yaml
from kfp import dsl, kubernetes

from kfp_edge.rules import LintReport, lint_text
from kfp_edge.spec.compiling.compiler import compile_to_yaml

IMAGE = "quay.io/plant/work@sha256:" + "1" * 64


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def work(text: str, options: dict) -> str:
    """Explain that nobody needs to run pip install here."""
    # nor git push
    return text + str(options)


@dsl.pipeline(name="clean")
def clean(text: str = "x", storage_secret: str = "plant-storage"):
    """Run two tasks, one with a Secret, that violate no rule."""
    first = work(text=text, options={"depth": 3})
    second = work(text=first.output, options={"depth": 4}).set_retry(2, backoff_duration="30s")
    for task in (first, second):
        task.set_cpu_request("100m").set_cpu_limit("1").set_memory_request("64Mi").set_memory_limit("1Gi")
    kubernetes.use_secret_as_env(second, storage_secret, {"password": "STORAGE_PASSWORD"})


TEXT = compile_to_yaml(clean)
_SPEC, _PLATFORM = yaml.safe_load_all(TEXT)
#: The pipeline with an image by tag.
WITH_TAG = TEXT.replace(f"image: {IMAGE}", "image: quay.io/plant/work:1", 1)
EXECUTOR = "deploymentSpec.executors.exec-work.container"


def dump_yaml(*documents: Any) -> str:
    """Return documents as YAML."""
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False)


def lint_changed(
    change: Callable[[dict[str, Any], dict[str, Any]], object], ignore: tuple[str, ...] = ()
) -> LintReport:
    """Lint the pipeline after `change(spec, platform)`."""
    spec, platform = copy.deepcopy((_SPEC, _PLATFORM))
    change(spec, platform)
    return lint_text(dump_yaml(spec, platform), ignore)


def container(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the container of the first task."""
    return spec["deploymentSpec"]["executors"]["exec-work"]["container"]


def task(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the first task."""
    return spec["root"]["dag"]["tasks"]["work"]


def executor_config(platform: dict[str, Any]) -> dict[str, Any]:
    """Return the Kubernetes configuration of the second task, which has a Secret."""
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work-2"]


def problem_lines(report: LintReport) -> list[str]:
    """Return the problems that are not suppressed, each as one line of code, path and message."""
    findings = [problem.finding for problem in report.problems if not problem.suppression_reason]
    return [f"{finding.code} {finding.path}: {finding.message}" for finding in findings]


def codes(report: LintReport) -> list[str]:
    """Return the rule codes of the problems that are not suppressed."""
    return [line.split()[0] for line in problem_lines(report)]


def component_source(body: str, docstring: str = "Work.") -> str:
    """Return a component's code as KFP embeds it."""
    return f'\nimport kfp\nfrom kfp import dsl\n\ndef work():\n    """{docstring}"""\n    {body}\n'


def disable_caching(spec: dict[str, Any]) -> None:
    """Disable caching of the first task."""
    task(spec)["cachingOptions"] = {}
