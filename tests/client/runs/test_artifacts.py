"""Metrics and reports of one run are found on every server: by its API for artifacts, or in the object store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kfp import dsl

from kfp_edge.client import Endpoint, Run
from kfp_edge.client.runs.artifacts import TaskTime, open_reader
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import KfpEdgeError
from support.clients import METRICS, REPORT, client_of, learn, only, set_results, submit_small
from support.fake_kfp import FakeKfp
from support.recorded_answers import our_answers
from support.s3 import S3Server

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")

ALL_METRICS = METRICS["learn"] | METRICS["judge"]


def add_artifacts_of_others(server: FakeKfp, count: int, created_at: datetime) -> None:
    """Add artifacts of other runs, one a second, after those that there are."""
    first = max((int(number) for number in server.store.artifacts), default=0) + 1
    for number in range(first, first + count):
        created = created_at + timedelta(seconds=number - first)
        path = f"pipelines/other/run-{number}/learn/salt/metrics"
        server.store.artifacts[str(number)] = {
            "artifact_id": str(number),
            "uri": f"s3://bucket/{path}",
            "storage_path": path,
            "namespace": "ds-project",
            "artifact_type": "system.Metrics",
            "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    server.store.number_from(first + count)


@pytest.fixture
def ended(server: FakeKfp) -> Run:
    """A run that has ended, with metrics and a report, among ten thousand artifacts of others."""
    now = datetime.now(UTC)
    set_results(server)
    add_artifacts_of_others(server, 5000, now - timedelta(days=1))
    run = submit_small(server)
    run.wait()
    add_artifacts_of_others(server, 5000, now + timedelta(hours=1))
    server.requests.clear()
    server.described_artifacts = 0
    return run


def test_the_artifacts_of_a_run_are_found_among_ten_thousand_without_listing_them(server: FakeKfp, ended: Run) -> None:
    assert ended.metrics() == ALL_METRICS
    assert server.described_artifacts < 60


def test_a_report_of_an_old_run_is_found_without_listing_newer_ones(server: FakeKfp, ended: Run) -> None:
    assert ended.report("learn") == REPORT
    assert server.described_artifacts < 60


def test_all_reports_are_read_by_stage(ended: Run) -> None:
    assert ended.reports() == {"learn": REPORT}


@dsl.pipeline(name="first")
def first():
    """Learn in a nested pipeline."""
    learn(rows=1)


@dsl.pipeline(name="second")
def second():
    """Learn in another one."""
    learn(rows=2)


@dsl.pipeline(name="twice")
def twice():
    """Have two stages of one name."""
    second().after(first())


def test_reports_of_stages_of_one_name_have_their_paths(server: FakeKfp) -> None:
    set_results(server)
    run = client_of(server).submit(twice)
    run.wait()
    assert run.reports() == {"first/learn": REPORT, "second/learn": REPORT}
    with pytest.raises(KfpEdgeError, match="no stage 'learn' with a report; those are: first/learn, second/learn"):
        run.report("learn")


def test_numbers_that_the_database_left_out_do_not_matter(server: FakeKfp, ended: Run) -> None:
    for number in range(1, 10_001, 3):
        if "/other/" in server.store.artifacts.get(str(number), {}).get("uri", ""):
            del server.store.artifacts[str(number)]
    assert ended.metrics() == ALL_METRICS


class TestArtifactsThatTheServerCannotDescribe:
    """Status 500: they were imported from elsewhere, or their objects were deleted; no list may contain one."""

    def test_are_passed_over(self, server: FakeKfp, ended: Run) -> None:
        others = [number for number, each in server.store.artifacts.items() if "/other/" in each["uri"]]
        server.store.undescribed = set(others[::3])
        assert ended.metrics() == ALL_METRICS

    def test_may_be_the_newest_ones(self, server: FakeKfp, ended: Run) -> None:
        server.store.undescribed = set(list(server.store.artifacts)[-20:])
        for number in list(server.store.artifacts)[3:20:2]:
            del server.store.artifacts[number]
        assert ended.metrics() == ALL_METRICS
        assert server.described_artifacts < 200

    def test_are_an_error_where_there_is_nothing_else(self, server: FakeKfp, ended: Run) -> None:
        """As where the object store refuses the server."""
        server.store.undescribed = set(server.store.artifacts)
        with pytest.raises(KfpEdgeError, match="could not look for the run's artifacts: .*error parsing artifact"):
            ended.metrics()
        assert server.described_artifacts < 300

    def test_of_the_run_are_missing(self, server: FakeKfp, ended: Run) -> None:
        server.store.undescribed = {
            number for number, each in server.store.artifacts.items() if "/other/" not in each["uri"]
        }
        assert ended.metrics() == {}
        with pytest.raises(KfpEdgeError, match="has no report of learn"):
            ended.report("learn")


def test_a_server_that_fails_for_now_is_asked_again(server: FakeKfp, ended: Run) -> None:
    server.fail("GET", "/apis/v2beta1/artifacts", 503, times=2)
    assert ended.metrics() == ALL_METRICS


def test_a_server_that_goes_on_failing_is_an_error_and_no_missing_artifact(server: FakeKfp, ended: Run) -> None:
    server.fail("GET", "/apis/v2beta1/artifacts/", 500, times=1000)
    with pytest.raises(KfpEdgeError, match=r"could not look for the run's artifacts \(HTTP 500\); try later"):
        ended.metrics()


def test_artifacts_of_a_retried_stage_are_the_newest(server: FakeKfp) -> None:
    set_results(server)
    server.store.failing["judge"] = ""
    run = submit_small(server)
    run.wait()
    server.store.failing.clear()
    run.retry()
    run.wait()
    assert run.metrics() == ALL_METRICS


def test_an_artifact_of_a_real_server_is_found_by_the_times_of_its_task(server: FakeKfp) -> None:
    (recorded,) = our_answers("get-artifacts-200")
    server.store.artifacts |= {each["artifact_id"]: each for each in recorded.answer["artifacts"]}
    for each in server.store.artifacts.values():
        each["namespace"] = "ds-project"
    server.store.contents["meas", "metrics"] = b"{}"
    ended = datetime(2026, 11, 29, 0, 24, 50, tzinfo=UTC)
    api = KfpApi(Endpoint(server.url, "ds-project", lambda: server.token))
    reader = open_reader(api, "c05c480f-8814-4f0e-b461-814673a4367e", "t-metrics", [])
    assert reader.read("meas", "metrics", [TaskTime(ended - timedelta(seconds=10), ended)]) == b"{}"
    assert reader.read("use", "metrics", [TaskTime(ended, ended + timedelta(seconds=20))]) is None


def test_a_server_without_artifacts_has_no_metrics(server: FakeKfp) -> None:
    run = submit_small(server)
    run.wait()
    server.store.artifacts.clear()
    assert run.metrics() == {}


# --- KFP's own server


@pytest.fixture
def upstream(server: FakeKfp) -> Run:
    """A run that has ended on KFP's own server."""
    server.store.has_artifact_api = False
    run = submit_small(server)
    run.wait()
    return run


