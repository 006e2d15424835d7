"""What the compiled pipelines ask of a cluster: both documents of the YAML, field by field."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kfp_edge.runtime.component import RUNTIME_IMAGE
from kfp_edge.spec import compiler
from support.paths import ROOT

COMPILED = ROOT / "compiled"
NAMES = compiler.pipeline_names()
DELIVERIES = ["delivery", "edge_mlops"]
#: They change the world outside.
SIDE_EFFECTS = {"containerize", "staging-test", "release", "gitops-commit", "clean-up"}
NETWORK = {"ingest", "fetch-model", "containerize", "release", "gitops-commit", "clean-up"}
LARGE = {"ingest", "train", "export", "verify"}
MOUNTS = "/var/run/secrets/kfp-edge"


def documents(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platform = yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text())
    return spec, platform


def stage(executor: str) -> str:
    return executor.removeprefix("exec-")


def containers(name: str) -> dict[str, Any]:
    """Stage to its container, as the pipeline spec has it."""
    executors = documents(name)[0]["deploymentSpec"]["executors"]
    return {stage(label): executor["container"] for label, executor in executors.items()}


def pods(name: str) -> dict[str, Any]:
    """Stage to what the platform spec says of its pod."""
    executors = documents(name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {stage(label): executor for label, executor in executors.items()}


def tasks(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every task that runs a stage, in whatever graph it stands."""
    spec = documents(name)[0]
    for component in (spec["root"], *spec["components"].values()):
        for label, task in component.get("dag", {}).get("tasks", {}).items():
            if "executorLabel" in spec["components"][task["componentRef"]["name"]]:
                yield label, task


def parameter(name: str) -> dict[str, str]:
    return {"componentInputParameter": name}


def of_pipeline(reference: dict[str, Any]) -> str:
    """Return the pipeline's parameter that a reference comes from; blocks hand theirs on under a longer name."""
    return str(reference["componentInputParameter"]).removeprefix("pipelinechannel--")


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_runs_in_the_runtime_image_and_installs_nothing(name: str) -> None:
    for container in containers(name).values():
        assert container["image"] == RUNTIME_IMAGE
        assert "pip install" not in " ".join(container["command"] + container["args"])


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_has_requests_and_limits(name: str) -> None:
    for label, container in containers(name).items():
        found = container["resources"]
        assert {f"resource{what}" for what in ("CpuRequest", "CpuLimit", "MemoryRequest", "MemoryLimit")} <= set(found)
        if label in LARGE:
            assert "cpu" in found["resourceCpuLimit"]
            assert "memory" in found["resourceMemoryLimit"]
        else:
            assert (found["resourceCpuLimit"], found["resourceMemoryLimit"]) == ("1", "1Gi")


@pytest.mark.parametrize("name", NAMES)
def test_what_changes_the_world_is_never_cached_and_all_else_is(name: str) -> None:
    for label, task in tasks(name):
        assert task["cachingOptions"] == ({} if label in SIDE_EFFECTS else {"enableCache": True}), label


@pytest.mark.parametrize("name", NAMES)
def test_only_stages_that_depend_on_a_network_are_tried_again_and_later_each_time(name: str) -> None:
    retried = {label: task["retryPolicy"] for label, task in tasks(name) if "retryPolicy" in task}
    assert set(retried) == NETWORK & {label for label, _ in tasks(name)}
    for policy in retried.values():
        assert policy == {
            "maxRetryCount": 2,
            "backoffDuration": "30s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "300s",
        }


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_labelled_and_placed_by_parameters(name: str) -> None:
    found = pods(name)
    assert set(found) == set(containers(name))
    for pod in found.values():
        assert pod["podMetadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "kfp-edge",
            "app.kubernetes.io/component": "stage",
        }
        assert of_pipeline(pod["nodeSelector"]["nodeSelectorJson"]) == "node_selector"
        (toleration,) = pod["tolerations"]
        assert of_pipeline(toleration["tolerationJson"]) == "tolerations"
        (bundle,) = pod["configMapAsVolume"]
        assert of_pipeline(bundle["configMapNameParameter"]) == "ca_bundle"
        assert (bundle["mountPath"], bundle["optional"]) == (f"{MOUNTS}/ca", True)


@pytest.mark.parametrize("name", NAMES)
def test_the_data_connection_reaches_the_stages_that_read_data_and_no_other(name: str) -> None:
    for label, pod in pods(name).items():
        if label not in ("ingest", "fetch-model", "verify", "containerize", "clean-up"):
            assert "secretAsEnv" not in pod, label
            continue
        (secret,) = pod["secretAsEnv"]
        assert of_pipeline(secret["secretNameParameter"]) == "data_connection"
        assert secret["optional"] is True
        assert {(one["secretKey"], one["envVar"]) for one in secret["keyToEnv"]} == {
            (key, key)
            for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION")
        }


@pytest.mark.parametrize("name", NAMES)
def test_logins_reach_the_stages_that_need_them_and_no_other(name: str) -> None:
    wanted = {
        **dict.fromkeys(("containerize", "staging-test", "release"), ("registry_secret", f"{MOUNTS}/registry")),
        "gitops-commit": ("git_secret", f"{MOUNTS}/git"),
    }
    for label, pod in pods(name).items():
        found = [(of_pipeline(one["secretNameParameter"]), one["mountPath"]) for one in pod.get("secretAsVolume", [])]
        assert found == ([wanted[label]] if label in wanted else []), label


@pytest.mark.parametrize("name", DELIVERIES)
def test_whatever_becomes_of_a_delivery_its_leftovers_are_removed(name: str) -> None:
    spec, _ = documents(name)
    graph = spec["root"]["dag"]["tasks"]
    assert graph["clean-up"]["dependentTasks"] == ["exit-handler-1"]
    assert graph["clean-up"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert set(graph) == {"exit-handler-1", "clean-up"}


@pytest.mark.parametrize("name", DELIVERIES)
def test_the_stages_that_work_in_the_cluster_know_their_run(name: str) -> None:
    runs = {label: task["inputs"]["parameters"].get("run_id") for label, task in tasks(name)}
    told = {label for label, run in runs.items() if run and "{{$.pipeline_job_uuid}}" in str(run)}
    assert told == {"containerize", "staging-test", "clean-up"}


def test_a_fleet_is_trained_side_by_side_and_compared_at_the_end() -> None:
    spec, _ = documents("fleet_training")
    graph = spec["root"]["dag"]["tasks"]
    (loop,) = [label for label, task in graph.items() if "parameterIterator" in task]
    assert graph[loop]["parameterIterator"]["items"] == {"inputParameter": "pipelinechannel--assets"}
    assert graph[loop]["iteratorPolicy"] == {"parallelismLimit": 8}
    assert graph["fleet-summary"]["dependentTasks"] == [loop]
