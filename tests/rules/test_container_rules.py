"""The rules on containers: images, resources, package installs and privileges."""

import pytest
from kfp import dsl

from kfp_edge.rules import lint_text
from kfp_edge.spec.compiling import compiler
from support.pipelines import (
    EXECUTOR,
    codes,
    component_source,
    container,
    executor_config,
    lint_changed,
    problem_lines,
    work,
)

DIGEST = "@sha256:" + "2" * 64


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("quay.io/plant/work:1.4", "KE001"),
        ("localhost:5000/work:1.4", "KE001"),
        ("quay.io/plant/work:latest", "KE007"),
        ("python", "KE007"),
        ("localhost:5000/work", "KE007"),
    ],
)
def test_an_image_without_a_digest_is_reported(image, code):
    report = lint_changed(lambda spec, _: container(spec).update(image=image))
    (line,) = problem_lines(report)
    assert line.startswith(f"{code} {EXECUTOR}.image: {image} ")


@pytest.mark.parametrize(
    "image", [f"work{DIGEST}", f"quay.io/plant/work:1.4{DIGEST}", "{{$.inputs.parameters['pipelinechannel--image']}}"]
)
def test_an_image_by_digest_or_by_parameter_is_accepted(image):
    assert codes(lint_changed(lambda spec, _: container(spec).update(image=image))) == []


MEMORY_LIMITS = ("memoryLimit", "resourceMemoryLimit")


def test_missing_limits_and_requests_are_reported_at_the_container():
    limits = lint_changed(
        lambda spec, _: container(spec).update(resources={"resourceCpuRequest": "1", "memoryRequest": 1.0})
    )
    nothing = lint_changed(lambda spec, _: container(spec).pop("resources"))
    memory = lint_changed(lambda spec, _: [container(spec)["resources"].pop(key) for key in MEMORY_LIMITS])
    assert problem_lines(limits) == [f"KE002 {EXECUTOR}.resources: there is no CPU and no memory limit."]
    assert problem_lines(memory) == [f"KE002 {EXECUTOR}.resources: there is no memory limit."]
    assert [line.split(":")[0] for line in problem_lines(nothing)] == [f"KE002 {EXECUTOR}", f"KE003 {EXECUTOR}"]


def test_limits_that_are_pipeline_parameters_are_accepted():
    @dsl.pipeline(name="by-parameter")
    def by_parameter(cpu: str = "1", memory: str = "1Gi"):
        placed = work(text="x", options={}).set_cpu_limit(cpu).set_memory_limit(memory)
        placed.set_cpu_request(cpu).set_memory_request(memory)

    assert codes(lint_text(compiler.compile_to_yaml(by_parameter))) == []


def test_packages_that_kfp_installs_at_start_up_are_reported():
    @dsl.component(base_image=f"python{DIGEST}", packages_to_install=["pandas"])
    def installs():
        print("pip")

    @dsl.component(base_image=f"python{DIGEST}")
    def installs_kfp():
        print("pip")

    for component in (installs, installs_kfp):
        report = lint_text(compiler.compile_to_yaml(component))
        assert [line for line in problem_lines(report) if "KE004" in line and "`pip install` runs" in line], (
            problem_lines(report)
        )


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "apt-get update && apt-get -y install git"],
        ["pip", "install", "pandas"],
        ["sh", "-c", "uv pip install --no-deps pandas"],
        ["python", component_source('subprocess.run([sys.executable, "-m", "pip", "install", "pandas"])')],
        ["python", component_source('os.system("pip3 install pandas")')],
    ],
)
def test_packages_that_a_command_installs_at_start_up_are_reported(command):
    assert codes(lint_changed(lambda spec, _: container(spec).update(command=command))) == ["KE004"]


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "# pip install pandas\ntrue"],
        ["python", component_source("pass", docstring="Needs no pip install, no git push.")],
        ["python", component_source("pass  # pip install pandas")],
        ["pip", "list"],
        ["installer", "run"],
    ],
)
def test_comments_and_docstrings_about_installing_are_accepted(command):
    assert codes(lint_changed(lambda spec, _: container(spec).update(command=command))) == []


@pytest.mark.parametrize("user", [0, 1001])
def test_run_as_user_is_reported(user):
    report = lint_changed(
        lambda _, platform: executor_config(platform).update(securityContext={"runAsUser": str(user)})
    )
    (line,) = problem_lines(report)
    assert line.startswith("KE010 ")
    assert f"run as user {user};" in line


def test_building_an_image_in_the_pod_is_reported():
    assert codes(lint_changed(lambda spec, _: container(spec).update(command=["buildah", "bud", "."]))) == ["KE014"]
