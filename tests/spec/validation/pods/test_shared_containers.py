"""Components with equal containers have equal inputs and outputs, since a backend keeps one of them for both.

On a cluster (KFP 2.16.1), the second of these two ran with the default of the first.
"""

from kfp import dsl

from kfp_edge.spec import validate_text
from kfp_edge.spec.compiling.compiler import compile_to_yaml

COMMAND = ["sh", "-c", "echo $0"]


@dsl.container_component
def five(n: int = 5):  # type: ignore[no-untyped-def]
    """Print a number, five if none is given."""
    return dsl.ContainerSpec(image="a:1", command=COMMAND, args=[n])


@dsl.container_component
def six(n: int = 6):  # type: ignore[no-untyped-def]
    return dsl.ContainerSpec(image="a:1", command=COMMAND, args=[n])


@dsl.container_component
def also_five(n: int = 5):  # type: ignore[no-untyped-def]
    """Print another number.

    Args:
        n: It is described here.
    """
    return dsl.ContainerSpec(image="a:1", command=COMMAND, args=[n])


def messages(*components, variable: str = "") -> list[str]:  # type: ignore[no-untyped-def]
    @dsl.pipeline(name="alike")
    def alike() -> None:
        tasks = [component() for component in components]
        if variable:
            tasks[-1].set_env_variable(variable, "1")

    return [f"{finding.path}: {finding.message}" for finding in validate_text(compile_to_yaml(alike)).findings]


def test_another_default_with_an_equal_container_is_reported() -> None:
    (found,) = messages(five, six)
    assert found.startswith("components.comp-six: has the same container as comp-five ")
    assert "set an environment variable in one of them" in found


def test_equal_inputs_or_another_container_are_valid() -> None:
    assert messages(five, five, also_five) == []
    assert messages(five, six, variable="WHICH") == []
