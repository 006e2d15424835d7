"""`kfp-edge submit`, `runs`, `schedule` and `compile --kubernetes`, as a user types them."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.validation.validate import validate_text
from support import schemas
from support.clients import REPORT, STAGES
from support.commands import kfp_edge
from support.fake_kfp import FakeKfp, recurring_runs


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
    first, *lines = [line.split() for line in result.stdout.splitlines()[2:]]
    assert first == ["?", "waiting", "for", "the", "first", "stage", "to", "start"]
    assert result.exit_code == 0, result.stderr
    assert [line[:3] for line in lines[:6]] == [
        [mark, stage, state] for stage in STAGES for mark, state in (("…", "running"), ("✓", "succeeded"))
    ]
    assert lines[6:] == [["auc", "0.8"], ["rows", "100"]]


def test_submit_and_schedule_compile_for_a_backend_with_limits(server: FakeKfp) -> None:
    options = ("training", "-p", "target=failed", "--backend", "3.4", "--deadline", "6h", "--time-to-live", "7d")
    assert kfp_edge(server, "submit", *options).exit_code == 0
    assert kfp_edge(server, "schedule", "add", "nightly", *options, "--every", "3600").exit_code == 0
    (text,) = server.store.texts.values()  # of both
    assert '"pipelineConfig": {"activeDeadlineSeconds": 21600, "resourceTtlOnCompletion": 604800}' in text


def test_submit_prints_that_the_version_of_the_server_is_unknown(server: FakeKfp) -> None:
    server.tag_name = "unknown"
    result = kfp_edge(server, "submit", "training", "-p", "target=failed")
    assert result.exit_code == 0
    assert "reports which version of OpenShift AI or KFP it is; the pipeline is compiled for" in result.stderr


def test_a_compiled_file_takes_no_backend(server: FakeKfp) -> None:
    result = kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--backend", "3.4")
    assert result.exit_code == 1
    assert "small.yaml is compiled already; leave them out here" in str(result.exception)


def test_submit_with_wait_fails_when_the_run_fails(server: FakeKfp) -> None:
    server.store.failing["judge"] = ""
    result = kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--wait")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the stage judge failed; `oc logs -n ds-project ")


def test_runs_shows_why_a_run_failed_and_that_it_is_archived(server: FakeKfp) -> None:
    server.store.failing["judge"] = ""
    kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--name", "mine", "--wait")
    (run_id,) = server.store.runs
    server.store.archive(server.store.runs, run_id)
    output = kfp_edge(server, "runs", run_id).stdout
    assert output.startswith("mine: failed (archived)\n")
    assert "- publish             skipped     an earlier stage did not succeed" in output
    assert "\nthe stage judge failed; `oc logs -n ds-project " in output
    assert kfp_edge(server, "runs").stdout.endswith("  mine (archived)\n")


def test_a_server_without_runs_has_none_to_list(server: FakeKfp) -> None:
    listed = kfp_edge(server, "runs")
    assert (listed.stdout, listed.stderr) == ("", "no runs\n")


def test_runs_lists_runs_shows_one_and_writes_its_report(server: FakeKfp, tmp_path: Path) -> None:
    kfp_edge(server, "submit", "small.yaml", "-p", "rows=3", "--name", "mine", "--wait")
    (run_id,) = server.store.runs
    listed = kfp_edge(server, "runs")
    assert listed.stderr.split() == ["ID", "STATE", "CREATED", "(UTC)", "NAME"]
    assert listed.stdout.split()[:2] == [run_id, "succeeded"]
    output = kfp_edge(server, "runs", run_id).stdout
    assert output.startswith("mine: succeeded\n")
    assert "✓ publish" in output
    assert "auc                   0.8" in output
    assert kfp_edge(server, "runs", run_id, "--report", "learn").stdout == f"{REPORT}\n"
    kfp_edge(server, "runs", run_id, "--report", "learn", "--output", "report.html")
    assert (tmp_path / "report.html").read_text() == REPORT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--report", "learn"), "--report is for one run: name it, as in `kfp-edge runs RUN --report`"),
        (("--report", "learn", "--output", "r.html"), "--report is for one run"),
        (("--output", "r.html"), "--output is for one run"),
        (("--wait",), "--wait is for one run"),
        (("run-1", "--output", "r.html"), "--output is the file for a report: name its stage with --report"),
        (("run-1", "--report", "learn", "--wait"), "give --report or --wait, not both"),
        (("run-1", "--limit", "3"), "--limit is for the list of runs"),
    ],
)
def test_runs_ignores_no_option(server: FakeKfp, options: tuple[str, ...], message: str) -> None:
    result = kfp_edge(server, "runs", *options)
    assert result.exit_code == 1
    assert message in str(result.exception)
    assert server.requests == []


def test_runs_follows_a_run(server: FakeKfp) -> None:
    kfp_edge(server, "submit", "small.yaml", "-p", "rows=3")
    (run_id,) = server.store.runs
    assert "✓ judge" in kfp_edge(server, "runs", run_id, "--wait").stdout


def test_a_schedule_is_added_listed_paused_resumed_and_deleted(server: FakeKfp) -> None:
    added = kfp_edge(server, "schedule", "add", "nightly", "small.yaml", "-p", "rows=3", "--cron", "0 30 2 * * *")
    assert added.stdout.splitlines()[:2] == ["added nightly", "nightly: 0 30 2 * * *, at most 1 at a time"]
    assert [line[-12:] for line in added.stdout.splitlines()[2:]] == ["02:30:00 UTC"] * 3
    assert f"added nightly\n{kfp_edge(server, 'schedule', 'list').stdout}" == added.stdout
    assert kfp_edge(server, "schedule", "pause", "nightly").stdout == "paused nightly\n"
    assert kfp_edge(server, "schedule", "list").stdout == "nightly: 0 30 2 * * *, at most 1 at a time (paused)\n"
    assert kfp_edge(server, "schedule", "resume", "nightly").stdout == "resumed nightly\n"
    assert kfp_edge(server, "schedule", "delete", "nightly").stdout == "deleted nightly\n"
    assert server.store.recurring_runs == {}


def test_a_schedule_by_interval_is_added(server: FakeKfp) -> None:
    added = kfp_edge(server, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "60", "--catch-up")
    assert added.stdout.startswith("added often\noften: every 60 s, at most 1 at a time\n")
    (recurring_run,) = server.store.recurring_runs.values()
    assert "no_catchup" not in recurring_run


def test_add_says_what_it_did(server: FakeKfp) -> None:
    options = ("schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every")
    assert [kfp_edge(server, *options, every).stdout.splitlines()[0] for every in ("1h", "3600", "2h")] == [
        "added often",
        "often is unchanged",
        "replaced often",
    ]
    kfp_edge(server, "schedule", "pause", "often")
    assert "paused, as it was before; `kfp-edge schedule resume often`" in kfp_edge(server, *options, "3h").stdout


def test_an_interval_that_is_none_says_what_to_write(server: FakeKfp) -> None:
    refused = kfp_edge(server, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "often")
    assert "the interval of the schedule is 'often'; give one number above 0 with its unit" in str(refused.exception)


def test_a_server_without_schedules_says_so(server: FakeKfp) -> None:
    result = kfp_edge(server, "schedule", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no schedules\n")


def test_a_schedule_can_run_without_the_cache(server: FakeKfp) -> None:
    kfp_edge(server, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "60", "--no-cache")
    (version,) = server.store.versions.values()
    assert {str(task["cachingOptions"]) for task in version["pipeline_spec"]["root"]["dag"]["tasks"].values()} == {"{}"}


def test_the_help_of_cron_states_the_time_zone() -> None:
    shown = CliRunner().invoke(app, ["schedule", "add", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
    assert "Six fields, seconds first, in UTC: '0 30 2 * * *' is 02:30 UTC." in " ".join(shown.split())


def add_often(server: FakeKfp, *options: str) -> None:
    kfp_edge(server, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "60", *options)


def start_run(server: FakeKfp) -> str:
    """Start a run of the only schedule, as the server does at its time, and return the run's ID."""
    (schedule_id,) = server.store.recurring_runs
    return str(recurring_runs.start_run(server.store, schedule_id)["run_id"])


