"""A local run reports its progress by stage and fails with one message; an interrupt leaves no process."""

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
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.compiling.compiler import compile_to_yaml


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
def wait_forever(trace: str):
    import time
    from pathlib import Path

    from kfp_edge.runtime.stage import stage

    with stage("wait"):
        try:
            Path(trace, "started").touch()
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


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def count_query(url: str) -> int:
    return len(url.partition("?")[2])


@dsl.pipeline(name="signed")
def signed(url: str) -> int:
    return count_query(url=url).output


@dsl.pipeline(name="measure")
def named_like_its_component(size: int = 5, cpu: str = "2"):
    measure(size=size).set_cpu_limit(cpu)


@dsl.pipeline(name="crashing")
def crashing():
    crash()


@dsl.pipeline(name="waiting")
def waiting(trace: str):
    wait_forever(trace=trace)


def _run(pipeline, folder: Path, **arguments) -> tuple[CompiledPipeline, runner.RunProgress]:
    compiled = CompiledPipeline(compile_to_yaml(pipeline))
    return compiled, runner.run(compiled, compiled.arguments(arguments), folder)


@pytest.fixture(scope="module")
def good_run(tmp_path_factory) -> tuple[CompiledPipeline, runner.RunProgress, Path]:
    """A pipeline that succeeded, its progress and its folder."""
    folder = tmp_path_factory.mktemp("good")
    return *_run(good, folder, size=7), folder


def test_a_run_reports_the_duration_of_its_stages(good_run):
    _, progress, _ = good_run
    (stage,) = progress.stages
    assert (progress.status, stage.name, stage.status) == ("succeeded", "measure", "succeeded")
    assert stage.work_seconds is not None
    assert 0 <= stage.work_seconds <= stage.seconds <= progress.seconds


def test_the_log_has_the_output_of_the_stages(good_run):
    _, _, folder = good_run
    log = (folder / "logs" / "run.log").read_text()
    assert "Executing task 'measure'" in log
    assert "\x1b" not in log


def test_the_summary_has_metrics_and_reports(good_run):
    compiled, progress, folder = good_run
    contents = summary.write_summary(compiled, progress, folder)
    assert contents == json.loads((folder / "summary.json").read_text())
    assert contents["metrics"] == {"size": 7.0}
    assert Path(contents["report"]).read_text() == "<!doctype html>"


def test_stages_of_a_nested_pipeline_are_reported(tmp_path):
    compiled, progress = _run(nested, tmp_path)
    assert [stage.name for stage in compiled.stages] == [stage.name for stage in progress.stages] == ["measure"]


@pytest.mark.parametrize("arguments", [{}, {"cpu": "1"}])
def test_a_pipeline_with_the_name_of_its_component_keeps_its_own_parameters_and_defaults(tmp_path, arguments):
    compiled, progress = _run(named_like_its_component, tmp_path, **arguments)
    assert progress.status == "succeeded", progress.error
    assert summary.write_summary(compiled, progress, tmp_path)["metrics"] == {"size": 5.0}


def test_a_refusal_is_reported_with_its_message_and_leaves_no_traceback_in_the_log(tmp_path):
    _, progress = _run(refusing, tmp_path)
    assert (progress.status, progress.error) == ("failed", '"it\'s" cannot be used; give another.')
    assert "Traceback" not in (tmp_path / "logs" / "run.log").read_text()


def test_the_signature_of_a_url_reaches_the_stage_and_stays_out_of_every_file(tmp_path):
    _, progress = _run(signed, tmp_path, url="https://data.example.com/a.csv?sv=1&sig=TOPSECRET")
    assert progress.outputs["Output"] == len("sv=1&sig=TOPSECRET")
    written = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert [path for path, text in written.items() if "TOPSECRET" in text] == []
    assert "https://data.example.com/a.csv?***" in written[tmp_path / "parameters.json"]


