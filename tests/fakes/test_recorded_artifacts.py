"""The fake backend answers about artifacts as OpenShift AI 3.5 does and, without that API, as KFP 2.16.1 does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from support.clients import client_of, set_results, small
from support.fake_kfp import FakeKfp
from support.recorded_answers import RecordedAnswer, our_answers

RECORDED = {answer.name: answer for answer in our_answers("get-artifacts")}
LIST = RECORDED["get-artifacts-200"]
#: The namespace of the fake, and that in which the answers were recorded.
NAMESPACE = "namespace=ds-project"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKfp]:
    """A backend with a run that has produced artifacts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kfp_edge.client.runs.observed_run.POLL_SECONDS", 0.0)
    with FakeKfp(tmp_path) as running:
        set_results(running)
        client_of(running).submit(small, {"rows": 3}).wait()
        yield running


def get(server: FakeKfp, recorded: RecordedAnswer, path: str = "") -> tuple[int, str, Any]:
    path = path or recorded.path.replace("namespace=kubeflow", NAMESPACE)
    response = urllib3.request("GET", server.url + path, headers={"Authorization": f"Bearer {server.token}"})
    return response.status, response.headers["Content-Type"], response.json()


def test_a_list_has_the_fields_of_a_real_one(server: FakeKfp) -> None:
    status, content_type, answer = get(server, LIST)
    assert (status, content_type) == (LIST.status, LIST.content_type)
    real = next(each for each in LIST.answer["artifacts"] if each["artifact_type"] == "system.Metrics")
    fake = next(each for each in answer["artifacts"] if each["artifact_type"] == "system.Metrics")
    assert fake.keys() == real.keys()
    assert [type(value) for value in fake.values()] == [type(value) for value in real.values()]
    assert fake["uri"].endswith(fake["storage_path"])
    assert len(fake["created_at"]) == len(real["created_at"])


def test_a_list_ends_without_a_token_and_goes_on_with_one(server: FakeKfp) -> None:
    assert "next_page_token" not in get(server, LIST)[2]
    assert "next_page_token" in get(server, LIST, f"/apis/v2beta1/artifacts?{NAMESPACE}&max_result_size=1")[2]


def test_a_single_artifact_has_a_signed_address(server: FakeKfp) -> None:
    recorded = RECORDED["get-artifacts-187-200"]
    number = next(number for number, each in server.store.artifacts.items() if each["uri"].endswith("/metrics"))
    status, _, answer = get(server, recorded, recorded.path.replace("187", number))
    assert status == recorded.status
    assert answer.keys() == recorded.answer.keys()
    assert "X-Amz-Signature=" in answer["download_url"]


def test_a_namespace_without_artifacts_is_an_error_of_the_server(server: FakeKfp) -> None:
    recorded = RECORDED["get-artifacts-500-internal-error-failed-to-find-any-artif"]
    status, _, answer = get(server, recorded)
    assert (status, answer["message"]) == (recorded.status, recorded.answer["message"])


def test_kfp_s_own_server_knows_no_artifacts(server: FakeKfp) -> None:
    server.store.has_artifact_api = False
    recorded = RECORDED["get-artifacts-404-not-found"]
    status, content_type, answer = get(server, recorded)
    assert (status, content_type, answer) == (recorded.status, recorded.content_type, recorded.answer)
