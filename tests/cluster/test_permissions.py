"""The roles of deploy/openshift: they are granted, they suffice, and each verb is used.

What the accounts have called is in the audit log of the API server, where its file is given.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.live_cluster.audit_log import read_calls
from support.live_cluster.commands import KfpEdge
from support.live_cluster.installation import Names, granted_manifests
from support.live_cluster.kubectl import KubectlError, kubectl
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.settings import RUN_SECONDS
from support.live_cluster.small_pipelines import REASON, SmallPipelines
from support.manifests import rendered
from support.rbac import Call, Right, rights, unused_and_missing


@pytest.fixture(scope="module")
def manifests(overlay: Path) -> list[dict[str, Any]]:
    return rendered(overlay)


@pytest.fixture(scope="module")
def runner(names: Names) -> str:
    return f"system:serviceaccount:{names.project}:{names.runner}"


@pytest.fixture(scope="module")
def client_account(names: Names) -> str:
    return f"system:serviceaccount:{names.project}:kfp-edge-client"


@pytest.fixture(scope="module")
def client(live: LiveCluster, kfp_edge: KfpEdge, names: Names, folder: Path) -> KfpEdge:
    """The command with the token of the account `kfp-edge-client`, as in a job of a CI server."""
    try:
        token = kubectl("create", "token", "kfp-edge-client", "-n", names.project, "--duration", "1h").strip()
        config = json.loads(kubectl("config", "view", "--minify", "--raw", "-o", "json"))
    except KubectlError as error:
        pytest.skip(f"this login gets no token of kfp-edge-client: {error}")
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = names.project
    file = folder / "client.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))
    options = ["--host", live.settings.host] if live.settings.host else []
    return kfp_edge.with_options(*options, environment={"KUBECONFIG": str(file)})


@pytest.fixture(scope="module")
def submitted(live: LiveCluster, client: KfpEdge, small: SmallPipelines) -> str:
    """What a run that fails prints to that account."""
    arguments = ("submit", str(small.failing()), "--experiment", live.experiment, "--no-cache", "--wait")
    return client(*arguments, seconds=live.settings.seconds(RUN_SECONDS)).output


@pytest.fixture(scope="module")
def calls(live: LiveCluster, submitted: str, runner: str, client_account: str) -> list[Call]:
    """The calls of both accounts since the tests began."""
    if live.settings.audit_log is None:
        pytest.skip("KFP_EDGE_TEST_AUDIT_LOG names no audit log")
    audited = [call for call in read_calls(live.settings.audit_log, live.started) if call.user.startswith("system:")]
    return [call for call in audited if call.user in (runner, client_account)]


def test_every_right_of_the_manifests_is_granted(manifests: list[dict[str, Any]]) -> None:
    expected = set(rights(manifests))
    granted: set[Right] = set()
    for user, namespace in {(right.user, right.namespace) for right in expected}:
        try:
            granted |= set(rights(granted_manifests(user, namespace)))
        except KubectlError as error:
            pytest.skip(f"this login may not ask for the rights of {user}: {error}")
    assert expected - granted == set()


def test_the_client_account_submits_a_run_and_reads_why_it_failed(submitted: str) -> None:
    assert REASON in submitted


def test_the_client_account_lists_runs_and_schedules(client: KfpEdge) -> None:
    listed = [client("runs"), client("schedule", "list")]
    assert [each.code for each in listed] == [0, 0], [each.output for each in listed]


def test_no_call_of_a_stage_was_refused(calls: list[Call], runner: str) -> None:
    assert [call for call in calls if call.user == runner and call.status == 403] == []


def test_the_client_account_was_refused_only_reads(
    calls: list[Call], client_account: str, record_property: Any
) -> None:
    """It asks for what helps to check a run, such as Secrets and the staging namespace, and does without."""
    refused = [call for call in calls if call.user == client_account and call.status == 403]
    if refused:
        listed = ", ".join(sorted({f"{call.verb} {call.resource} in {call.namespace}" for call in refused}))
        record_property("note", f"refused: {listed}")
    assert {call.verb for call in refused} <= {"get", "list"}


def test_every_verb_of_the_runner_is_used(
    calls: list[Call],
    runner: str,
    manifests: list[dict[str, Any]],
    record_property: Any,
) -> None:
    """Verbs that were never used are listed: not every session has a build that is cancelled, for example."""
    unused = unused_and_missing(manifests, [call for call in calls if call.user == runner]).unused
    if unused:
        listed = "; ".join(sorted(f"{right.verb} {right.resource} in {right.namespace}" for right in unused))
        record_property("note", f"granted and not used: {listed}")
    assert calls
