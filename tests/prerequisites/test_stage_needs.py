"""What the pods of a compiled pipeline need is read from its YAML and the parameters of the run."""

from typing import Any

from kfp import dsl, kubernetes

from kfp_edge.prerequisites.pod_needs import ObjectNeed, PodNeeds
from kfp_edge.prerequisites.stage_needs import find_stage_needs
from kfp_edge.spec.compiling.compiler import compile_to_yaml
from kfp_edge.spec.pipeline_file import read_pipeline_file

IMAGE = "registry.example.com/plant/work:1"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def work(text: str = "") -> str:
    return text


@dsl.pipeline(name="names")
def names(login: str = "login", rows: str = "rows", pull: str = "pull", cpu: str = "2"):
    """Tasks that name objects by parameters, one of them in an exit handler's block, one in a loop."""
    last = work()
    with dsl.ExitHandler(last):
        inner = work().set_cpu_limit(cpu).set_memory_limit("4Gi").set_cpu_request("500m")
        inner.register_pipeline_channels([cpu])
        kubernetes.use_secret_as_env(inner, login, {"user": "USER", "password": "PASSWORD"})
        kubernetes.use_config_map_as_volume(inner, "settings", "/settings", optional=True)
        kubernetes.mount_pvc(inner, rows, "/rows")
        kubernetes.set_image_pull_secrets(inner, [pull])
    with dsl.ParallelFor(["a", "b"]) as item:
        looped = work()
        kubernetes.use_secret_as_volume(looped, item, "/secret")


def needs(**arguments: Any) -> dict[str, PodNeeds]:
    (document,) = read_pipeline_file(compile_to_yaml(names)).pipelines
    values = {"login": "login", "rows": "rows", "pull": "pull", "cpu": "2"} | arguments
    return {pod.title: pod for pod in find_stage_needs(document, values)}


def test_every_task_that_runs_a_container_has_a_pod() -> None:
    assert set(needs()) == {"the stage work", "the stage work-2", "the stage work-3"}
    assert {pod.image for pod in needs().values()} == {IMAGE}


@dsl.pipeline(name="ordered")
def ordered():
    """Tasks whose names are in no order, and one that has to be the last."""
    tasks = [work().set_display_name(f"work {number}") for number in range(6)]
    work().after(*tasks[1:])
    tasks[0].after(tasks[5])


def test_stages_are_in_topological_order_each_time() -> None:
    (document,) = read_pipeline_file(compile_to_yaml(ordered)).pipelines
    titles = [pod.title.removeprefix("the stage ") for pod in find_stage_needs(document, {})]
    assert titles == ["work-6", "work-2", "work-3", "work-4", "work-5", "work", "work-7"]
    assert [pod.title for pod in find_stage_needs(document, {})] == [f"the stage {title}" for title in titles]


def test_names_that_are_parameters_are_those_of_the_run() -> None:
    assert set(needs(login="other", rows="rows-2")["the stage work-2"].objects) == {
        ObjectNeed("Secret", "other", frozenset({"user", "password"}), parameter="login"),
        ObjectNeed("ConfigMap", "settings", is_required=False),
        ObjectNeed("PersistentVolumeClaim", "rows-2", parameter="rows"),
    }


def test_the_image_pull_secret_is_that_of_the_run() -> None:
    pull_secret = ObjectNeed("Secret", "quay", is_required=False, parameter="pull")
    assert needs(pull="quay")["the stage work-2"].pull_secret == pull_secret
    assert needs()["the stage work"].pull_secret is None


def test_a_name_that_is_known_only_while_it_runs_is_left_out() -> None:
    assert needs()["the stage work-3"].objects == ()


def test_resources_are_those_of_the_run_and_argos_containers_have_none() -> None:
    main, *others = needs(cpu="3")["the stage work-2"].containers
    assert (main.limits, main.requests) == ({"cpu": "3", "memory": "4Gi"}, {"cpu": "500m"})
    assert [(each.name, each.limits, each.requests) for each in others] == [("init", {}, {}), ("wait", {}, {})]
