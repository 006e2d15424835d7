"""The fake backend behaves like a real one of 2.16, as far as KFP's own client can tell."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import kfp
import kfp_server_api
import pytest
import yaml

from kfp_edge.spec.compiling import compiler
from support.clients import STAGES, set_results, small, write_small
from support.fake_kfp import FakeKfp


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeKfp]:
    with FakeKfp(tmp_path) as running:
        yield running


@pytest.fixture
def official_client(server: FakeKfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kfp.Client]:
    """KFP's client, which neither reads our home folder nor prints links."""
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with contextlib.redirect_stdout(io.StringIO()):
        with pytest.warns(FutureWarning, match="This client only works with"):
            client = kfp.Client(server.url, existing_token=server.token, namespace="")
        yield client


def test_the_official_client_uploads_runs_and_waits(
    server: FakeKfp, official_client: kfp.Client, tmp_path: Path
) -> None:
    file = str(write_small(tmp_path))
    pipeline = official_client.upload_pipeline(file, "small")
    version = official_client.upload_pipeline_version(file, "second", pipeline_id=pipeline.pipeline_id)
    assert official_client.get_pipeline_id("small") == pipeline.pipeline_id
    experiment = official_client.create_experiment("mine")
    assert official_client.create_experiment("mine").experiment_id == experiment.experiment_id
    run = official_client.run_pipeline(
        experiment.experiment_id,
        "first",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"rows": 3},
    )
    done = official_client.wait_for_run_completion(run.run_id, timeout=60, sleep_duration=0)
    assert done.state == "SUCCEEDED"
    tasks = {task.display_name: task.state for task in done.run_details.task_details}
    assert {name: tasks[name] for name in STAGES} == dict.fromkeys(STAGES, "SUCCEEDED")


def test_the_official_client_schedules(server: FakeKfp, official_client: kfp.Client, tmp_path: Path) -> None:
    pipeline = official_client.upload_pipeline(str(write_small(tmp_path)), "small")
    (version,) = official_client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    recurring_run = official_client.create_recurring_run(
        official_client.create_experiment("mine").experiment_id,
        "nightly",
        cron_expression="0 0 2 * * *",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"rows": 3},
    )
    official_client.disable_recurring_run(recurring_run.recurring_run_id)
    (listed,) = official_client.list_recurring_runs().recurring_runs
    assert (listed.display_name, listed.status, listed.trigger.cron_schedule.cron) == (
        "nightly",
        "DISABLED",
        "0 0 2 * * *",
    )
    official_client.delete_recurring_run(recurring_run.recurring_run_id)
    assert not official_client.list_recurring_runs().recurring_runs


def test_a_field_that_the_server_does_not_know_is_refused(
    server: FakeKfp, official_client: kfp.Client, tmp_path: Path
) -> None:
    spec = yaml.safe_load(compiler.compile_to_yaml(small))
    spec["root"]["dag"]["tasks"]["learn"]["unheardOf"] = True
    (tmp_path / "newer.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(kfp_server_api.ApiException) as refused:
        official_client.upload_pipeline(str(tmp_path / "newer.yaml"), "newer")
    assert refused.value.status == 400
    assert "unknown template format" in refused.value.body
    assert server.store.pipelines == {}


def test_a_wrong_token_is_refused(server: FakeKfp, official_client: kfp.Client) -> None:
    server.expire_token()
    with pytest.raises(kfp_server_api.ApiException) as refused:
        official_client.list_runs()
    assert refused.value.status == 401


def test_a_signed_url_gives_access_to_its_artifact_only(server: FakeKfp) -> None:
    import urllib3

    set_results(server)
    server.store.artifacts["1"] = {"artifact_id": "1", "storage_path": "root/small/run/learn/salt/report"}
    pool = urllib3.PoolManager()
    artifact = pool.request(
        "GET",
        f"{server.url}/apis/v2beta1/artifacts/1?view=DOWNLOAD",
        headers={"Authorization": f"Bearer {server.token}"},
    ).json()
    assert pool.request("GET", artifact["download_url"]).data == b"<h1>learned</h1>"
    assert pool.request("GET", artifact["download_url"] + "0").status == 403
