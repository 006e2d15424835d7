"""What the compiled pipelines request from a cluster: both documents of the YAML, field by field."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from kfp_edge.runtime.component import RUNTIME_IMAGE
from kfp_edge.spec.compiling import compiler
from support.paths import ROOT

COMPILED = ROOT / "compiled"
NAMES = compiler.pipeline_names()
DELIVERIES = ["delivery", "edge_mlops", "retraining"]
#: Their only stage checks what it is given.
SINGLE_STAGES = ["drift", "promote", "rollback"]
PREFLIGHT = [name for name in NAMES if name not in SINGLE_STAGES]
#: Stages that change something outside of the run.
SIDE_EFFECTS = {
    "claim-retraining",
    "containerize",
    "staging-test",
    "release",
    "gitops-commit",
    "clean-up",
    "promote",
    "rollback",
}
#: Stages that read what is outside of the run, where other content may be under the same address the next time.
READERS = {"preflight", "ingest", "fetch-champion", "fetch-model", "verify", "drift"}
#: Stages that depend on a network.
NETWORK = {
    "claim-retraining",
    "fetch-champion",
    "ingest",
    "fetch-model",
    "containerize",
    "release",
    "gitops-commit",
    "clean-up",
    "promote",
    "rollback",
    "drift",
}
#: Stages that process the data.
COMPUTE = {"ingest", "train", "export", "verify", "drift", "compare-models"}
MOUNTS = "/var/run/secrets/kfp-edge"


@cache
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
    """Stage to the settings of its pod, as the platform spec has them."""
    executors = documents(name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {stage(label): executor for label, executor in executors.items()}


def tasks(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every task that runs a stage, those in exit handlers and loops included."""
    spec = documents(name)[0]
    for component in (spec["root"], *spec["components"].values()):
        for label, task in component.get("dag", {}).get("tasks", {}).items():
            if "executorLabel" in spec["components"][task["componentRef"]["name"]]:
                yield label, task


def parameter(name: str) -> dict[str, str]:
    return {"componentInputParameter": name}


def pipeline_parameter(reference: dict[str, Any]) -> str:
    """Return the pipeline parameter that a reference names; exit handlers and loops add a prefix to its name."""
    return str(reference["componentInputParameter"]).removeprefix("pipelinechannel--")


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_runs_in_the_runtime_image_and_installs_nothing(name: str) -> None:
    for container in containers(name).values():
        assert container["image"] == RUNTIME_IMAGE
        assert "pip install" not in " ".join(container["command"] + container["args"])


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_has_requests_and_limits(name: str) -> None:
    for label, container in containers(name).items():
        resources = container["resources"]
        assert {"resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(
            resources
        )
        if label in COMPUTE:
            assert "cpu" in resources["resourceCpuLimit"]
            assert "memory" in resources["resourceMemoryLimit"]
        else:
            assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("1", "1Gi")


@pytest.mark.parametrize("name", NAMES)
def test_only_stages_that_neither_change_nor_read_what_is_outside_of_the_run_are_cached(name: str) -> None:
    """KFP's key has the address of the data and not its content: a cached `ingest` would read it once, for ever."""
    for label, task in tasks(name):
        uncached = label in SIDE_EFFECTS | READERS
        assert task["cachingOptions"] == ({} if uncached else {"enableCache": True}), label


@pytest.mark.parametrize("name", NAMES)
def test_only_stages_that_depend_on_a_network_are_retried_with_increasing_delay(name: str) -> None:
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
def test_parameters_set_nodes_certificates_and_pull_secret_of_every_pod(name: str) -> None:
    assert set(pods(name)) == set(containers(name))
    for pod in pods(name).values():
        assert pod["podMetadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "kfp-edge",
            "app.kubernetes.io/component": "stage",
        }
        assert pipeline_parameter(pod["nodeSelector"]["nodeSelectorJson"]) == "node_selector"
        (toleration,) = pod["tolerations"]
        assert pipeline_parameter(toleration["tolerationJson"]) == "tolerations"
        (pull_secret,) = pod["imagePullSecret"]
        assert pipeline_parameter(pull_secret["secretNameParameter"]) == "image_pull_secret"
        (bundle,) = pod["configMapAsVolume"]
        assert pipeline_parameter(bundle["configMapNameParameter"]) == "ca_bundle"
        assert (bundle["mountPath"], bundle["optional"]) == (f"{MOUNTS}/ca", True)


@pytest.mark.parametrize("name", NAMES)
def test_only_stages_that_use_the_object_store_get_the_data_connection(name: str) -> None:
    for label, pod in pods(name).items():
        if label not in (
            "preflight",
            "ingest",
            "fetch-model",
            "verify",
            "containerize",
            "clean-up",
            "drift",
            "claim-retraining",
        ):
            assert "secretAsEnv" not in pod, label
            continue
        (secret,) = pod["secretAsEnv"]
        assert pipeline_parameter(secret["secretNameParameter"]) == "data_connection"
        assert secret["optional"] is True
        assert {(pair["secretKey"], pair["envVar"]) for pair in secret["keyToEnv"]} == {
            (key, key)
            for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION")
        }


