"""The lint rules: each reports what violates it, and nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import dsl, kubernetes

from kfp_edge.rules import RULES, lint_text
from kfp_edge.rules.task_rules import STAGES_WITH_SIDE_EFFECT
from kfp_edge.spec import compiler
from support.paths import ROOT
from support.pipelines import (
    EXECUTOR,
    TEXT,
    codes,
    container,
    dump_yaml,
    executor_config,
    lint_changed,
    problem_lines,
    task,
    work,
)

DIGEST = "@sha256:" + "2" * 64
#: Invented, and split, so that no secret scanner reports them.
SECRETS = {
    "an AWS access key": "AKIA" + "Z7" * 8,
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a GitLab token": "glpat-" + "a1B2" * 5,
    "an OpenShift token": "sha256~" + "a" * 43,
    "a Hugging Face token": "hf_" + "aB" * 17,
    "a Slack token": "xoxb-" + "1" * 12,
    "a JSON web token": ".".join(("eyJhbGciOiJub25lIn0", "eyJzdWIiOiJtZSJ9", "c2lnbmF0dXJl")),
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nabc",
    "a password in a URL": "https://me:" + "hunter2@git.example.com/x",
}


def component_source(body: str, docstring: str = "Work.") -> str:
    """Return a component's code as KFP embeds it."""
    return f'\nimport kfp\nfrom kfp import dsl\n\ndef work():\n    """{docstring}"""\n    {body}\n'


def test_a_clean_pipeline_has_no_findings():
    report = lint_text(TEXT)
    assert problem_lines(report) == []
    assert [pipeline.name for pipeline in report.pipelines] == ["clean"]


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


def cached(spec):
    task(spec)["cachingOptions"] = {"enableCache": True}


def uncached(spec):
    task(spec)["cachingOptions"] = {}


@pytest.mark.parametrize("stage", STAGES_WITH_SIDE_EFFECT)
def test_caching_a_stage_with_a_side_effect_is_reported(stage):
    body = f"from kfp_edge.components.{stage}.{stage} import {stage}"

    def change(spec, _):
        container(spec)["command"] = ["python", component_source(body)]

    (line,) = problem_lines(lint_changed(change))
    assert line.startswith(
        f"KE005 root.dag.tasks.work.cachingOptions.enableCache: caching is on, but the task is the stage {stage},"
    )
    assert codes(lint_changed(lambda spec, platform: (change(spec, platform), uncached(spec)))) == []


def test_every_stage_is_listed_as_having_a_side_effect_or_none():
    """Add a new stage without a side effect here, and one with a side effect to STAGES_WITH_SIDE_EFFECT."""
    pure = {"export", "fetch_model", "fleet_summary", "ingest", "train", "verify"}
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
    assert codes(lint_changed(lambda spec, _: (container(spec).update(command=command), uncached(spec)))) == []


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_recognised_by_its_format_anywhere_and_not_repeated(kind):
    secret = SECRETS[kind]
    paths = {
        "root.inputDefinitions.parameters.text.defaultValue": lambda spec: spec["root"]["inputDefinitions"][
            "parameters"
        ]["text"].update(defaultValue=f"with {secret}"),
        f"{EXECUTOR}.env[0].value": lambda spec: container(spec).update(env=[{"name": "A", "value": secret}]),
        f"{EXECUTOR}.command[0]": lambda spec: container(spec).update(command=[f"echo {secret}"]),
    }
    for path, change in paths.items():
        report = lint_changed(lambda spec, _, change=change: change(spec))
        assert problem_lines(report) == [f"KE006 {path}: contains what looks like {kind}."]
        assert secret not in repr(report)


def test_a_secret_in_place_of_a_mapping_is_not_repeated():
    secret = SECRETS["a GitLab token"]
    report = lint_changed(lambda spec, _: container(spec).update(resources=secret))
    assert codes(report) == ["KE101"]
    assert secret not in repr(report)


def lint_variable(name, value):
    return lint_changed(lambda spec, _: container(spec).update(env=[{"name": name, "value": value}]))


@pytest.mark.parametrize(
    "name", ["PASSWORD", "db_password", "GIT_TOKEN", "AWS_SECRET_ACCESS_KEY", "apiKey", "client-secret", "secret"]
)
def test_a_value_whose_variable_is_named_like_a_secret_is_reported(name):
    assert problem_lines(lint_variable(name, "hunter2")) == [
        f"KE006 {EXECUTOR}.env[0].value: {name!r} has a value; by its name it is a secret."
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSWORD", ""),
        ("PASSWORD", "{{$.inputs.parameters['password']}}"),
        ("GIT_TOKEN", "${TOKEN}"),
        ("GIT_TOKEN_FILE", "/var/run/secrets/git/token"),
        ("GIT_TOKEN", "/var/run/secrets/git/token"),
        ("pull_secret", "quay-login"),
        ("secret_name", "quay-login"),
        ("max_tokens", "512"),
        ("pad_token", "[PAD]"),
        ("access_key_id", "minio"),
        ("monkey", "bars"),
    ],
)
def test_references_to_secrets_and_other_names_are_accepted(name, value):
    assert codes(lint_variable(name, value)) == []