def store_artifacts(s3: S3Server, run: Run, bucket: str, root: str = "") -> None:
    """Store metrics and a report as KFP's launcher does."""
    store = s3.client()
    store.create_bucket(Bucket=bucket)
    folder = f"{root}small/{run.id}"
    store.put_object(Bucket=bucket, Key=f"{folder}/learn/salt/metrics", Body=b'{"auc": 0.7}')
    store.put_object(Bucket=bucket, Key=f"{folder}/learn/salt/report", Body=REPORT.encode())
    store.put_object(Bucket=bucket, Key=f"{folder}/judge/salt/executor-logs-0", Body=b"log")


def test_without_the_api_the_bucket_of_the_data_connection_is_read(
    upstream: Run, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_artifacts(s3, upstream, "plant", root="v2/artifacts/")
    monkeypatch.setenv("AWS_S3_BUCKET", "plant")
    assert (upstream.metrics(), upstream.report("learn")) == ({"auc": 0.7}, REPORT)


def test_without_the_api_the_pipeline_root_of_the_run_is_read(server: FakeKfp, upstream: Run, s3: S3Server) -> None:
    store_artifacts(s3, upstream, "own-root", root="deep/er/")
    only(server.store.runs)["runtime_config"]["pipeline_root"] = "minio://own-root/deep/er/?region=us-east-1"
    assert client_of(server).run(upstream.id).metrics() == {"auc": 0.7}


def test_without_the_api_and_credentials_the_error_says_what_to_set(
    upstream: Run, tmp_path: Path, no_credentials: None
) -> None:
    with pytest.raises(KfpEdgeError, match="has no API for artifacts, and there are no credentials .* set AWS_ACCESS_"):
        upstream.metrics()


def test_a_bucket_without_anything_of_the_run_is_reported(
    upstream: Run, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client().create_bucket(Bucket="other")
    s3.client().create_bucket(Bucket="mlpipeline")
    monkeypatch.setenv("AWS_S3_BUCKET", "other")
    with pytest.raises(KfpEdgeError, match=r"nothing of the run at s3://other/small/.*; set AWS_S3_BUCKET"):
        upstream.metrics()


def test_artifacts_in_another_kind_of_store_are_reported(server: FakeKfp, upstream: Run, s3: S3Server) -> None:
    only(server.store.runs)["runtime_config"]["pipeline_root"] = "gs://bucket/root"
    with pytest.raises(KfpEdgeError, match="artifacts are at gs://bucket/root, and only S3 can be read here"):
        client_of(server).run(upstream.id).metrics()
