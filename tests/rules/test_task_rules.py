"""The rules on tasks: side effects, retries and conditions."""

import re

import pytest
from kfp import dsl, kubernetes

from kfp_edge.rules import lint_text
from kfp_edge.rules.task_rules import STAGES_WITH_SIDE_EFFECT
from kfp_edge.spec.compiling import compiler
from support.paths import ROOT
from support.pipelines import (
    codes,
    component_source,
    container,
    disable_caching,
    lint_changed,
    problem_lines,
    task,
    work,
)

DIGEST = "@sha256:" + "2" * 64


@pytest.mark.parametrize("stage", STAGES_WITH_SIDE_EFFECT)
def test_caching_a_stage_with_a_side_effect_is_reported(stage):
    body = f"from kfp_edge.components.{stage}.{stage} import {stage}"

    def change(spec, _):
        container(spec)["command"] = ["python", component_source(body)]

    (line,) = problem_lines(lint_changed(change))
    assert line.startswith(
        f"KE005 root.dag.tasks.work.cachingOptions.enableCache: caching is on, but the task is the stage {stage},"
    )
    assert codes(lint_changed(lambda spec, platform: (change(spec, platform), disable_caching(spec)))) == []


def test_every_stage_is_listed_as_having_a_side_effect_or_none():
    """Add a new stage without a side effect here, and one with a side effect to STAGES_WITH_SIDE_EFFECT."""
    pure = {
        "compare_models",
        "drift",
        "export",
        "fetch_champion",
        "fetch_model",
        "fleet_summary",
        "ingest",
        "preflight",
        "train",
        "verify",
    }
    stages = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert stages - pure - set(STAGES_WITH_SIDE_EFFECT) == set()


def test_caching_a_task_with_the_side_effect_annotation_is_reported():
    @dsl.pipeline(name="declared")
    def declared():
        sent = work(text="x", options={})
        kubernetes.add_pod_annotation(sent, "kfp-edge.io/side-effect", "sends the report")

    findings = [line for line in problem_lines(lint_text(compiler.compile_to_yaml(declared))) if "KE005" in line]
    assert findings == [
        "KE005 root.dag.tasks.work.cachingOptions.enableCache: caching is on, "
        "but the task has the annotation kfp-edge.io/side-effect: sends the report."
    ]


@pytest.mark.parametrize(
    ("command", "quoted"),
    [
        (["sh", "-c", "git -C repo push origin main"], "git -C repo push"),
        (["skopeo", "copy", "a", "b"], "skopeo copy"),
        (["sh", "-c", "oc -n edge apply -f x.yaml"], "oc -n edge apply"),
        (
            ["python", component_source("api.create_namespaced_custom_object(body=body)")],
            "create_namespaced_custom_object",
        ),
        (["python", component_source('boto3.client("s3").upload_file(a, b, c)')], "upload_file"),
        (["python", component_source('requests.post("https://example.com", json={})')], "requests.post"),
    ],
)
def test_caching_a_command_that_looks_like_a_side_effect_is_reported(command, quoted):
    (line,) = problem_lines(lint_changed(lambda spec, _: container(spec).update(command=command)))
    assert line.startswith("KE013 root.dag.tasks.work.cachingOptions.enableCache: ")
    assert f"`{quoted}`" in line
    assert codes(lint_changed(lambda spec, _: (container(spec).update(command=command), disable_caching(spec)))) == []


def test_retries_without_a_backoff_are_reported():
    @dsl.pipeline(name="hasty")
    def hasty():
        work(text="x", options={}).set_retry(2)

    findings = [line for line in problem_lines(lint_text(compiler.compile_to_yaml(hasty))) if "KE008" in line]
    assert findings == ["KE008 root.dag.tasks.work.retryPolicy: 2 retries without a pause."]


def test_a_limit_that_kfp_does_not_pass_into_a_block_is_reported_until_it_is_registered():
    def codes_with(registered):
        @dsl.pipeline(name="unregistered")
        def unregistered(cpu: str = "1"):
            with dsl.ExitHandler(count()):
                placed = work(text="x", options={}).set_cpu_limit(cpu)
                if registered:
                    placed.register_pipeline_channels([cpu])

        return codes(lint_text(compiler.compile_to_yaml(unregistered)))

    assert set(codes_with(registered=False)) == {"KE102"}
    assert "KE102" not in codes_with(registered=True)


