"""An exit task runs after success and after failure, with the final status; the run's error stays the first one."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import PipelineTaskFinalStatus

from kfp_edge import local
from kfp_edge.spec.compiling.compiler import compile_to_yaml


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def work(trace: str) -> str:
    from pathlib import Path

    Path(trace, "worked").touch()
    return "done"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def refuse() -> str:
    from kfp_edge.errors import KfpEdgeError
    from kfp_edge.runtime.stage import stage

    with stage("refuse"):
        raise KfpEdgeError("this cannot be used; give another.")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def crash():
    raise ZeroDivisionError


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def wait_forever(trace: str):
    import time
    from pathlib import Path

    Path(trace, "started").touch()
    time.sleep(600)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def report(trace: str, status: PipelineTaskFinalStatus):
    import json
    from pathlib import Path

    Path(trace, "status.json").write_text(json.dumps(vars(status)))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def tidy(trace: str, text: str = "the default"):
    from pathlib import Path

    Path(trace, "tidied").write_text(text)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def fail_to_tidy():
    from kfp_edge.errors import KfpEdgeError
    from kfp_edge.runtime.stage import stage

    with stage("fail_to_tidy"):
        raise KfpEdgeError("this cannot be tidied.")


@dsl.pipeline(name="succeeding")
def succeeding(trace: str):
    with dsl.ExitHandler(report(trace=trace)):
        work(trace=trace)


@dsl.pipeline(name="failing")
def failing(trace: str):
    with dsl.ExitHandler(report(trace=trace)):
        refused = refuse()
        work(trace=trace).after(refused)


@dsl.pipeline(name="failing-in-a-loop")
def failing_in_a_loop(trace: str):
    with dsl.ExitHandler(report(trace=trace)), dsl.ParallelFor([1, 2]):
        refuse()


@dsl.pipeline(name="failing-in-a-nested-pipeline")
def failing_in_a_nested_pipeline(trace: str):
    failing(trace=trace)


@dsl.pipeline(name="beside-a-loop")
def beside_a_loop(trace: str):
    with dsl.ParallelFor([1, 2]):
        work(trace=trace)
    with dsl.ExitHandler(report(trace=trace)):
        refuse()


@dsl.pipeline(name="without-a-status")
def without_a_status(trace: str):
    with dsl.ExitHandler(tidy(trace=trace)):
        crash()


@dsl.pipeline(name="ignoring")
def ignoring(trace: str):
    tidy(trace=trace, text=refuse().output).ignore_upstream_failure()


@dsl.pipeline(name="untidy-success")
def untidy_success(trace: str):
    with dsl.ExitHandler(fail_to_tidy()):
        work(trace=trace)


@dsl.pipeline(name="untidy-failure")
def untidy_failure():
    with dsl.ExitHandler(fail_to_tidy()):
        refuse()


@dsl.pipeline(name="untidy-crash")
def untidy_crash():
    with dsl.ExitHandler(fail_to_tidy()):
        crash()


@dsl.pipeline(name="waiting")
def waiting(trace: str):
    with dsl.ExitHandler(tidy(trace=trace)):
        wait_forever(trace=trace)


def _fail(pipeline, tmp_path, match: str, **parameters: str) -> local.LocalRun:
    """Run a pipeline whose error matches, and return what it left."""
    with pytest.raises(local.RunFailedError, match=match) as failed:
        local.run(pipeline, parameters, out=tmp_path / "out")
    assert failed.value.run.status == "failed"
    return failed.value.run


def test_the_final_status_after_success(tmp_path):
    run = local.run(succeeding, {"trace": str(tmp_path)}, out=tmp_path / "out")
    status = json.loads((tmp_path / "status.json").read_text())
    assert (run.status, status["state"], status["error_message"]) == ("succeeded", "SUCCEEDED", None)
    assert status["pipeline_task_name"] == "exit-handler-1"
    assert status["pipeline_job_resource_name"].startswith("succeeding-")


@pytest.mark.parametrize("pipeline", [failing, failing_in_a_loop, failing_in_a_nested_pipeline, beside_a_loop])
def test_the_final_status_after_a_failure(tmp_path, pipeline):
    run = _fail(pipeline, tmp_path, r"^refuse: this cannot be used; give another\.$", trace=str(tmp_path))
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["error_message"]) == ("FAILED", "the task refuse failed.")
    stages = {stage.name: stage.status for stage in run.stages()}
    assert (stages["refuse"], stages["report"]) == ("failed", "succeeded")


def test_no_other_task_starts_after_a_failure(tmp_path):
    _fail(failing, tmp_path, "^refuse: ", trace=str(tmp_path))
    assert not (tmp_path / "worked").exists()


def test_an_exit_task_without_a_status_runs_after_a_crash(tmp_path):
    _fail(without_a_status, tmp_path, "^crash: it failed unexpectedly", trace=str(tmp_path))
    assert (tmp_path / "tidied").read_text() == "the default"


def test_a_task_that_ignores_the_failure_before_it_gets_its_default(tmp_path):
    _fail(ignoring, tmp_path, "^refuse: ", trace=str(tmp_path))
    assert (tmp_path / "tidied").read_text() == "the default"


def test_a_run_whose_exit_task_fails_has_failed(tmp_path):
    run = _fail(untidy_success, tmp_path, r"^fail-to-tidy: this cannot be tidied\.$", trace=str(tmp_path))
    assert [(stage.name, stage.status) for stage in run.stages()] == [("work", "succeeded"), ("fail-to-tidy", "failed")]


@pytest.mark.parametrize(
    ("pipeline", "error"),
    [(untidy_failure, r"^refuse: this cannot be used"), (untidy_crash, r"^crash: it failed unexpectedly")],
)
def test_an_exit_task_that_fails_as_well_does_not_hide_the_error(tmp_path, pipeline, error):
    run = _fail(pipeline, tmp_path, error)
    assert [stage.status for stage in run.stages()] == ["failed", "failed"]


def test_no_exit_task_starts_after_an_interrupt(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(compile_to_yaml(waiting))
    script = (
        "import sys\n"
        "from kfp_edge import local\n"
        "local.run(sys.argv[1] + '/pipeline.yaml', {'trace': sys.argv[1]}, out=sys.argv[1] + '/out')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.DEVNULL)
    while not (tmp_path / "started").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    child.wait(timeout=90)
    summary = json.loads(Path(tmp_path / "out" / "summary.json").read_text())
    assert [(stage["name"], stage["status"]) for stage in summary["stages"]] == [("wait-forever", "interrupted")]
    assert not (tmp_path / "tidied").exists()