def test_a_changed_schedule_names_the_runs_for_which_the_old_one_stays(server: FakeKfp) -> None:
    add_often(server)
    run_id = start_run(server)
    added = kfp_edge(server, "schedule", "add", "often", "small.yaml", "-p", "rows=3", "--every", "90")
    assert added.stdout.splitlines()[-1] == (
        f"the schedule that it replaces is paused until its runs have ended: {run_id}; "
        "the next `kfp-edge schedule add often` deletes it"
    )
    old, new = server.store.recurring_runs
    assert [line for line in kfp_edge(server, "schedule", "list").stdout.splitlines() if line.startswith("often")] == [
        f"often ({old}): every 60 s, at most 1 at a time (replaced)",
        f"often ({new}): every 90 s, at most 1 at a time",
    ]


def test_a_schedule_with_a_run_that_has_not_ended_is_deleted_only_by_force(server: FakeKfp) -> None:
    add_often(server)
    run_id = start_run(server)
    refused = kfp_edge(server, "schedule", "delete", "often")
    assert refused.exit_code == 1
    assert f"is paused, but not deleted, because that would kill runs that have not ended: {run_id}" in str(
        refused.exception
    )
    forced = kfp_edge(server, "schedule", "delete", "often", "--force")
    assert forced.stdout.splitlines() == [
        "deleted often",
        f"    runs had not ended, and a server before KFP 2.16 has killed them: {run_id}",
    ]


