"""`kfp-edge submit`, `runs`, `schedule` and `compile --kubernetes`, as a user types them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from kfp_edge.cli.app import app
from kfp_edge.client import runs
from kfp_edge.spec import compiler
from kfp_edge.spec.validation import validate_text
from support import schemas
from support.clients import REPORT, STAGES, leave_results, write_small
from support.fake_kfp import FakeKfp


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKfp]:
    """A backend, its token in the environment, and the small pipeline in the current folder."""
    folder = tmp_path / "backend"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.0)
    write_small(tmp_path)
    with FakeKfp(folder) as running:
        monkeypatch.setenv("KFP_EDGE_TOKEN", running.token)
        leave_results(running)
        yield running


def kfp_edge(fake: FakeKfp, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--host", fake.url, "--namespace", "ds-project"])


def test_submit_tells_the_run_and_its_page(fake: FakeKfp) -> None:
    result = kfp_edge(fake, "submit", "small.yaml", "-p", "rows=3", "--name", "mine")
    (run,) = fake.store.runs.values()
    assert (result.exit_code, result.stdout) == (
        0,
        f"run {run['run_id']}\n    {fake.url}/#/runs/details/{run['run_id']}\n",
    )
    assert run["display_name"] == "mine"


def test_submit_takes_parameters_from_a_file_and_options_above_it(fake: FakeKfp, tmp_path: Path) -> None:
    (tmp_path / "given.yaml").write_text("rows: 3\nnote: kept\n")
    kfp_edge(fake, "submit", "small.yaml", "--params", "given.yaml", "-p", "rows=4")
    (run,) = fake.store.runs.values()
    assert run["runtime_config"]["parameters"] == {"rows": 4, "note": "kept"}


def test_submit_waits_and_shows_stages_and_metrics(fake: FakeKfp) -> None:
    result = kfp_edge(fake, "submit", "small.yaml", "-p", "rows=3", "--wait")
    lines = [line.split() for line in result.stdout.splitlines()[2:]]
    assert result.exit_code == 0, result.stderr
    assert [line[:3] for line in lines[:6]] == [
        [mark, stage, state] for stage in STAGES for mark, state in (("…", "running"), ("✓", "succeeded"))
    ]
    assert lines[6:] == [["auc", "0.8"], ["rows", "100"]]


def test_submit_that_waits_fails_with_the_run(fake: FakeKfp) -> None:
    fake.store.failing["judge"] = "OOMKilled"
    result = kfp_edge(fake, "submit", "small.yaml", "-p", "rows=3", "--wait")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the stage judge failed: OOMKilled; `oc logs ")


def test_runs_lists_and_shows_and_writes_reports(fake: FakeKfp, tmp_path: Path) -> None:
    kfp_edge(fake, "submit", "small.yaml", "-p", "rows=3", "--name", "mine", "--wait")
    (run_id,) = fake.store.runs
    assert kfp_edge(fake, "runs").stdout.split()[:2] == [run_id, "succeeded"]
    shown = kfp_edge(fake, "runs", run_id).stdout
    assert shown.startswith("mine: succeeded\n")
    assert "✓ tell" in shown
    assert "auc                   0.8" in shown
    assert kfp_edge(fake, "runs", run_id, "--report", "learn").stdout == f"{REPORT}\n"
    kfp_edge(fake, "runs", run_id, "--report", "learn", "--output", "report.html")
    assert (tmp_path / "report.html").read_text() == REPORT


def test_runs_follows_a_run(fake: FakeKfp) -> None:
    kfp_edge(fake, "submit", "small.yaml", "-p", "rows=3")
    (run_id,) = fake.store.runs
    assert "✓ judge" in kfp_edge(fake, "runs", run_id, "--wait").stdout


def test_a_schedule_is_added_listed_paused_resumed_and_deleted(fake: FakeKfp) -> None:
    added = kfp_edge(fake, "schedule", "add", "nightly", "small.yaml", "-p", "rows=3", "--cron", "0 30 2 * * *")
    assert added.stdout.splitlines()[0] == "nightly: 0 30 2 * * *, at most 1 at a time"
    assert [line[-12:] for line in added.stdout.splitlines()[1:]] == ["02:30:00 UTC"] * 3
    assert kfp_edge(fake, "schedule", "list").stdout == added.stdout
    assert kfp_edge(fake, "schedule", "pause", "nightly").stdout == "paused nightly\n"
    assert kfp_edge(fake, "schedule", "list").stdout == "nightly: 0 30 2 * * *, at most 1 at a time (paused)\n"
    assert kfp_edge(fake, "schedule", "resume", "nightly").stdout == "resumed nightly\n"
    assert kfp_edge(fake, "schedule", "delete", "nightly").stdout == "deleted nightly\n"
    assert fake.store.recurring_runs == {}


def test_a_schedule_by_interval(fake: FakeKfp) -> None:
    added = kfp_edge(fake, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "60", "--catch-up")
    assert added.stdout.startswith("often: every 60 s, at most 1 at a time\n")
    (kept,) = fake.store.recurring_runs.values()
    assert kept["no_catchup"] is False


# --- manifests


@pytest.mark.parametrize("name", compiler.pipeline_names())
def test_manifests_of_our_pipelines_are_what_a_cluster_and_a_backend_take(name: str) -> None:
    text = compiler.compile_to_manifests(compiler.load_pipeline(name))
    pipeline, version = yaml.safe_load_all(text)
    assert [pipeline["kind"], version["kind"]] == ["Pipeline", "PipelineVersion"]
    schemas.check(pipeline)
    schemas.check(version)
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    assert validate_text(text).findings == ()


def test_other_content_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.clients import inner, small

    names = {
        list(yaml.safe_load_all(compiler.compile_to_manifests(each)))[1]["metadata"]["name"] for each in (small, inner)
    }
    assert len(names) == 2
    assert all(name.startswith("small-") for name in names)


def test_compile_writes_manifests_and_checks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert run(app, ["compile", "--kubernetes", "training"]).stdout == "wrote compiled/kubernetes/training.yaml\n"
    assert run(app, ["compile", "--kubernetes", "training", "--check"]).exit_code == 0
    file = tmp_path / "compiled" / "kubernetes" / "training.yaml"
    file.write_text(file.read_text().replace("kind: PipelineVersion", "kind: Pipeline"))
    stale = run(app, ["compile", "--kubernetes", "training", "--check"])
    assert stale.exit_code == 1
    assert "run `kfp-edge compile --kubernetes` and commit the result" in stale.stderr
