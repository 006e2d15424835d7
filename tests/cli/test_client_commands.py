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
from support.clients import REPORT, STAGES, set_results, write_small
from support.fake_kfp import FakeKfp


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKfp]:
    """A KFP backend, with its token in the environment and the small pipeline in the current folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.0)
    write_small(tmp_path)
    with FakeKfp(folder) as running:
        monkeypatch.setenv("KFP_EDGE_TOKEN", running.token)
        set_results(running)
        yield running


def kfp_edge(server: FakeKfp, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--host", server.url, "--namespace", "ds-project"])


def test_submit_prints_the_run_and_its_page(server: FakeKfp) -> None:
    result = kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--name", "mine")
    (run,) = server.store.runs.values()
    assert (result.exit_code, result.stdout) == (
        0,
        f"run {run['run_id']}\n    {server.url}/#/runs/details/{run['run_id']}\n",
    )
    assert run["display_name"] == "mine"


def test_options_of_submit_override_parameters_from_a_file(server: FakeKfp, tmp_path: Path) -> None:
    (tmp_path / "parameters.yaml").write_text("rows: 3\nnote: kept\n")
    kfp_edge(server, "submit", "small.yaml", "--params", "parameters.yaml", "-p", "rows=4")
    (run,) = server.store.runs.values()
    assert run["runtime_config"]["parameters"] == {"rows": 4, "note": "kept"}


def test_submit_waits_and_prints_stages_and_metrics(server: FakeKfp) -> None:
    result = kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--wait")
    lines = [line.split() for line in result.stdout.splitlines()[2:]]
    assert result.exit_code == 0, result.stderr
    assert [line[:3] for line in lines[:6]] == [
        [mark, stage, state] for stage in STAGES for mark, state in (("…", "running"), ("✓", "succeeded"))
    ]
    assert lines[6:] == [["auc", "0.8"], ["rows", "100"]]


def test_submit_with_wait_fails_when_the_run_fails(server: FakeKfp) -> None:
    server.store.failing["judge"] = "OOMKilled"
    result = kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--wait")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the stage judge failed: OOMKilled; `oc logs ")


def test_runs_lists_runs_shows_one_and_writes_its_report(server: FakeKfp, tmp_path: Path) -> None:
    kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--name", "mine", "--wait")
    (run_id,) = server.store.runs
    assert kfp_edge(server, "runs").stdout.split()[:2] == [run_id, "succeeded"]
    output = kfp_edge(server, "runs", run_id).stdout
    assert output.startswith("mine: succeeded\n")
    assert "✓ publish" in output
    assert "auc                   0.8" in output
    assert kfp_edge(server, "runs", run_id, "--report", "learn").stdout == f"{REPORT}\n"
    kfp_edge(server, "runs", run_id, "--report", "learn", "--output", "report.html")
    assert (tmp_path / "report.html").read_text() == REPORT


def test_runs_follows_a_run(server: FakeKfp) -> None:
    kfp_edge(server, "submit", "small.yaml", "-p", "rows=3")
    (run_id,) = server.store.runs
    assert "✓ judge" in kfp_edge(server, "runs", run_id, "--wait").stdout


def test_a_schedule_is_added_listed_paused_resumed_and_deleted(server: FakeKfp) -> None:
    added = kfp_edge(server, "schedule", "add", "nightly", "small.yaml", "-p", "rows=3", "--cron", "0 30 2 * * *")
    assert added.stdout.splitlines()[0] == "nightly: 0 30 2 * * *, at most 1 at a time"
    assert [line[-12:] for line in added.stdout.splitlines()[1:]] == ["02:30:00 UTC"] * 3
    assert kfp_edge(server, "schedule", "list").stdout == added.stdout
    assert kfp_edge(server, "schedule", "pause", "nightly").stdout == "paused nightly\n"
    assert kfp_edge(server, "schedule", "list").stdout == "nightly: 0 30 2 * * *, at most 1 at a time (paused)\n"
    assert kfp_edge(server, "schedule", "resume", "nightly").stdout == "resumed nightly\n"
    assert kfp_edge(server, "schedule", "delete", "nightly").stdout == "deleted nightly\n"
    assert server.store.recurring_runs == {}


def test_a_schedule_by_interval_is_added(server: FakeKfp) -> None:
    added = kfp_edge(server, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "60", "--catch-up")
    assert added.stdout.startswith("often: every 60 s, at most 1 at a time\n")
    (recurring_run,) = server.store.recurring_runs.values()
    assert recurring_run["no_catchup"] is False


# --- manifests


@pytest.mark.parametrize("name", compiler.pipeline_names())
def test_manifests_of_our_pipelines_conform_to_the_schema_and_validate(name: str) -> None:
    text = compiler.compile_to_manifests(compiler.load_pipeline(name))
    pipeline, version = yaml.safe_load_all(text)
    assert [pipeline["kind"], version["kind"]] == ["Pipeline", "PipelineVersion"]
    schemas.check(pipeline)
    schemas.check(version)
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    assert validate_text(text).findings == ()


def test_other_content_gets_another_version_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.clients import inner, small

    version_names = {
        list(yaml.safe_load_all(compiler.compile_to_manifests(each)))[1]["metadata"]["name"] for each in (small, inner)
    }
    assert len(version_names) == 2
    assert all(name.startswith("small-") for name in version_names)


def test_compile_writes_and_checks_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert run(app, ["compile", "--kubernetes", "training"]).stdout == "wrote compiled/kubernetes/training.yaml\n"
    assert run(app, ["compile", "--kubernetes", "training", "--check"]).exit_code == 0
    file = tmp_path / "compiled" / "kubernetes" / "training.yaml"
    file.write_text(file.read_text().replace("kind: PipelineVersion", "kind: Pipeline"))
    stale = run(app, ["compile", "--kubernetes", "training", "--check"])
    assert stale.exit_code == 1
    assert "run `kfp-edge compile --kubernetes` and commit the result" in stale.stderr