def test_a_crash_of_another_component_is_reported_with_the_log(tmp_path):
    _, progress = _run(crashing, tmp_path)
    assert progress.error == f"it failed unexpectedly; {tmp_path}/logs/run.log shows why."
    assert "ZeroDivisionError" in (tmp_path / "logs" / "run.log").read_text()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_and_leaves_no_process(tmp_path, signum):
    (tmp_path / "pipeline.yaml").write_text(compile_to_yaml(waiting))
    script = (
        "import sys, pathlib\n"
        "from kfp_edge.local import runner\n"
        "from kfp_edge.spec.compiled_pipeline import CompiledPipeline\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "pipeline = CompiledPipeline((folder / 'pipeline.yaml').read_text())\n"
        "progress = runner.run(pipeline, {'trace': str(folder)}, folder / 'out')\n"
        "print(progress.status)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "started").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signum)
    output, _ = child.communicate(timeout=90)
    assert output.strip() == "interrupted"
    assert (tmp_path / "cleaned").exists()
    assert str(tmp_path) not in _command_lines()


def _command_lines() -> str:
    command_lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command_lines.append(process.read_text())
        except (ProcessLookupError, FileNotFoundError):
            continue
    own = Path(f"/proc/{os.getpid()}/cmdline").read_text()
    return "\n".join(line for line in command_lines if line != own)


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({"size": "4"}, {"size": 4}),
        ({"share": "1"}, {"share": 1.0}),
        ({"note": "4"}, {"note": "4"}),
        ({"names": "[a, 'b c']"}, {"names": ["a", "b c"]}),
        ({"limits": "{f1: 0.7}"}, {"limits": {"f1": 0.7}}),
    ],
)
def test_texts_are_parsed_as_the_parameter_type_requires(values, arguments):
    assert CompiledPipeline(compile_to_yaml(good)).arguments(values) == arguments


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sice": "4"}, "has no parameter 'sice'; did you mean size?"),
        ({"size": "many"}, 'the parameter size must be a whole number, not "many".'),
        ({"size": "1.5"}, "must be a whole number"),
        ({"share": "true"}, "must be a number"),
        ({"names": "a"}, "the parameter names must be a list"),
        ({"limits": "[1]"}, "must be a mapping"),
        ({"limits": "{f1:0.7}"}, 'the parameter limits has no value for "f1:0.7"; write {name: value} with a space'),
        ({"names": "[a"}, "the parameter names is not valid YAML"),
    ],
)
def test_an_invalid_parameter_is_reported(values, message):
    with pytest.raises(KfpEdgeError) as error:
        CompiledPipeline(compile_to_yaml(good)).arguments(values)
    assert message in str(error.value)


def test_a_missing_required_parameter_is_named():
    with pytest.raises(KfpEdgeError, match="waiting needs the parameter .trace.; give -p trace=VALUE"):
        CompiledPipeline(compile_to_yaml(waiting)).arguments({})


def test_runs_of_the_same_second_get_different_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspace.time, "gmtime", lambda: time.struct_time((2026, 1, 1, 0, 0, 0, 0, 1, 0)))
    first = workspace.new_run_folder("good")
    first.mkdir(parents=True)
    assert workspace.new_run_folder("good") == first.with_name(f"{first.name}-2")


def test_only_the_default_gitops_repository_is_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    default = {"gitops_repo": {"defaultValue": ".kfp-edge/gitops.git"}}
    workspace.prepare({}, default)
    workspace.prepare({"gitops_repo": "elsewhere.git"}, default)
    assert (tmp_path / ".kfp-edge" / "gitops.git" / "HEAD").exists()
    assert not (tmp_path / "elsewhere.git").exists()


def test_the_commit_of_the_code_is_filled_in_from_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace.prepare({}, {"revision": {"defaultValue": ""}}) == {"revision": ""}
    for args in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", *args], check=True)
    assert len(workspace.prepare({}, {"revision": {"defaultValue": ""}})["revision"]) == 40
    assert workspace.prepare({"revision": "mine"}, {"revision": {}}) == {"revision": "mine"}
