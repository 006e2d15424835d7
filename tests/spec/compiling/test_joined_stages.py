"""Stages that share a pod: the pipeline computes the same, and what cannot share one is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from kfp import dsl, kubernetes
from kfp.dsl import Artifact, Input, Metrics, Output

from kfp_edge import local
from kfp_edge.errors import PipelineError
from kfp_edge.runtime import joined_stages as runtime
from kfp_edge.runtime.joined_stages import StagePlan
from kfp_edge.spec.compiling.compiler import compile_to_manifests, compile_to_yaml, load_pipeline
from kfp_edge.spec.compiling.joined_stages import STAGE_GROUPS, join_stages
from kfp_edge.spec.compiling.target import CompileTarget
from kfp_edge.spec.validation.validate import validate_text
from support.paths import ROOT

COMPILED = ROOT / "compiled"
GROUPS = {"prepare-and-count": ("prepare", "count")}


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def prepare(text: str, log: str, times: int, table: Output[Artifact], failures: int = 0) -> str:
    from pathlib import Path

    attempts = Path(log, "attempts")
    with attempts.open("a") as file:
        file.write("x")
    if len(attempts.read_text()) <= failures:
        raise SystemExit(3)
    Path(table.path).write_text(text * times)
    table.metadata["rows"] = times
    return text.upper()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def count(table: Input[Artifact], title: str, counts: Output[Metrics], times: int = 1) -> int:
    from pathlib import Path

    counts.log_metric("rows", table.metadata["rows"])
    print(title)
    return len(Path(table.path).read_text()) * times


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def publish(length: int, title: str, log: str, table: Input[Artifact]):
    from pathlib import Path

    rows = int(table.metadata["rows"])  # KFP has one type of number
    Path(log, "published").write_text(f"{title} {length} {rows} {Path(table.path).read_text()}")


class Outputs(NamedTuple):
    table: Artifact
    length: int


@dsl.pipeline(name="counting")
def counting(text: str, log: str, failures: int = 0) -> Outputs:
    prepared = prepare(text=text, log=log, times=2, failures=failures)
    prepared.set_retry(num_retries=1, backoff_duration="0s")
    counted = count(table=prepared.outputs["table"], title=prepared.outputs["Output"], times=3)
    publish(
        length=counted.outputs["Output"],
        title=prepared.outputs["Output"],
        log=log,
        table=prepared.outputs["table"],
    )
    return Outputs(table=prepared.outputs["table"], length=counted.outputs["Output"])


JOINED = CompileTarget(is_joined=True)


def join(text: str, groups: dict[str, tuple[str, ...]] = GROUPS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return pipeline spec and platform spec with joined stages."""
    spec, *platforms = yaml.safe_load_all(text)
    platform = platforms[0] if platforms else {}
    join_stages(spec, platform, groups)
    return spec, platform


