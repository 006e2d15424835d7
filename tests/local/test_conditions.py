"""A local run evaluates conditions as a backend does; KFP's own local runner would run the wrong branches."""

import pytest
from kfp import dsl

from kfp_edge import local
from kfp_edge.spec.compiling.compiler import compile_to_yaml


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def count() -> int:
    return 1


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def deploy(size: int = 0) -> str:
    return "deployed"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def keep() -> str:
    return "kept"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def notify(text: str = ""):
    pass


@dsl.pipeline(name="if-at-the-root")
def if_at_the_root(mode: str = "fast"):
    with dsl.If(mode == "fast"):
        deploy()


@dsl.pipeline(name="if-on-an-output")
def if_on_an_output():
    with dsl.If(count().output > 3):
        deploy()


@dsl.pipeline(name="if-else")
def if_else(flag: bool = True):
    with dsl.If(flag == True):  # noqa: E712
        deploy()
    with dsl.Else():
        keep()


@dsl.pipeline(name="if-elif-else")
def if_elif_else(size: int = 3):
    with dsl.If(size > 5):
        deploy()
    with dsl.Elif(size > 2):
        keep()
    with dsl.Else():
        notify()


@dsl.pipeline(name="if-in-an-if")
def if_in_an_if(size: int = 3, mode: str = "fast"):
    with dsl.If(size > 2), dsl.If(mode == "fast"):
        deploy()


@dsl.pipeline(name="if-in-an-exit-handler")
def if_in_an_exit_handler(mode: str = "fast"):
    with dsl.ExitHandler(notify()), dsl.If(mode == "fast"):
        deploy()


@dsl.pipeline(name="if-in-a-loop")
def if_in_a_loop():
    with dsl.ParallelFor([1, 2]) as size, dsl.If(size > 1):
        deploy(size=size)


@dsl.pipeline(name="loop-in-an-if")
def loop_in_an_if(mode: str = "fast"):
    with dsl.If(mode == "fast"), dsl.ParallelFor([1, 2]) as size:
        deploy(size=size)


@dsl.pipeline(name="if-in-a-nested-pipeline")
def if_in_a_nested_pipeline():
    if_at_the_root(mode="slow")


@dsl.pipeline(name="one-of")
def one_of(mode: str = "fast"):
    with dsl.If(mode == "fast"):
        deployed = deploy()
    with dsl.Else():
        kept = keep()
    notify(text=dsl.OneOf(deployed.output, kept.output))


@dsl.pipeline(name="chosen")
def chosen(mode: str) -> str:
    with dsl.If(mode == "fast"):
        deployed = deploy()
    with dsl.Else():
        kept = keep()
    return dsl.OneOf(deployed.output, kept.output)


@dsl.pipeline(name="nested-output")
def nested_output(mode: str = "fast"):
    notify(text=chosen(mode=mode).output)


def stages_of(pipeline, folder, **values):
    run = local.run(pipeline, values, out=folder / "out")
    assert run.status == "succeeded"
    return [stage.name for stage in run.stages()]


@pytest.mark.parametrize(
    ("pipeline", "values", "expected"),
    [
        (if_at_the_root, {}, ["deploy"]),
        (if_at_the_root, {"mode": "slow"}, []),
        (if_at_the_root, {"mode": "it's"}, []),
        (if_on_an_output, {}, ["count"]),
        (if_else, {}, ["deploy"]),
        (if_else, {"flag": False}, ["keep"]),
        (if_elif_else, {"size": 9}, ["deploy"]),
        (if_elif_else, {"size": 3}, ["keep"]),
        (if_elif_else, {"size": 1}, ["notify"]),
        (if_in_an_if, {}, ["deploy"]),
        (if_in_an_if, {"mode": "slow"}, []),
        (if_in_an_if, {"size": 1}, []),
        (if_in_an_exit_handler, {}, ["deploy", "notify"]),
        (if_in_an_exit_handler, {"mode": "slow"}, ["notify"]),
        (if_in_a_loop, {}, ["deploy"]),
        (loop_in_an_if, {}, ["deploy", "deploy"]),
        (loop_in_an_if, {"mode": "slow"}, []),
        (if_in_a_nested_pipeline, {}, []),
        (one_of, {}, ["deploy", "notify"]),
        (one_of, {"mode": "slow"}, ["keep", "notify"]),
        (nested_output, {"mode": "slow"}, ["keep", "notify"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_branch_whose_condition_is_true_runs_and_no_other(tmp_path, pipeline, values, expected):
    assert stages_of(pipeline, tmp_path, **values) == expected


def test_a_task_gets_the_output_of_the_branch_that_ran(tmp_path):
    run = local.run(one_of, {"mode": "slow"}, out=tmp_path / "out")
    assert run.status == "succeeded"
    assert "kept" in (tmp_path / "out" / "logs" / "run.log").read_text()


def test_a_condition_that_cannot_be_evaluated_is_a_sentence_and_the_exit_task_runs(tmp_path):
    file = tmp_path / "pipeline.yaml"
    original = "inputs.parameter_values['pipelinechannel--mode'] == 'fast'"
    text = compile_to_yaml(if_in_an_exit_handler)
    assert original in text
    file.write_text(text.replace(original, original.replace("== 'fast'", "> 5")))
    with pytest.raises(local.RunFailedError, match=r"the condition `mode > 5` cannot be evaluated: .*") as failed:
        local.run(str(file), out=tmp_path / "out")
    assert [stage.name for stage in failed.value.run.stages()] == ["notify"]
    assert "Traceback" not in (tmp_path / "out" / "logs" / "run.log").read_text()
