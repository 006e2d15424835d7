"""What a run of a pipeline of one stage needs, and what is refused before it is sent: as of those with `preflight`."""

from typing import Any

import pytest

from kfp_edge.errors import ParameterError
from kfp_edge.prerequisites import find_run_needs
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.pipeline_file import read_pipeline_file
from kfp_edge.spec.preflight import check_arguments
from support.paths import ROOT

URL = "https://git.example/plant/edge-sites.git"


def compiled(name: str) -> str:
    return (ROOT / "compiled" / f"{name}.yaml").read_text()


def secrets(name: str, **arguments: Any) -> dict[str, str]:
    """Return the Secrets that the pods of a run may use, each with why the run needs it."""
    (document,) = read_pipeline_file(compiled(name)).pipelines
    found: dict[str, str] = {}
    for pod in find_run_needs(document, CompiledPipeline(compiled(name)), arguments, "plant"):
        for need in pod.objects:
            if need.kind == "Secret":
                found[need.name] = need.reason or found.get(need.name, "")
    return found


@pytest.mark.parametrize("name", ["promote", "rollback"])
def test_the_login_of_the_repository_is_needed_and_the_other_secrets_may_be_missing(name: str) -> None:
    needed = secrets(name, gitops_repo=URL, forge_secret="forge")
    assert needed["kfp-edge-git"] == f"the run has no other login for {URL}"
    assert needed["forge"] == ""
    assert ("kfp-edge-metrics" in needed) == (name == "promote")


def test_a_registry_that_is_named_needs_its_login() -> None:
    needed = secrets("promote", gitops_repo=URL, image_registry="docker://quay.io/plant")
    assert needed["kfp-edge-registry"] == "the run has no other login for docker://quay.io/plant"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gitops_repo": "git@git.example:plant/sites.git"}, "has an SSH address"),
        ({"gitops_branch": "a..b"}, "cannot be the name of a git branch"),
        ({"to": "Ring 1"}, "ring 'Ring 1' cannot be used"),
        ({"image_registry": "quay.io/plant"}, "quay.io/plant"),
        ({"metrics_secret": "My Secret"}, "metrics_secret is 'My Secret', which no pod can have"),
    ],
)
def test_a_parameter_that_the_stage_would_refuse_is_refused_before_the_run(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        check_arguments(CompiledPipeline(compiled("promote")), arguments)


def test_the_defaults_pass() -> None:
    for name in ("promote", "rollback", "drift"):
        check_arguments(CompiledPipeline(compiled(name)), {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drift_window": "a week"}, "drift_window is 'a week', which is no duration such as 24h or 7d"),
        ({"prometheus": "thanos:9090"}, "prometheus must be a URL such as https://prometheus.example"),
        ({"drift_psi": 0.01}, "drift_psi is 0.01; it has to be at least watch_psi"),
        ({"metrics_secret": "My Secret"}, "metrics_secret is 'My Secret', which no pod can have"),
    ],
)
def test_a_parameter_of_drift_that_the_stage_would_refuse_is_refused_before_the_run(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        check_arguments(CompiledPipeline(compiled("drift")), arguments)


def test_drift_needs_no_secret_but_uses_those_that_are_there() -> None:
    assert secrets("drift")["kfp-edge-metrics"] == ""