def test_secrets_are_found_in_defaults_constants_and_nested_values():
    @dsl.pipeline(name="careless")
    def careless(token: str = "t0p", text: str = "x"):
        work(text=token, options={"registry": {"password": ["hunter2"]}, "depth": 3})

    paths = [
        line.split()[1] for line in problem_lines(lint_text(compiler.compile_to_yaml(careless))) if "KE006" in line
    ]
    assert sorted(paths) == [
        "root.dag.tasks.work.inputs.parameters.options.runtimeValue.constant.registry.password[0]:",
        "root.inputDefinitions.parameters.token.defaultValue:",
    ]


def test_a_parameter_with_the_name_of_a_kubernetes_secret_is_accepted():
    @dsl.pipeline(name="careful")
    def careful(secret: str = "quay-login"):
        kubernetes.use_secret_as_env(work(text="x", options={}), secret, {"password": "PASSWORD"})

    assert not {"KE006", "KE009"} & set(codes(lint_text(compiler.compile_to_yaml(careful))))


@pytest.mark.parametrize("key", ["secretAsEnv", "secretAsVolume", "imagePullSecret"])
def test_a_fixed_name_of_a_kubernetes_secret_is_reported(key):
    fixed = [{"secretNameParameter": {"runtimeValue": {"constant": "quay-login"}}}]
    for reference in (fixed, [{"secretName": "quay-login"}]):
        (line,) = problem_lines(
            lint_changed(lambda _, platform, reference=reference: executor_config(platform).update({key: reference}))
        )
        assert line.startswith(f"KE009 platforms.kubernetes.deploymentSpec.executors.exec-work-2.{key}[0]: ")


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

    return [line for line in problem_lines(lint_text(compiler.compile_to_yaml(pipeline))) if re.match("KE01[12]", line)]


def test_a_condition_on_a_text_is_reported_and_one_on_a_number_is_not():
    (line,) = lint_condition("a")
    assert line.startswith("KE011 root.dag.tasks.condition-1.triggerPolicy.condition: 'mode' is a text;")
    assert lint_condition(3) == []


@pytest.mark.parametrize("value", ["it's", "' or '", "'", "Bob's and Ann's"])
def test_a_text_with_a_quote_in_a_condition_is_reported(value):
    (line,) = lint_condition(value)
    assert line.startswith("KE012 ")


@pytest.mark.parametrize("code", ["KE001", "KE002"])
def test_a_rule_can_be_ignored(code):
    def change(spec, _):
        container(spec).update(image="work:1")
        container(spec)["resources"].pop("cpuLimit")
        container(spec)["resources"].pop("resourceCpuLimit")

    assert codes(lint_changed(change)) == ["KE001", "KE002"]
    assert code not in codes(lint_changed(change, ignore=(code,)))


WITH_TAG = TEXT.replace("image: quay.io/plant/work@sha256:" + "1" * 64, "image: quay.io/plant/work:1", 1)


def test_a_comment_at_the_end_of_a_line_suppresses_findings_on_it():
    report = lint_text(WITH_TAG.replace("work:1\n", "work:1  # kfp-edge: ignore KE001 because it is a test\n"))
    assert problem_lines(report) == []
    assert [problem.suppression_reason for problem in report.problems] == ["it is a test"]


def test_a_comment_at_the_end_of_a_line_suppresses_findings_nested_under_it():
    comment = "exec-work: # kfp-edge: ignore KE002, KE001 because it is a test\n"
    report = lint_text(WITH_TAG.replace("exec-work:\n", comment, 1))
    assert problem_lines(report) == ["KE099 : nothing here violates KE002; remove the comment."]


def test_a_comment_on_another_line_suppresses_nothing_here():
    comment = "exec-work-2: # kfp-edge: ignore KE001 because it is a test\n"
    assert codes(lint_text(WITH_TAG.replace("exec-work-2:\n", comment, 1))) == ["KE001", "KE099"]


