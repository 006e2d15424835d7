"""A pipeline is compiled for the backend that runs it: the one that is named, or that the cluster or server reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.client import Client, diagnose_cluster
from kfp_edge.diagnosis import Diagnosis
from kfp_edge.errors import KfpApiError, KfpEdgeError, KfpEdgeWarning
from support.clients import client_of, make_checkout, only, small, write_small
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")

IMAGE = "registry.example.com/runtime:1"
UNKNOWN = "reports which version of OpenShift AI or KFP it is"


def copied_operator(version: str, phase: str = "Succeeded", name: str = "rhods-operator") -> dict[str, Any]:
    """Return what the Operator Lifecycle Manager copies into every namespace."""
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": f"{name}.{version}",
            "namespace": "ds-project",
            "labels": {"olm.copiedFrom": "redhat-ods-operator"},
        },
        "spec": {"displayName": "Red Hat OpenShift AI", "version": version},
        "status": {"phase": phase, "reason": "Copied"},
    }


def uploaded(server: FakeKfp) -> str:
    """Return the only pipeline that was uploaded."""
    return only(server.store.texts)


def limits(server: FakeKfp) -> Any:
    """Return the limits of runs in the only pipeline that was uploaded."""
    platform = json.loads(uploaded(server).split("\n---\n")[1])
    return platform["platforms"]["kubernetes"]["pipelineConfig"]


@pytest.fixture
def openshift_ai(server: FakeKfp, cluster: FakeKubernetes) -> FakeKubernetes:
    """The cluster of a server that does not know its own version."""
    server.tag_name = "unknown"
    return cluster


@pytest.mark.parametrize(("version", "is_optional"), [("2.25.0", False), ("3.2.1", True), ("3.5.0", True)])
def test_the_version_of_openshift_ai_in_the_cluster_decides(
    server: FakeKfp, openshift_ai: FakeKubernetes, version: str, is_optional: bool
) -> None:
    openshift_ai.apply(copied_operator(version))
    openshift_ai.apply(copied_operator("1.0.0", name="another-operator"))
    for name in ("kfp-edge-data", "kfp-edge-registry"):
        openshift_ai.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "ds-project"}}
        )
    Client.connect().submit("training", {"target": "failed"}, image=IMAGE)
    references = json.loads(uploaded(server).split("\n---\n")[1])["platforms"]["kubernetes"]["deploymentSpec"]
    secrets = [each for executor in references["executors"].values() for each in executor.get("secretAsEnv", ())]
    assert secrets
    assert {"optional" in secret for secret in secrets} == {is_optional}


@pytest.mark.parametrize(("tag", "backend"), [("2.17.0", "KFP 2.17"), ("2.16.1", "KFP 2.16"), ("v2.17.3", "KFP 2.17")])
def test_a_release_of_kfp_reports_its_version(server: FakeKfp, tag: str, backend: str) -> None:
    server.tag_name = tag
    client = client_of(server)
    if backend == "KFP 2.17":
        client.submit(small, {"rows": 1}, deadline="6h", time_to_live="7d")
        assert limits(server) == {"activeDeadlineSeconds": 21600, "resourceTtlOnCompletion": 604800}
    else:
        with pytest.raises(KfpEdgeError, match=f"{backend} has no deadline of runs, only rhoai-3.4, .* have; leave it"):
            client.submit(small, {"rows": 1}, deadline="6h")
        assert server.sent == []


def test_a_schedule_has_the_same_options(server: FakeKfp) -> None:
    client_of(server).schedule(
        "nightly", small, {"rows": 1}, every=3600, backend="rhoai-3.4", deadline="1h", time_to_live="60s"
    )
    assert limits(server) == {"activeDeadlineSeconds": 3600, "resourceTtlOnCompletion": 60}


def test_another_deadline_is_another_version_of_the_same_commit(server: FakeKfp, work_folder: Path) -> None:
    """The installed messages of KFP 2.16 do not have the field."""
    make_checkout(work_folder)
    for deadline in ("6h", "1h", "6h"):
        client_of(server).submit(small, {"rows": 1}, backend="rhoai-3.5", deadline=deadline)
    platforms = [json.loads(text.split("\n---\n")[1])["platforms"] for text in server.store.texts.values()]
    assert [each["kubernetes"]["pipelineConfig"]["activeDeadlineSeconds"] for each in platforms] == [21600, 3600]


def test_a_named_backend_is_not_asked_for(server: FakeKfp) -> None:
    client_of(server).submit(small, {"rows": 1}, backend="3.5", time_to_live="1d")
    assert limits(server) == {"resourceTtlOnCompletion": 86400}
    assert server.sent == server.requests


class TestAnUnknownVersion:
    @pytest.mark.parametrize("tag", ["unknown", "master", ""])
    def test_is_the_newest_openshift_ai_with_a_warning(self, server: FakeKfp, tag: str) -> None:
        server.tag_name = tag
        with pytest.warns(KfpEdgeWarning, match=f"{UNKNOWN}; the pipeline is compiled for OpenShift AI 3.5"):
            client_of(server).submit(small, {"rows": 1})
        assert len(server.store.runs) == 1

    @pytest.mark.parametrize(("tag", "title"), [("2.14.3", "KFP 2.14.3"), ("3.0.0", "KFP 3.0.0")])
    def test_is_named_if_it_is_only_its_fields_that_are_unknown(self, server: FakeKfp, tag: str, title: str) -> None:
        server.tag_name = tag
        with pytest.warns(KfpEdgeWarning, match=rf"{title}, whose fields are not known here \(known are rhoai-2.25, "):
            client_of(server).submit(small, {"rows": 1})

    def test_gets_no_deadline(self, server: FakeKfp) -> None:
        """A backend that does not know the field drops the whole platform spec in silence."""
        server.tag_name = "unknown"
        with pytest.raises(KfpEdgeError, match=rf"{UNKNOWN}, and one that does not know a deadline .* name it with"):
            client_of(server).submit(small, {"rows": 1}, deadline="6h")
        assert server.sent == []

    @pytest.mark.parametrize(
        "operators",
        [
            [],
            [copied_operator("3.4.0", phase="Replacing")],
            [copied_operator("3.4.0", phase="Succeeded"), copied_operator("3.5.0", phase="Succeeded")],
        ],
        ids=["no copies", "an upgrade", "two"],
    )
    def test_is_that_of_a_cluster_that_does_not_say_or_is_being_upgraded(
        self, openshift_ai: FakeKubernetes, operators: list[dict[str, Any]]
    ) -> None:
        for operator in operators:
            openshift_ai.apply(operator)
        with pytest.warns(KfpEdgeWarning, match=UNKNOWN):
            Client.connect().submit(small, {"rows": 1})

    @pytest.mark.parametrize("version", ["2.19.4", "3.6.0", "3.5.0-ea.1"])
    def test_is_that_of_a_release_without_a_profile(self, openshift_ai: FakeKubernetes, version: str) -> None:
        openshift_ai.apply(copied_operator(version))
        with pytest.warns(KfpEdgeWarning, match=f"is OpenShift AI {version}, whose fields are not known here"):
            Client.connect().submit(small, {"rows": 1})

    def test_is_that_of_a_server_whose_proxy_refuses_the_question(self, server: FakeKfp) -> None:
        server.fail("GET", "/apis/v2beta1/healthz", 403)
        with pytest.warns(KfpEdgeWarning, match=UNKNOWN):
            client_of(server).submit(small, {"rows": 1})


def test_the_cluster_of_a_kubeconfig_is_not_asked_about_another_server(
    server: FakeKfp, openshift_ai: FakeKubernetes
) -> None:
    openshift_ai.apply(copied_operator("3.5.0"))
    client = Client.connect(host=server.url)
    with pytest.warns(KfpEdgeWarning) as caught:
        client.submit(small, {"rows": 1})
    assert any(UNKNOWN in str(each.message) for each in caught)


def test_a_server_that_does_not_take_the_token_is_reported_as_such(server: FakeKfp) -> None:
    client = client_of(server)
    server.fail("GET", "/apis/v2beta1/healthz", 401)
    with pytest.raises(KfpApiError, match="does not accept the token"):
        client.submit(small, {"rows": 1})


class TestACompiledFile:
    @pytest.mark.parametrize("option", [{"backend": "3.4"}, {"deadline": "6h"}, {"time_to_live": "7d"}])
    def test_takes_no_such_options(self, server: FakeKfp, tmp_path: Path, option: dict[str, str]) -> None:
        file = write_small(tmp_path)
        message = (
            r"are compiled into a pipeline, and .*small\.yaml is compiled already; leave them out here, .* "
            r"`kfp-edge compile` for a pipeline of kfp-edge, or submit your own as a function, .* `Client.submit`"
        )
        with pytest.raises(KfpEdgeError, match=message):
            client_of(server).submit(file, {"rows": 1}, **option)
        with pytest.raises(KfpEdgeError, match=message):
            client_of(server).schedule("nightly", str(file), {"rows": 1}, every=60, **option)
        assert server.requests == []

    def test_is_validated_for_the_backend_of_the_server(self, server: FakeKfp, tmp_path: Path) -> None:
        file = write_small(tmp_path)
        platform = {"platforms": {"kubernetes": {"pipelineConfig": {"activeDeadlineSeconds": 60}}}}
        file.write_text(f"{file.read_text()}\n---\n{json.dumps(platform)}\n")
        with pytest.raises(KfpEdgeError, match=r"small\.yaml: .*activeDeadlineSeconds is not a field of"):
            client_of(server).submit(file, {"rows": 1})
        server.tag_name = "2.17.0"
        client_of(server).submit(file, {"rows": 1})
        assert limits(server) == {"activeDeadlineSeconds": 60}

    def test_needs_no_known_backend(self, server: FakeKfp, tmp_path: Path) -> None:
        server.tag_name = "unknown"
        client_of(server).submit(write_small(tmp_path), {"rows": 1})
        assert len(server.store.runs) == 1


class TestDoctor:
    def rows(self, pipeline: Any = small) -> dict[str, Diagnosis]:
        return {each.name: each for each in diagnose_cluster(pipeline, {"rows": 1})}

    def test_reports_the_version_of_the_cluster(self, openshift_ai: FakeKubernetes) -> None:
        openshift_ai.apply(copied_operator("3.4.2"))
        assert self.rows()["backend"] == Diagnosis("backend", "OpenShift AI 3.4.2", "ok")

    def test_asks_the_server_as_submit_does(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        server.tag_name = "2.16.1"
        assert self.rows()["backend"] == Diagnosis("backend", "KFP 2.16.1", "ok")

    def test_says_for_which_backend_submit_compiles_where_neither_reports_it(
        self, openshift_ai: FakeKubernetes
    ) -> None:
        row = self.rows()["backend"]
        assert (row.status, UNKNOWN in row.details) == ("unchecked", True)
        assert row.remedy == "the pipeline is compiled for OpenShift AI 3.5, which --backend of submit changes"

    def test_warns_of_a_version_without_a_profile(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        server.tag_name = "2.14.3"
        row = self.rows()["backend"]
        assert (row.status, "is KFP 2.14.3, whose fields are not known here" in row.details) == ("warning", True)

    def test_does_not_say_that_a_compiled_file_is_compiled(self, openshift_ai: FakeKubernetes, tmp_path: Path) -> None:
        assert self.rows(write_small(tmp_path))["backend"].remedy == ""

    def test_says_nothing_of_the_version_where_no_server_was_asked(self, cluster: FakeKubernetes) -> None:
        cluster.delete("DataSciencePipelinesApplication", "ds-project", "dspa")
        rows = self.rows()
        assert (rows["pipeline server"].status, "backend" in rows) == ("missing", False)
        cluster.apply(copied_operator("3.4.2"))
        assert self.rows()["backend"].details == "OpenShift AI 3.4.2"

    def test_reports_a_server_that_does_not_take_the_token(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        server.fail("GET", "/apis/v2beta1/healthz", 401)
        rows = self.rows()
        assert (rows["pipeline server"].status, "backend" in rows) == ("missing", False)
        assert "does not accept the token" in rows["pipeline server"].details
