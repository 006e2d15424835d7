"""The page of a run is where people can open it."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from kfp_edge.client import Client, Endpoint
from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes import Cluster
from kfp_edge.kubernetes.api_resources import resource_path
from support.clients import submit_small
from support.fake_kfp import FakeKfp

LINK = {"kind": "ConsoleLink", "spec": {"href": "https://rh-ai.apps.example.com/", "text": "Red Hat OpenShift AI"}}


def endpoint(server: FakeKfp, link: dict[str, Any] | ClusterError | None) -> Endpoint:
    """Return the endpoint of a server that a cluster names, in which this is the link to the dashboard."""
    cluster = Mock(spec=Cluster)
    cluster.get.side_effect = [link]
    return Endpoint(server.url, "ds-project", lambda: server.token, cluster=cluster, is_in_cluster=True)


@pytest.mark.parametrize(
    ("link", "has_dashboard"),
    [(LINK, True), (None, False), (ClusterError("may not get consolelinks", 403), False)],
    ids=["OpenShift AI", "Kubernetes", "no permission"],
)
def test_the_page_of_a_run_is_in_the_dashboard_of_openshift_ai_if_there_is_one(
    server: FakeKfp, work_folder: Path, link: dict[str, Any] | ClusterError | None, has_dashboard: bool
) -> None:
    run = Client(endpoint(server, link)).run(submit_small(server).id)
    base = "https://rh-ai.apps.example.com/external/pipelinesSdk/ds-project" if has_dashboard else server.url
    assert [run.url, run.url] == [f"{base}/#/runs/details/{run.id}"] * 2


def test_of_a_server_that_was_named_the_cluster_is_not_asked(server: FakeKfp, work_folder: Path) -> None:
    """The kubeconfig may be that of another cluster."""
    run = Client(replace(endpoint(server, LINK), is_in_cluster=False)).run(submit_small(server).id)
    assert run.url == f"{server.url}/#/runs/details/{run.id}"


def test_the_link_is_an_object_of_the_whole_cluster() -> None:
    path = "/apis/console.openshift.io/v1/consolelinks/rhodslink"
    assert resource_path("ConsoleLink", "ds-project", "rhodslink") == path