def test_a_comment_on_its_own_line_applies_to_the_file():
    assert problem_lines(lint_text(f"# kfp-edge: ignore KE001 because it is a test\n{WITH_TAG}")) == []
    assert problem_lines(lint_text(f"{WITH_TAG}\n  # kfp-edge: ignore KE001 because it is a test\n")) == []


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("ignore KE001", "cannot be parsed; write"),
        ("ignore KE001 because", "cannot be parsed; write"),
        ("ignore all because I say so", "cannot be parsed; write"),
        ("ignore KE042 because it is a test", "there is no rule KE042."),
        ("ignore KE101 because it is a test", "KE101 cannot be ignored"),
        ("ignore KE014 because it is a test", "nothing here violates KE014"),
    ],
)
def test_a_comment_that_suppresses_nothing_is_reported_with_its_line(comment, message):
    report = lint_text(f"{TEXT}# kfp-edge: {comment}\n")
    (problem,) = report.problems
    assert problem.finding.code == "KE099"
    assert message in problem.finding.message
    assert problem.position.line == TEXT.count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        '"one # kfp-edge: ignore KE001 because"',
        "'one\n\n        # kfp-edge: ignore KE001 because\n\n        two'",
        "|\n          # kfp-edge: ignore KE001 because\n",
    ],
)
def test_what_looks_like_a_comment_inside_a_text_is_ignored(text):
    report = lint_text(TEXT.replace("defaultValue: x\n", f"defaultValue: {text}\n", 1))
    assert problem_lines(report) == []


def test_a_comment_after_a_block_scalar_indicator_applies():
    text = "| # kfp-edge: ignore KE006 because it is a test\n          " + SECRETS["a GitLab token"]
    report = lint_text(TEXT.replace("defaultValue: x\n", f"defaultValue: {text}\n", 1))
    assert [(problem.finding.code, problem.suppression_reason) for problem in report.problems] == [
        ("KE006", "it is a test")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_problem_has_the_line_and_column_that_an_editor_shows(encoding, end):
    text = f"# Größe 🏭\n{WITH_TAG}".replace("\n", end)
    (problem,) = lint_text(text.encode(encoding)).problems
    line = text.splitlines()[problem.position.line - 1]
    assert line[problem.position.column - 1 :].startswith("image: quay.io/plant/work:1")


def test_problems_are_sorted_by_line():
    def change(spec, _):
        container(spec).pop("resources")
        container(spec).update(image="work")
        uncached(spec)

    report = lint_changed(change)
    positions = [problem.position for problem in report.problems]
    assert len(positions) == 3
    assert positions == sorted(positions)


def test_problems_in_kubernetes_manifests_have_positions():
    spec = yaml.safe_load(WITH_TAG.split("---")[0])
    manifest = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "spec": {"pipelineSpec": spec},
    }
    pipeline = {"apiVersion": "pipelines.kubeflow.org/v2beta1", "kind": "Pipeline"}
    both = lint_text(dump_yaml(pipeline, manifest))
    (problem,) = both.problems
    assert problem.finding.path == f"documents[2].spec.pipelineSpec.{EXECUTOR}.image"
    assert (
        dump_yaml(pipeline, manifest).splitlines()[problem.position.line - 1].strip() == "image: quay.io/plant/work:1"
    )


def test_what_a_backend_refuses_is_reported_alone_and_with_its_line():
    report = lint_text(
        WITH_TAG.replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0", 1).replace("sdkVersion", "skdVersion")
    )
    assert codes(report) == ["KE103", "KE101"] or codes(report) == ["KE101", "KE103"]
    assert all(problem.position for problem in report.problems)


@pytest.mark.parametrize(
    "text",
    ["", "a: [1", "- a\n", "root: {}\ndeploymentSpec: &a\n  b: *a\n", "[" * 5000],
    ids=["empty", "not YAML", "a list", "an alias to itself", "too deep"],
)
def test_a_file_that_is_not_a_pipeline_is_one_problem(text):
    assert codes(lint_text(text))[0].startswith("KE10")


def test_our_pipelines_are_clean_once_their_image_has_a_digest(tmp_path):
    done = subprocess.run(
        [Path(sys.executable).with_name("kfp-edge"), "compile", "--output", tmp_path],
        env={**os.environ, "KFP_EDGE_RUNTIME_IMAGE": f"quay.io/kfp-edge/runtime{DIGEST}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name: problem_lines(lint_text(path.read_bytes())) for path in tmp_path.glob("*.yaml")} == {
        f"{name}.yaml": [] for name in compiler.pipeline_names()
    }


def test_the_document_lists_every_rule_with_the_text_of_explain():
    _, _, rules = (ROOT / "docs" / "rules.md").read_text().partition("## The rules\n\n")
    sections = [f"### {rule.heading}\n\n{rule.why}\n\n{rule.fix}\n" for rule in RULES.values()]
    assert rules.split() == "\n".join(sections).split()


def test_a_rule_has_a_code_and_complete_sentences():
    for code, rule in RULES.items():
        assert re.fullmatch(r"KE\d{3}", code)
        assert rule.why.endswith((".", ")"))
        assert rule.fix.endswith((".", ")."))
