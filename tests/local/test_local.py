"""A local run: progress by stage, one sentence on failure, nothing left after an interrupt."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from kfp_edge.errors import KfpEdgeError
from kfp_edge.local import runner, summary, workspace
from kfp_edge.spec.compilation import compile_text
from kfp_edge.spec.compiled_pipeline import CompiledPipeline


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def measure(size: int, report: Output[HTML], metrics: Output[Metrics]) -> str:
    from pathlib import Path

    from kfp_edge.runtime.stage import stage

    with stage("measure"):
        Path(report.path).write_text("<!doctype html>")
        metrics.log_metric("size", size)
        return f"docker://example.com/team/it's@sha256:{'0' * 64}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def refuse(text: str):
    from kfp_edge.errors import KfpEdgeError
    from kfp_edge.runtime.stage import stage

    with stage("refuse"):
        raise KfpEdgeError(f"{text!r} cannot be used; give another.")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def crash():
    raise ZeroDivisionError


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def wait_for_ever(trace: str):
    import time
    from pathlib import Path

    from kfp_edge.runtime.stage import stage

    with stage("wait"):
        Path(trace, "started").touch()
        try:
            time.sleep(600)
        finally:
            Path(trace, "cleaned").touch()


@dsl.pipeline(name="good")
def good(size: int = 3, note: str = "", share: float = 0.5, names: list[str] = [], limits: dict = {}) -> str:  # noqa: B006
    return measure(size=size).outputs["Output"]


@dsl.pipeline(name="nested")
def nested():
    good(size=1)


@dsl.pipeline(name="refusing")
def refusing(text: str = "it's"):
    refuse(text=text)


@dsl.pipeline(name="crashing")
def crashing():
    crash()


@dsl.pipeline(name="waiting")
def waiting(trace: str):
    wait_for_ever(trace=trace)


def _run(pipeline, folder: Path, **arguments) -> tuple[CompiledPipeline, runner.RunProgress]:
    compiled = CompiledPipeline(compile_text(pipeline))
    return compiled, runner.run(compiled, compiled.arguments(arguments), folder)


def test_a_run_tells_its_stages_with_their_seconds(tmp_path):
    _, found = _run(good, tmp_path)
    (stage,) = found.stages
    assert (found.status, stage.name, stage.status) == ("succeeded", "measure", "succeeded")
    assert stage.work_seconds is not None
    assert 0 <= stage.work_seconds <= stage.seconds <= found.seconds


def test_the_log_has_everything_that_the_stages_said(tmp_path):
    _run(good, tmp_path)
    log = (tmp_path / "logs" / "run.log").read_text()
    assert "Executing task 'measure'" in log
    assert "\x1b" not in log


def test_the_summary_gathers_metrics_and_reports(tmp_path):
    compiled, found = _run(good, tmp_path, size=7)
    told = summary.summarize(compiled, found, tmp_path)
    assert told == json.loads((tmp_path / "summary.json").read_text())
    assert told["metrics"] == {"size": 7.0}
    assert Path(told["report"]).read_text() == "<!doctype html>"


def test_stages_of_a_nested_pipeline_are_told_like_others(tmp_path):
    compiled, found = _run(nested, tmp_path)
    assert [stage.name for stage in compiled.stages] == [stage.name for stage in found.stages] == ["measure"]


def test_a_refusal_comes_down_to_its_sentence(tmp_path):
    _, found = _run(refusing, tmp_path)
    assert found.status == "failed"
    with pytest.raises(KfpEdgeError, match=r"""^refuse: "it's" cannot be used; give another\.$"""):
        runner.refuse_failed(found)


def test_a_refusal_leaves_no_traceback_in_the_log(tmp_path):
    _run(refusing, tmp_path)
    assert "Traceback" not in (tmp_path / "logs" / "run.log").read_text()


def test_a_crash_of_a_foreign_component_points_to_the_log(tmp_path):
    _, found = _run(crashing, tmp_path)
    assert found.error == f"it failed unexpectedly; the end of {tmp_path}/logs/run.log shows why."
    assert "ZeroDivisionError" in (tmp_path / "logs" / "run.log").read_text()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_and_leaves_nothing_running(tmp_path, signum):
    (tmp_path / "pipeline.yaml").write_text(compile_text(waiting))
    script = (
        "import sys, pathlib\n"
        "from kfp_edge.local import runner\n"
        "from kfp_edge.spec.compiled_pipeline import CompiledPipeline\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "pipeline = CompiledPipeline((folder / 'pipeline.yaml').read_text())\n"
        "found = runner.run(pipeline, {'trace': str(folder)}, folder / 'out')\n"
        "print(found.status)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "started").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signum)
    said, _ = child.communicate(timeout=90)
    assert said.strip() == "interrupted"
    assert (tmp_path / "cleaned").exists()
    assert str(tmp_path) not in _command_lines()


def _command_lines() -> str:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_text())
        except (ProcessLookupError, FileNotFoundError):
            continue
    own = Path(f"/proc/{os.getpid()}/cmdline").read_text()
    return "\n".join(line for line in found if line != own)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"size": "4"}, {"size": 4}),
        ({"share": "1"}, {"share": 1.0}),
        ({"note": "4"}, {"note": "4"}),
        ({"names": "[a, 'b c']"}, {"names": ["a", "b c"]}),
        ({"limits": "{f1: 0.7}"}, {"limits": {"f1": 0.7}}),
    ],
)
def test_texts_are_read_as_the_parameter_asks(given, read):
    assert CompiledPipeline(compile_text(good)).arguments(given) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sice": "4"}, "has no parameter 'sice'; did you mean size?"),
        ({"size": "many"}, 'the parameter size wants a whole number, got "many".'),
        ({"size": "1.5"}, "wants a whole number"),
        ({"share": "true"}, "wants a number"),
        ({"names": "a"}, "the parameter names wants a list"),
        ({"limits": "[1]"}, "wants a mapping"),
        ({"limits": "{f1:0.7}"}, "the parameter limits holds something empty or a date: {'f1:0.7': None}"),
        ({"names": "[2026-01-01]"}, "the parameter names holds something empty or a date"),
        ({"names": "[a"}, "the parameter names is not valid YAML"),
    ],
)
def test_a_wrong_parameter_is_told_before_anything_runs(given, said):
    with pytest.raises(KfpEdgeError) as error:
        CompiledPipeline(compile_text(good)).arguments(given)
    assert said in str(error.value)


def test_a_required_parameter_that_is_missing_is_named():
    with pytest.raises(KfpEdgeError, match="waiting needs the parameter .trace.; give -p trace=VALUE"):
        CompiledPipeline(compile_text(waiting)).arguments({})


def test_the_default_gitops_repository_is_made_and_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    default = {"gitops_repo": {"defaultValue": ".kfp-edge/gitops.git"}}
    workspace.prepare({}, default)
    workspace.prepare({"gitops_repo": "elsewhere.git"}, default)
    assert (tmp_path / ".kfp-edge" / "gitops.git" / "HEAD").exists()
    assert not (tmp_path / "elsewhere.git").exists()


def test_the_code_commit_is_filled_in_from_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace.prepare({}, {"revision": {"defaultValue": ""}}) == {"revision": ""}
    for args in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", *args], check=True)
    assert len(workspace.prepare({}, {"revision": {"defaultValue": ""}})["revision"]) == 40
    assert workspace.prepare({"revision": "mine"}, {"revision": {}}) == {"revision": "mine"}
