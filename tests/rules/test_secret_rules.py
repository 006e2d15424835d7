"""The rules on secrets: values by format or name, and fixed names of Secrets."""

import pytest
from kfp import dsl, kubernetes

from kfp_edge.rules import lint_text
from kfp_edge.spec.compiling import compiler
from support.pipelines import (
    EXECUTOR,
    codes,
    container,
    executor_config,
    lint_changed,
    problem_lines,
    work,
)

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
    "a signed URL": "https://data.example.com/a.csv?sv=1&sig=" + "Zm9vYmFyZm9vYmFy",
    "a password in a URL": "https://me:" + "hunter2@git.example.com/x",
}


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


@pytest.mark.parametrize(
    ("key", "rest"), [("secretAsEnv", {}), ("secretAsVolume", {"mountPath": "/login"}), ("imagePullSecret", {})]
)
def test_a_fixed_name_of_a_kubernetes_secret_is_reported(key, rest):
    fixed = {"secretNameParameter": {"runtimeValue": {"constant": "quay-login"}}}
    for name in (fixed, {"secretName": "quay-login"}):
        reference = [name | rest]
        (line,) = problem_lines(
            lint_changed(lambda _, platform, reference=reference: executor_config(platform).update({key: reference}))
        )
        assert line.startswith(f"KE009 platforms.kubernetes.deploymentSpec.executors.exec-work-2.{key}[0]: ")
