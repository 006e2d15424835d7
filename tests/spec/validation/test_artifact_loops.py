"""A loop over artifacts, which KFP's compiler writes and no backend executes, is reported."""

from kfp import dsl

from kfp_edge.spec import validate_text
from kfp_edge.spec.compiling.compiler import compile_to_yaml


@dsl.component(base_image="a:1", install_kfp_package=False)
def make(made: dsl.Output[dsl.Dataset]) -> None:
    print(made)


@dsl.component(base_image="a:1", install_kfp_package=False)
def use(made: dsl.Input[dsl.Dataset]) -> None:
    print(made)


@dsl.component(base_image="a:1", install_kfp_package=False)
def use_all(made: dsl.Input[list[dsl.Dataset]]) -> None:
    print(made)


@dsl.pipeline(name="many")
def many() -> list[dsl.Dataset]:
    with dsl.ParallelFor([1, 2]):
        made = make()
    return dsl.Collected(made.outputs["made"])


@dsl.pipeline(name="one-by-one")
def one_by_one() -> None:
    with dsl.ParallelFor(many().output) as one:
        use(made=one)


@dsl.pipeline(name="at-once")
def at_once() -> None:
    use_all(made=many().output)


def test_a_loop_over_artifacts_is_reported() -> None:
    (finding,) = validate_text(compile_to_yaml(one_by_one)).findings
    assert (finding.code, finding.path) == ("KE103", "root.dag.tasks.for-loop-1.artifactIterator")
    assert "the server refuses to start a run" in finding.message


def test_a_list_of_artifacts_for_one_task_is_valid() -> None:
    assert validate_text(compile_to_yaml(at_once)).ok