@pytest.mark.parametrize("name", NAMES)
def test_only_stages_that_push_or_pull_get_a_login(name: str) -> None:
    registry, git, forge, metrics = (
        (f"{login}_secret", f"{MOUNTS}/{login}") for login in ("registry", "git", "forge", "metrics")
    )
    of_stages = {
        **{stage: [registry] for stage in ("containerize", "staging-test", "release")},
        "gitops-commit": [registry, git, forge],
        "fetch-champion": [registry, git, forge],
        "promote": [registry, git, forge, metrics],
        "rollback": [registry, git, forge],
        "drift": [metrics],
        "preflight": [registry, git, forge] if name in DELIVERIES else [],
    }
    for label, pod in pods(name).items():
        mounted = [
            (pipeline_parameter(secret["secretNameParameter"]), secret["mountPath"])
            for secret in pod.get("secretAsVolume", [])
        ]
        assert mounted == of_stages.get(label, []), label


@pytest.mark.parametrize("name", DELIVERIES)
def test_clean_up_runs_after_a_delivery_whether_it_succeeds_or_fails(name: str) -> None:
    spec, _ = documents(name)
    graph = spec["root"]["dag"]["tasks"]
    assert graph["clean-up"]["dependentTasks"] == ["exit-handler-1"]
    assert graph["clean-up"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert set(graph) == {"exit-handler-1", "clean-up"}


@pytest.mark.parametrize("name", DELIVERIES)
def test_the_commit_gets_the_checks_of_the_staging_test(name: str) -> None:
    (commit,) = [task for label, task in tasks(name) if label == "gitops-commit"]
    report = commit["inputs"]["artifacts"]["staging_report"]["taskOutputArtifact"]
    assert report == {"outputArtifactKey": "report", "producerTask": "staging-test"}


@pytest.mark.parametrize("name", DELIVERIES)
def test_stages_that_create_objects_in_the_cluster_get_the_run_id(name: str) -> None:
    runs = {label: task["inputs"]["parameters"].get("run_id") for label, task in tasks(name)}
    with_run_id = {label for label, run in runs.items() if run and "{{$.pipeline_job_uuid}}" in str(run)}
    claim = {"claim-retraining"} & set(runs)
    assert with_run_id == {"containerize", "staging-test", "clean-up"} | claim


def test_the_models_of_a_fleet_are_trained_in_parallel_and_then_compared() -> None:
    spec, _ = documents("fleet_training")
    graph = spec["root"]["dag"]["tasks"]
    (loop,) = [label for label, task in graph.items() if "parameterIterator" in task]
    assert graph[loop]["parameterIterator"]["items"] == {"inputParameter": "pipelinechannel--assets"}
    assert graph[loop]["iteratorPolicy"] == {"parallelismLimit": 8}
    assert graph["fleet-summary"]["dependentTasks"] == [loop]


@pytest.mark.parametrize("name", PREFLIGHT)
def test_nothing_starts_before_everything_was_checked(name: str) -> None:
    """Every other task depends on `preflight`, on one that does, or is in the block that it is in front of."""
    spec, _ = documents(name)
    graphs = (spec["root"], *spec["components"].values())
    (graph,) = [graph["dag"]["tasks"] for graph in graphs if "preflight" in graph.get("dag", {}).get("tasks", {})]
    checked = {"preflight"}
    for _ in graph:
        checked |= {label for label, task in graph.items() if checked & set(task.get("dependentTasks", ()))}
    assert set(graph) == checked


@pytest.mark.parametrize("name", PREFLIGHT)
def test_every_parameter_of_a_stage_is_checked_before_the_first_one(name: str) -> None:
    spec, _ = documents(name)
    checked = set(spec["components"]["comp-preflight"]["inputDefinitions"]["parameters"])
    of_pods = {"cpu", "memory", "data_connection", "ca_bundle", "node_selector", "tolerations"}
    of_pods |= {"image_pull_secret", "registry_secret", "git_secret", "forge_secret"}
    # those of the stages right behind the check, which train nothing
    of_drift = set(documents("drift")[0]["root"]["inputDefinitions"]["parameters"])
    of_claim = set(documents("retraining")[0]["components"]["comp-claim-retraining"]["inputDefinitions"]["parameters"])
    unchecked = {"revision"} | ((of_drift | of_claim | {"compared_metric"}) if name == "retraining" else set())
    parameters = set(spec["root"]["inputDefinitions"]["parameters"])
    assert parameters - checked - of_pods - unchecked == set(), "add it to preflight, and its rule to its stage"