@dsl.component(base_image=f"work{DIGEST}", install_kfp_package=False)
def count() -> int:
    return 1


def lint_condition(value):
    """Return what the rules on conditions report for a pipeline that compares with a value."""

    @dsl.pipeline(name="conditional")
    def pipeline(mode: str = "a"):
        counted = count()
        with dsl.If((counted.output if isinstance(value, int) else mode) == value):
            count()

    return [line for line in problem_lines(lint_text(compiler.compile_to_yaml(pipeline))) if re.match("KE012", line)]


@pytest.mark.parametrize("value", ["a", 3])
def test_a_condition_that_can_be_evaluated_is_not_reported(value):
    assert lint_condition(value) == []


@pytest.mark.parametrize(
    ("policy", "path", "part"),
    [
        ({"backoffFactor": 1.5}, ".backoffFactor", "is 1.5, and Argo takes whole numbers; write 2."),
        ({"backoffMaxDuration": None}, "", "has no backoffMaxDuration"),
        ({"backoffMaxDuration": "0s"}, "", "has no backoffMaxDuration"),
        ({"backoffDuration": "7200s"}, ".backoffMaxDuration", "is 3600 s, and the pause of 7200 s is no shorter"),
        ({"backoffDuration": "3600s"}, ".backoffMaxDuration", "write a longer time"),
    ],
)
def test_a_retry_that_argo_never_starts_is_reported(policy, path, part):
    retry = {"maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"} | policy
    (line,) = problem_lines(lint_changed(lambda spec, _: task(spec).update(retryPolicy=retry)))
    assert line.startswith(f"KE017 root.dag.tasks.work.retryPolicy{path}: ")
    assert part in line


@pytest.mark.parametrize(
    "retry",
    [
        {"maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"},
        {"maxRetryCount": 2, "backoffDuration": "30s", "backoffMaxDuration": "60s"},
        {"maxRetryCount": 0, "backoffFactor": 1.5},
        {"maxRetryCount": -1},
        {},
    ],
)
def test_a_retry_that_argo_starts_or_none_is_accepted(retry):
    assert codes(lint_changed(lambda spec, _: task(spec).update(retryPolicy=retry))) == []


@pytest.mark.parametrize("value", ["it's", "' or '", "'", "Bob's and Ann's"])
def test_a_text_with_a_quote_in_a_condition_is_reported(value):
    (line,) = lint_condition(value)
    assert line.startswith("KE012 ")


def lint_written_condition(condition):
    def change(spec, _):
        task(spec)["triggerPolicy"] = {"condition": condition}

    return [line for line in problem_lines(lint_changed(change)) if "KE012" in line]


INPUT = "inputs.parameter_values['text']"


@pytest.mark.parametrize(
    "condition",
    [
        f"{INPUT} == 'a'",
        f"!({INPUT} == 'a') && int({INPUT}) >= -3 || double({INPUT}) < 1.5e-3",
        f"{INPUT} in ['a', 'b']",
        f"{INPUT}.startsWith('a') ? true : false",
        f'{INPUT} == "it\'s"',
        f"{INPUT} == 'it\\'s'",
        f"parseJson({INPUT})['a'] == 1",
        f"[{INPUT}].exists(x, x == 'é')",
        "true",
        "",
    ],
)
def test_a_condition_in_cel_is_accepted(condition):
    assert lint_written_condition(condition) == []


@pytest.mark.parametrize(
    ("condition", "rest"),
    [
        ("not (1 and 2)", "and 2)"),
        (f"{INPUT} == 'a' and true", "and true"),
        (f"{INPUT} == ", "the end"),
        (f"{INPUT} = 'a'", "= 'a'"),
        ("inputs.parameter_values['text' == 'a'", "the end"),
        ("(true", "the end"),
        ("true)", ")"),
        ("True", "True"),
        ("mode == 'a'", "mode == 'a'"),
        ("f(,)", ",)"),
        ("1", "1"),
        ("('yes')", "('yes')"),
        (f"{INPUT} == 'a", "'a"),
    ],
)
def test_another_condition_is_reported_from_where_it_cannot_be_evaluated(condition, rest):
    (line,) = lint_written_condition(condition)
    path = "KE012 root.dag.tasks.work.triggerPolicy.condition"
    assert line.startswith(f"{path}: cannot be evaluated from `{rest}` on, and the run fails")