@pytest.mark.parametrize(
    ("options", "starts"),
    [((), "a run starts now"), (("--catch-up",), "the runs that were missed start one by one, the first now")],
)
def test_resuming_says_that_a_run_starts(server: FakeKfp, options: tuple[str, ...], starts: str) -> None:
    add_often(server, *options)
    kfp_edge(server, "schedule", "pause", "often")
    (schedule,) = server.store.recurring_runs.values()
    schedule["created_at"] = "2020-01-01T00:00:00Z"
    assert kfp_edge(server, "schedule", "resume", "often").stdout.splitlines() == [
        "resumed often",
        f"    times were missed since 2020-01-01 00:01:00 UTC: {starts}",
    ]


def test_resuming_says_that_a_run_waits_for_another(server: FakeKfp) -> None:
    add_often(server)
    run_id = start_run(server)
    server.store.runs[run_id]["created_at"] = "2020-01-01T00:00:00Z"
    kfp_edge(server, "schedule", "pause", "often")
    assert kfp_edge(server, "schedule", "resume", "often").stdout.splitlines()[1] == (
        f"    times were missed since 2020-01-01 00:01:00 UTC: a run starts when one of these has ended: {run_id}"
    )


def test_schedules_of_others_are_listed_as_they_are(server: FakeKfp) -> None:
    add_often(server)
    (often,) = server.store.recurring_runs.values()
    often["mode"] = "DISABLE"
    triggers = {
        "daily": {"cron_schedule": {"cron": "@daily"}},
        "limited": {
            "periodic_schedule": {
                "interval_second": "60",
                "start_time": "2030-01-01T00:00:00Z",
                "end_time": "2031-01-01T00:00:00Z",
            }
        },
        "over": {"cron_schedule": {"cron": "0 0 3 * * *", "end_time": "2020-01-01T00:00:00Z"}},
    }
    for name, trigger in triggers.items():
        mode = "ENABLE" if name == "over" else "DISABLE"
        theirs = {**often, "recurring_run_id": name, "display_name": name, "trigger": trigger, "mode": mode}
        server.store.recurring_runs[name] = theirs
    once = {**often, "recurring_run_id": "once", "display_name": "once"}
    del once["trigger"]
    server.store.recurring_runs["once"] = once
    assert kfp_edge(server, "schedule", "list").stdout.splitlines() == [
        "daily: @daily, at most 1 at a time (paused)",
        "limited: every 60 s from 2030-01-01 00:00:00 UTC until 2031-01-01 00:00:00 UTC, at most 1 at a time (paused)",
        "often: every 60 s, at most 1 at a time (paused)",
        "once: once, at most 1 at a time (paused)",
        "over: 0 0 3 * * * until 2020-01-01 00:00:00 UTC, at most 1 at a time",
        "    no more times",
    ]


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
