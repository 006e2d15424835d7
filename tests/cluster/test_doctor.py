"""`kfp-edge doctor` on the project, which changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.live_cluster.commands import KfpEdge
from support.live_cluster.live_cluster import LiveCluster

ABSENT = "kfp-edge-test-absent"


@pytest.fixture(scope="module")
def doctor(live: LiveCluster, kfp_edge: KfpEdge) -> KfpEdge:
    return kfp_edge.with_options("--namespace", live.settings.namespace, "--json")


def missing(output: str, live: LiveCluster) -> list[dict[str, Any]]:
    """Return what is missing; without a DSPA, that is its address, which the settings have in its place."""
    checks = json.JSONDecoder().raw_decode(output[output.index("{") :])[0]["checks"]
    known = {"pipeline server"} if live.settings.host else set()
    return [check for check in checks if check["status"] == "missing" and check["name"] not in known]


def test_nothing_is_missing_for_edge_mlops(live: LiveCluster, doctor: KfpEdge, story_parameters: Path) -> None:
    output = doctor("doctor", "edge_mlops", "--params", str(story_parameters)).output
    assert missing(output, live) == []


@pytest.mark.parametrize("parameter", ["data_connection", "registry_secret", "git_secret"])
def test_a_secret_that_is_not_there_is_named(
    live: LiveCluster, doctor: KfpEdge, story_parameters: Path, parameter: str
) -> None:
    checked = doctor("doctor", "edge_mlops", "--params", str(story_parameters), "-p", f"{parameter}={ABSENT}")
    assert ABSENT in checked.output
    checks = json.JSONDecoder().raw_decode(checked.output[checked.output.index("{") :])[0]["checks"]
    named = [check for check in checks if ABSENT in f"{check['name']} {check['details']}"]
    assert {check["status"] for check in named} <= {"missing", "warning"}


def test_a_service_account_that_is_not_there_is_missing(
    live: LiveCluster, doctor: KfpEdge, story_parameters: Path
) -> None:
    if not live.has_tekton:
        pytest.skip("build=append has no service account of builds")
    options = {**live.settings.parameters.get("build_options", {}), "service_account": ABSENT}
    checked = doctor(
        "doctor", "edge_mlops", "--params", str(story_parameters), "-p", f"build_options={json.dumps(options)}"
    )
    assert [check for check in missing(checked.output, live) if ABSENT in f"{check['name']} {check['details']}"]
