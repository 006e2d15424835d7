"""A pipeline with a condition is refused before anything runs: KFP's local runner would run the wrong branches."""

import pytest
from kfp import dsl

from kfp_edge import local
from kfp_edge.errors import PipelineError


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


@pytest.mark.parametrize(
    ("pipeline", "condition"),
    [
        (if_at_the_root, "`mode == 'fast'` of deploy;"),
        (if_on_an_output, "`int(count-Output) > 3` of deploy;"),
        (if_else, "`flag == true` of deploy;"),
        (if_elif_else, "`int(size) > 5` of deploy;"),
        (if_in_an_if, "`int(size) > 2` of condition-2;"),
        (if_in_an_exit_handler, "`mode == 'fast'` of deploy;"),
        (if_in_a_loop, "`int(loop-item-param-1) > 1` of deploy;"),
        (loop_in_an_if, "`mode == 'fast'` of for-loop-3;"),
        (if_in_a_nested_pipeline, "`mode == 'fast'` of deploy;"),
        (one_of, "`mode == 'fast'` of deploy;"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_condition_is_refused_wherever_it_is(tmp_path, pipeline, condition):
    with pytest.raises(PipelineError) as refused:
        local.run(pipeline, out=tmp_path / "out")
    assert f"KFP's local runner does not evaluate the condition {condition}" in str(refused.value)
    assert str(refused.value).endswith("run it on a cluster with `kfp-edge submit`, or decide inside a component.")
    assert not (tmp_path / "out").exists()