def compiled(name: str) -> str:
    """Return one of our pipelines with joined stages."""
    return JOINED.adapt((COMPILED / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline `counting` whose stages `prepare` and `count` share a pod."""
    path = tmp_path_factory.mktemp("joined") / "counting.yaml"
    path.write_text(yaml.safe_dump(join(compile_to_yaml(counting))[0]))
    return path


def graph_of(text: str) -> dict[str, Any]:
    return next(yaml.safe_load_all(text))["root"]["dag"]["tasks"]


def test_the_stages_are_one_task_that_other_tasks_wait_for(joined: Path) -> None:
    tasks = graph_of(joined.read_text())
    assert tasks.keys() == {"prepare-and-count", "publish"}
    assert tasks["publish"]["dependentTasks"] == ["prepare-and-count"]


def test_a_joined_pipeline_computes_what_the_pipeline_does(joined: Path, tmp_path: Path) -> None:
    run = local.run(joined, {"text": "ab", "log": str(tmp_path)}, out=tmp_path / "run")
    assert run.status == "succeeded"
    assert (tmp_path / "published").read_text() == "AB 12 2 abab"


def test_a_stage_is_retried_alone(joined: Path, tmp_path: Path) -> None:
    run = local.run(joined, {"text": "ab", "log": str(tmp_path), "failures": 1}, out=tmp_path / "run")
    assert run.status == "succeeded"
    assert (tmp_path / "attempts").read_text() == "xx"


@dsl.pipeline(name="patient")
def patient(text: str, log: str):
    prepared = prepare(text=text, log=log, times=2)
    prepared.set_retry(num_retries=4, backoff_duration="30s", backoff_factor=2, backoff_max_duration="100s")
    count(table=prepared.outputs["table"], title=text)


def test_a_stage_keeps_the_waits_between_its_retries() -> None:
    spec, _ = join(compile_to_yaml(patient))
    container = spec["deploymentSpec"]["executors"]["exec-prepare-and-count"]["container"]
    plan = json.loads(container["args"][0])
    assert [stage["waits"] for stage in plan] == [[30, 60, 100, 100], []]


def test_a_stage_that_fails_ends_the_task_with_its_exit_code(joined: Path, tmp_path: Path) -> None:
    with pytest.raises(local.RunFailedError):
        local.run(joined, {"text": "ab", "log": str(tmp_path), "failures": 5}, out=tmp_path / "run")
    assert (tmp_path / "attempts").read_text() == "xx"
    assert not (tmp_path / "published").exists()


@pytest.mark.parametrize("name", ["training", "delivery", "edge_mlops", "fleet_training"])
def test_our_pipelines_are_valid_with_joined_stages(name: str) -> None:
    assert validate_text(compiled(name)).ok


def test_the_whole_line_is_four_tasks_in_place_of_ten() -> None:
    spec = next(yaml.safe_load_all(compiled("edge_mlops")))
    components = spec["components"]
    tasks = {
        name
        for owner in (spec["root"], *components.values())
        for name, task in owner.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in components[task["componentRef"]["name"]]
    }
    assert tasks == {"preflight", "train-and-verify", "deliver", "clean-up"}


def test_manifests_for_gitops_are_joined_too() -> None:
    *_, version = yaml.safe_load_all(compile_to_manifests(load_pipeline("training"), JOINED))
    assert version["spec"]["pipelineSpec"]["root"]["dag"]["tasks"].keys() == {"preflight", "train-and-verify"}


@pytest.mark.parametrize("name", ["delivery", "edge_mlops"])
def test_the_pod_that_reads_data_has_no_secret_of_those_that_deliver(name: str) -> None:
    _, platform = yaml.safe_load_all(compiled(name))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    secrets = {
        label: {secret["secretNameParameter"]["componentInputParameter"].removeprefix("pipelinechannel--")}
        for label, pod in executors.items()
        for secret in pod.get("secretAsVolume", ())
    }
    assert "exec-train-and-verify" not in secrets
    mounted = {secret["mountPath"].rpartition("/")[2] for secret in executors["exec-deliver"]["secretAsVolume"]}
    assert mounted == {"registry", "git", "forge"}


def test_the_same_pipeline_gives_the_same_bytes() -> None:
    program = (
        "import sys; from pathlib import Path; from kfp_edge.spec.compiling.target import CompileTarget; "
        "sys.stdout.write(CompileTarget(is_joined=True).adapt(Path(sys.argv[1]).read_text()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program, str(COMPILED / "training.yaml")],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert texts.pop().startswith("# PIPELINE DEFINITION")


def test_a_pipeline_without_such_stages_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"counting has no stages that can share a pod; these can: ingest, train, "):
        compile_to_yaml(counting, JOINED)
    assert set(STAGE_GROUPS) == {"train-and-verify", "deliver"}


def test_a_stage_that_must_run_between_is_named() -> None:
    with pytest.raises(PipelineError, match=r"^prepare, publish cannot share a pod: count runs between them\.$"):
        join(compile_to_yaml(counting), {"all": ("prepare", "publish")})


@dsl.pipeline(name="uneven")
def uneven(text: str, log: str):
    prepared = prepare(text=text, log=log, times=2).set_memory_limit("1Gi")
    count(table=prepared.outputs["table"], title=text)


def test_stages_with_different_resources_are_refused() -> None:
    with pytest.raises(PipelineError, match="prepare and count cannot share a pod: they differ in image, resources"):
        join(compile_to_yaml(uneven))


@dsl.pipeline(name="secrets")
def with_secrets(text: str, log: str):
    prepared = prepare(text=text, log=log, times=2)
    counted = count(table=prepared.outputs["table"], title=text)
    kubernetes.use_secret_as_volume(prepared, "data", "/data")
    kubernetes.use_secret_as_volume(counted, "data", "/data")
    kubernetes.use_secret_as_volume(counted, "report", "/report")


def test_the_pod_has_the_secrets_of_all_its_stages_once() -> None:
    _, platform = join(compile_to_yaml(with_secrets))
    pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-prepare-and-count"]
    assert [secret["mountPath"] for secret in pod["secretAsVolume"]] == ["/data", "/report"]


def test_an_interrupt_reaches_the_running_stage_once_and_no_further_one_starts(tmp_path: Path) -> None:
    waiting = f"""
import pathlib, sys, time
try:
    pathlib.Path({str(tmp_path / "started")!r}).touch()
    time.sleep(60)
except KeyboardInterrupt:
    with open({str(tmp_path / "cleaned")!r}, "a") as file:
        file.write("x")
    sys.exit(130)
"""
    plan = runtime.write_plan(
        [
            StagePlan("wait", [sys.executable, "-c", waiting]),
            StagePlan("next", ["touch", str(tmp_path / "next")]),
        ]
    )
    executor_input = json.dumps({"outputs": {"outputFile": str(tmp_path / "output.json")}})
    command = [sys.executable, "-m", "kfp_edge.runtime.joined_stages", plan, executor_input]
    with subprocess.Popen(command, process_group=0) as process:
        while not (tmp_path / "started").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
    assert (tmp_path / "cleaned").read_text() == "x"
    assert not (tmp_path / "next").exists()
    assert not (tmp_path / "output.json").exists()
