"""A pipeline with one task, whose container and Kubernetes configuration a test sets."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import yaml
from kfp import dsl

from kfp_edge.spec import validate_text
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, Backend
from kfp_edge.spec.compiling.compiler import compile_to_yaml

CONTAINER = "deploymentSpec.executors.exec-work.container"
CONFIG = "platforms.kubernetes.deploymentSpec.executors.exec-work"


@dsl.component(base_image="quay.io/plant/work:1", install_kfp_package=False)
def work(text: str = "x") -> str:
    return text


@dsl.pipeline(name="one-task")
def one_task(name: str = "x") -> None:
    """Run one task."""
    work(text=name)


_SPEC = yaml.safe_load(compile_to_yaml(one_task))
#: A value that only a run knows.
FROM_A_RUN = {"componentInputParameter": "name"}
IN_A_TEXT = "{{$.inputs.parameters['pipelinechannel--name']}}"


def pod_findings(
    container: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    component: Mapping[str, Any] | None = None,
    backend: Backend = DEFAULT_BACKEND,
    spare_executor: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return what validation reports for a task with these settings, each as one line of code, path and message.

    `spare_executor` is one that no task runs.
    """
    spec = copy.deepcopy(_SPEC)
    spec["deploymentSpec"]["executors"]["exec-work"]["container"].update(container or {})
    spec["components"]["comp-work"].update(component or {})
    if spare_executor is not None:
        spec["deploymentSpec"]["executors"]["exec-spare"] = dict(spare_executor)
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-work": dict(config or {})}}}}}
    text = "\n---\n".join(map(json.dumps, (spec, platform)))  # YAML 1.1 would write 1e3 without quotes
    report = validate_text(text, backend)
    return [f"{finding.code} {finding.path}: {finding.message}" for finding in report.findings]


def assert_found(findings: list[str], start: str, *parts: str) -> None:
    """Check that there is one finding, at this place, with these words."""
    assert len(findings) == 1, findings
    assert findings[0].startswith(f"KE104 {start}: "), findings
    assert all(part in findings[0] for part in parts), findings
