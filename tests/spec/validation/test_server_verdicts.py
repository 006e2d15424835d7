"""What a real API server (KFP 2.16.1) takes is valid here, unless it would ignore what the pipeline says.

Where `../shared` has the pipelines that were sent to it, all are compared; here are those that differ by kind.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kfp import dsl, kubernetes

from kfp_edge.rules import lint_text
from kfp_edge.spec import validate_text
from kfp_edge.spec.backends.profiles import BACKENDS
from kfp_edge.spec.compiling.compiler import compile_to_yaml
from kfp_edge.spec.pipeline_file import read_pipeline_file
from support.paths import SHARED
from support.pipelines import dump_yaml

SERVER = BACKENDS["kfp-2.16"]
RECORDED = SHARED / "recorded" / "pipelines"

#: What the server takes and we refuse: what the server does then, and what to do, as the message has it.
STRICTER = {
    "m-cond-unknown.yaml": ("the run fails when it reaches the task", "add it to the inputs of the task"),
    "m-default-type.yaml": ("a task takes i as a number", "write a number"),
    "m-extra-doc.yaml": ("a server ignores it", "remove it"),
    "m-image-bad.yaml": ("the pod waits forever", "write HOST/REPOSITORY:TAG"),
    "m-input-comp.yaml": ("the run fails when it reaches the task", "correct the name, or give a value"),
    "m-input-empty.yaml": ("the run fails when it reaches the task", "write one, or remove the input"),
    "m-input-missing.yaml": ("the run fails when it reaches the task", "give it a value"),
    "m-input-outkey.yaml": ("the run fails when it reaches the task", "correct the name"),
    "m-loop-bad.yaml": ("is no list in JSON", "write one, such as '[1, 2]'"),
    "m-loop-noitem.yaml": ("the run fails when it reaches the task", "give it a value"),
    "m-newttl.yaml": ("drops the whole platform spec in silence", "remove it"),
    "m-no-image.yaml": ("no pod can be made", "name an image"),
    "m-plat-fieldpath-bad.yaml": ("Kubernetes refuses the pod", "write one of metadata.name"),
    "m-plat-policy.yaml": ("the run fails when it reaches the task", "write one of Always"),
    "m-plat-size-bad.yaml": ("is no quantity of Kubernetes", "write a size, such as 5Gi"),
    "m-plat-tol-bad.yaml": ("Kubernetes refuses the pod", "write Exists or Equal"),
    "m-plat-toptypo.yaml": ("drops the whole platform spec in silence", "did you mean platforms?"),
    "m-plat-unknownexec.yaml": ("the server ignores it", "correct the name, or remove it"),
    "m-recursive.yaml": ("a run would never end", "remove the task"),
    "m-res-cpu.yaml": ("is no quantity of Kubernetes", "write processors"),
    "m-res-cpu3.yaml": ("Kubernetes refuses the pod", "write processors"),
    "m-res-mem.yaml": ("is no quantity of Kubernetes", "write bytes with a unit"),
    "m-res-reqgt.yaml": ("Kubernetes refuses the pod", "lower it or raise the limit"),
    "m-runtime-empty.yaml": ("the run fails when it reaches the task", "write one, or remove the input"),
    "m-semaphore.yaml": ("drops the whole platform spec in silence", "remove it"),
    "m-unknown-container.yaml": ("ignores it in silence", "remove it"),
    "m-unknown-exec.yaml": ("ignores it in silence", "remove it"),
    "m-v1-argo.yaml": ("not KFP v2", "compile it with the KFP SDK 2"),
    "s-large.yaml": ("The run fails", "move long values into files"),
    "s-exit-param.yaml": ("the run fails when it reaches the task", "register_pipeline_channels([m])"),
    "s-podmeta-weird.yaml": ("Kubernetes refuses the pod", "write letters, digits"),
}


@pytest.mark.skipif(not RECORDED.exists(), reason="the folder of shared data is not beside this checkout")
def test_the_verdict_on_every_recorded_pipeline_is_that_of_the_server() -> None:
    verdicts = json.loads((RECORDED / "verdicts.json").read_text(encoding="utf-8"))
    reports = {
        verdict["file"]: validate_text((RECORDED / verdict["file"]).read_bytes(), SERVER) for verdict in verdicts
    }
    taken = {verdict["file"] for verdict in verdicts if verdict["taken"]}
    assert len(verdicts) == 186
    assert {name for name, report in reports.items() if report.ok} - taken == set()
    assert {name for name in taken if not reports[name].ok} == set(STRICTER)


@pytest.mark.skipif(not RECORDED.exists(), reason="the folder of shared data is not beside this checkout")
@pytest.mark.parametrize("name", STRICTER)
def test_what_only_we_refuse_is_explained_with_what_to_do(name: str) -> None:
    messages = [finding.message for finding in validate_text((RECORDED / name).read_bytes(), SERVER).findings]
    assert any(all(part in message for part in STRICTER[name]) for message in messages), messages


@pytest.mark.skipif(not RECORDED.exists(), reason="the folder of shared data is not beside this checkout")
def test_no_recorded_pipeline_makes_a_rule_fail_or_has_a_pvc_image_reported() -> None:
    for path in sorted(RECORDED.glob("*.yaml")):
        findings = [problem.finding for problem in lint_text(path.read_bytes(), backend=SERVER).problems]
        assert not any("argostub" in finding.message for finding in findings), path


@dsl.component(base_image="example.com/a:1", install_kfp_package=False)
def ok(text: str = "x") -> str:
    return text


@dsl.pipeline(name="small")
def small() -> None:
    """One task with a Secret."""
    kubernetes.use_secret_as_env(ok(), "s", {"A": "B"})


SPEC, PLATFORM = yaml.safe_load_all(compile_to_yaml(small))
Change = Callable[[dict[str, Any], dict[str, Any]], object]


def verdict(change: Change) -> tuple[bool, str]:
    spec, platform = copy.deepcopy((SPEC, PLATFORM))
    change(spec, platform)
    report = validate_text(dump_yaml(spec, platform), SERVER)
    return report.ok, " ".join(finding.message for finding in report.findings)


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"]["exec-ok"]["container"]


def component(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["components"]["comp-ok"]


def task(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["root"]["dag"]["tasks"]["ok"]


def executor(platform: dict[str, Any]) -> dict[str, Any]:
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-ok"]


@pytest.mark.parametrize(
    "name", ["a", "a" * 128, "0", "a-b", "a.b", "a/b", "a b", "a_b", "A", "-a-", "a-", "über", "a" * 129, ""]
)
def test_the_names_that_the_server_takes_are_valid(name: str) -> None:
    ours, message = verdict(lambda spec, _: spec["pipelineInfo"].update(name=name))
    assert ours == (name in ("a", "a" * 128, "0", "a-b"))
    assert ours or "must be lower-case letters a to z, digits and dashes" in message


@pytest.mark.parametrize(
    "change",
    [
        lambda spec, _: spec.update(sdkVersion=""),
        lambda spec, _: spec.update({"pipeline_info": spec.pop("pipelineInfo")}),
        lambda spec, _: task(spec).pop("taskInfo"),
        lambda spec, _: task(spec).update(retryPolicy={"maxRetryCount": "3"}),
        lambda spec, _: spec["deploymentSpec"]["executors"].update({"exec-x": {"container": {"image": "a"}}}),
        lambda _, platform: platform["platforms"].update(vertex={}),
        lambda _, platform: platform["platforms"]["kubernetes"].update(pipelineConfig={"resourceTtl": 60}),
    ],
)
def test_what_the_server_takes_is_valid(change: Change) -> None:
    assert verdict(change) == (True, "")


@pytest.mark.parametrize(
    "change",
    [
        lambda spec, _: spec["root"]["dag"].update(tasks={}),
        lambda spec, _: task(spec).update(triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}),
        lambda spec, _: spec.update(root={}),
        lambda spec, _: spec.update(schemaVersion="2.0.0"),
        lambda spec, _: spec.update(foo=1),
        lambda spec, _: task(spec).update(foo=1),
        lambda spec, _: component(spec).update(foo=1),
        lambda spec, _: task(spec)["componentRef"].update(name="comp-nope"),
        lambda spec, _: task(spec).update(dependentTasks=["ok"]),
        lambda spec, _: task(spec).update(dependentTasks=["nope"]),
        lambda spec, _: task(spec).update(retryPolicy={"backoffDuration": "10m"}),
        lambda spec, _: container(spec).update(args=["a", 5]),
        lambda spec, _: container(spec).update(env=[{"name": "A", "value": 5}]),
        lambda spec, _: spec["deploymentSpec"]["executors"].clear(),
        lambda _, platform: executor(platform).update(nope=1),
        lambda _, platform: executor(platform).update(securityContext={"privileged": True}),
        lambda _, platform: executor(platform).update(podMetadata={"labels": {"a": 5}}),
    ],
)
def test_what_the_server_refuses_is_refused(change: Change) -> None:
    assert not verdict(change)[0]


@pytest.mark.parametrize(
    ("change", "consequence", "remedy"),
    [
        (lambda _, platform: platform.update(platform={}), "drops the whole platform spec", "did you mean platforms?"),
        (
            lambda _, platform: platform["platforms"]["kubernetes"].update(pipelineConfig={"semaphoreKey": "a"}),
            "drops the whole platform spec",
            "remove it",
        ),
        (lambda spec, _: container(spec).update(foo=1), "ignores it in silence", "remove it"),
        (lambda spec, _: container(spec).pop("image"), "no pod can be made", "name an image"),
        (
            lambda spec, _: component(spec)["inputDefinitions"]["parameters"].update(text={"parameterType": "STRING"}),
            "the run fails when it reaches the task",
            "give it a value",
        ),
        (
            lambda spec, _: task(spec).update(
                inputs={"parameters": {"text": {"componentInputParameter": "pipelinechannel--memory"}}}
            ),
            "the run fails when it reaches the task",
            "correct the name, or give a value",
        ),
    ],
)
def test_what_the_server_takes_and_would_not_do_is_refused_with_what_to_do(
    change: Change, consequence: str, remedy: str
) -> None:
    ours, message = verdict(change)
    assert not ours
    assert consequence in message
    assert remedy in message


def test_a_limit_that_kfp_loses_in_a_group_is_refused_with_the_call_that_helps() -> None:
    @dsl.pipeline(name="lost-limit")
    def lost_limit(m: str = "1Gi") -> None:
        with dsl.ExitHandler(ok()):
            ok().set_memory_limit(m)

    (finding,) = validate_text(compile_to_yaml(lost_limit), SERVER).findings
    assert "register_pipeline_channels([m])" in finding.message


def text_with(line: str) -> str:
    """The pipeline with the component's input written in this way."""
    text = dump_yaml(SPEC, PLATFORM)
    assert "isOptional: true" in text
    return text.replace("isOptional: true", line, 1)


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "Yes", "y", '"true"'])
def test_a_word_that_is_a_boolean_only_in_yaml_1_1_is_a_text_as_for_the_server(word: str) -> None:
    (finding,) = validate_text(text_with(f"isOptional: {word}"), SERVER).findings
    assert finding.message.startswith("must be true or false, not ")


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_the_booleans_of_yaml_1_2_are_booleans(word: str) -> None:
    assert validate_text(text_with(f"isOptional: {word}"), SERVER).ok


def test_a_date_is_a_text_as_for_the_server() -> None:
    text = dump_yaml(SPEC, PLATFORM).replace("description: One task with a Secret.", "description: 2026-01-01")
    assert "2026-01-01" in text
    assert validate_text(text, SERVER).ok


@pytest.mark.parametrize(("written", "number"), [("0x10", 16), ("010", 8), ("0o10", 8), ("1_000", 1000), ("1e3", 1000)])
def test_numbers_are_read_as_by_the_server(written: str, number: int) -> None:
    text = dump_yaml(SPEC, PLATFORM)
    text = text.replace("        taskInfo:", f"        retryPolicy: {{maxRetryCount: {written}}}\n        taskInfo:")
    assert validate_text(text, SERVER).ok
    assert task(read_pipeline_file(text).pipelines[0].spec)["retryPolicy"] == {"maxRetryCount": number}


def test_an_empty_document_and_the_platform_spec_first_are_taken() -> None:
    assert validate_text("---\n" + dump_yaml(None, PLATFORM, SPEC), SERVER).ok
