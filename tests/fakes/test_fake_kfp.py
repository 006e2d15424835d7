"""The fake backend behaves as a real one of 2.16 does, as seen by KFP's own client, which nobody here wrote."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import kfp
import kfp_server_api
import pytest
import yaml

from kfp_edge.spec import compiler
from support.clients import STAGES, leave_results, small, write_small
from support.fake_kfp import FakeKfp


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKfp]:
    with FakeKfp(tmp_path) as running:
        yield running


@pytest.fixture
def official(fake: FakeKfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kfp.Client]:
    """KFP's client, without a look into our home folder and its links on stdout."""
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with contextlib.redirect_stdout(io.StringIO()):
        with pytest.warns(FutureWarning, match="This client only works with"):
            client = kfp.Client(fake.url, existing_token=fake.token, namespace="")
        yield client


def test_the_official_client_uploads_runs_and_waits(fake: FakeKfp, official: kfp.Client, tmp_path: Path) -> None:
    file = str(write_small(tmp_path))
    pipeline = official.upload_pipeline(file, "small")
    version = official.upload_pipeline_version(file, "second", pipeline_id=pipeline.pipeline_id)
    assert official.get_pipeline_id("small") == pipeline.pipeline_id
    experiment = official.create_experiment("mine")
    assert official.create_experiment("mine").experiment_id == experiment.experiment_id
    run = official.run_pipeline(
        experiment.experiment_id,
        "first",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"rows": 3},
    )
    done = official.wait_for_run_completion(run.run_id, timeout=60, sleep_duration=0)
    assert done.state == "SUCCEEDED"
    tasks = {task.display_name: task.state for task in done.run_details.task_details}
    assert {name: tasks[name] for name in STAGES} == dict.fromkeys(STAGES, "SUCCEEDED")


def test_the_official_client_schedules(fake: FakeKfp, official: kfp.Client, tmp_path: Path) -> None:
    pipeline = official.upload_pipeline(str(write_small(tmp_path)), "small")
    (version,) = official.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    made = official.create_recurring_run(
        official.create_experiment("mine").experiment_id,
        "nightly",
        cron_expression="0 0 2 * * *",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"rows": 3},
    )
    official.disable_recurring_run(made.recurring_run_id)
    (listed,) = official.list_recurring_runs().recurring_runs
    assert (listed.display_name, listed.status, listed.trigger.cron_schedule.cron) == (
        "nightly",
        "DISABLED",
        "0 0 2 * * *",
    )
    official.delete_recurring_run(made.recurring_run_id)
    assert not official.list_recurring_runs().recurring_runs


def test_a_field_that_2_16_does_not_know_is_refused(fake: FakeKfp, official: kfp.Client, tmp_path: Path) -> None:
    spec = yaml.safe_load(compiler.compile_to_yaml(small))
    spec["root"]["dag"]["tasks"]["learn"]["unheardOf"] = True
    (tmp_path / "newer.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(kfp_server_api.ApiException) as refused:
        official.upload_pipeline(str(tmp_path / "newer.yaml"), "newer")
    assert refused.value.status == 400
    assert "unheardOf is not a field of PipelineTaskSpec" in refused.value.body
    assert fake.store.pipelines == {}


def test_a_wrong_token_is_refused(fake: FakeKfp, official: kfp.Client) -> None:
    fake.expire_token()
    with pytest.raises(kfp_server_api.ApiException) as refused:
        official.list_runs()
    assert refused.value.status == 401


def test_a_signed_address_opens_its_artifact_only(fake: FakeKfp) -> None:
    import urllib3

    leave_results(fake)
    fake.store.artifacts["1"] = {"artifact_id": "1", "storage_path": "root/small/run/learn/salt/report"}
    pool = urllib3.PoolManager()
    found = pool.request(
        "GET",
        f"{fake.url}/apis/v2beta1/artifacts/1?view=DOWNLOAD",
        headers={"Authorization": f"Bearer {fake.token}"},
    ).json()
    assert pool.request("GET", found["download_url"]).data == b"<h1>learned</h1>"
    assert pool.request("GET", found["download_url"] + "0").status == 403
