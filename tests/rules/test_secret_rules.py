"""The rules on secrets: values by format or name, and fixed names of Secrets."""

import base64
import json

import pytest
from kfp import dsl, kubernetes

from kfp_edge.rules import lint_text
from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.secret_patterns import detect_secret
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
    "an API key": "sk-" + "aB3d" * 12,
    "a Google API key": "AIza" + "Sy1" * 11 + "ab",
    "a key of an AI service": "nvapi-" + "aB1_" * 16,
    "an Azure key": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "Zm9v" * 20 + "==;",
    "an AWS secret key": "aws_secret_access_key = " + "aB1/" * 10,
    "a Slack webhook": "https://hooks.slack.com/services/T" + "0ABCDEF1/B0ABCDEF1/" + "aB1" * 8,
    "an authorization header": "Authorization: Bearer " + "ab1" * 10,
    "a login of a netrc file": "machine example.com login me password " + "hunter2",
    "a password in a connection string": "jdbc:postgresql://db/x?user=me&password=" + "hunter2",
    "a login of a registry": json.dumps({"auths": {"quay.io": {"auth": "bWU6" + "aHVudGVyMg=="}}}),
}
#: Other forms of the same kinds.
OTHER_FORMS = {
    "sk-proj-" + "aB3_" * 10: "an API key",
    "sk-ant-api03-" + "aB3-" * 10: "an API key",
    "gsk_" + "aB1d" * 13: "a key of an AI service",
    "xai-" + "aB1d" * 20: "a key of an AI service",
    "r8_" + "aB1d" * 9 + "e": "a key of an AI service",
    "pplx-" + "aB1d" * 12: "a key of an AI service",
    "lsv2_pt_" + "a1b2" * 8 + "_" + "a1b2" * 2 + "c3": "a key of an AI service",
    "github_pat_" + "a1B2" * 6: "a GitHub token",
    "Driver={SQL};Server=db;UID=sa;PWD=" + "hunter2": "a password in a connection string",
    "Authorization: Basic " + "bWU6aHVudGVyMg==": "an authorization header",
    base64.b64encode(json.dumps({"auths": {"q": {"password": "hunter2"}}}).encode()).decode(): "a login of a registry",
    base64.b64encode(("-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow").encode()).decode(): "a private key",
    "-----BEGIN " + "PRIVATE KEY-----\\nMIIEow": "a private key",
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


@pytest.mark.parametrize("secret", OTHER_FORMS)
def test_other_forms_of_a_secret_are_recognized(secret):
    assert detect_secret(f"x {secret} y") == OTHER_FORMS[secret]


@pytest.mark.parametrize(
    "text",
    [
        "https://user:password@example.com",
        "postgres://user:%s@db/x",
        "postgres://{user}:{password}@db/x",
        "if '-----BEGIN PRIVATE KEY-----' in text:",
        "sk-learn-random-forest-classifier",
        "AccountKey=<key>",
        "bearer token required for authentication",
        "Server=db;Database=d;Trusted_Connection=yes",
        "quay.io/plant/a@sha256:" + "1a" * 32,
        "https://example.com/x?token=changeme",
        "glpat-xxxxxxxxxxxxxxxxxxxx",
        "hf_" + "x" * 34,
        "s3://plant/a?versionId=3sL4kqtJlcpXroDTDmJ",
        "host=db password=$PGPASSWORD user=me",
        '{"auths": {"quay.io": {"auth": "${AUTH}"}}}',
        base64.b64encode(b'{"auths": {}, "other": "text that is long"}').decode(),
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIEow").decode(),
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # as the documentation of AWS has it
        "nvapi-nemotron-70b-instruct",
        "xai-shap-values",
    ],
)
def test_a_placeholder_a_reference_or_other_text_is_no_secret(text):
    assert detect_secret(text) == ""


@pytest.mark.parametrize(
    "text", ["sk-proj-", "host=", "a://", "x.", "{'auths': ", "machine a login ", "bearer ", "-----BEGIN A "]
)
def test_a_long_text_that_resembles_secrets_is_read_in_linear_time(text):
    # quadratic, any of these would take minutes
    assert detect_secret(text * (80_000 // len(text)) + "?sig= password=") == ""


def test_a_login_of_a_registry_is_found_in_a_mapping_too():
    value = {"auths": {"quay.io": {"username": "me", "auth": "bWU6" + "aHVudGVyMg=="}}}
    (line,) = problem_lines(
        lint_changed(
            lambda spec, _: spec["root"]["dag"]["tasks"]["work"]["inputs"]["parameters"]["options"].update(
                runtimeValue={"constant": value}
            )
        )
    )
    assert line.endswith("options.runtimeValue.constant: contains what looks like a login of a registry.")


def test_a_secret_in_place_of_a_mapping_is_not_repeated():
    secret = SECRETS["a GitLab token"]
    report = lint_changed(lambda spec, _: container(spec).update(resources=secret))
    assert codes(report) == ["KE101"]
    assert secret not in repr(report)


def lint_variable(name, value):
    return lint_changed(lambda spec, _: container(spec).update(env=[{"name": name, "value": value}]))


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "db_password", "PGPASSWORD", "DB_PASS", "dbpass", "SSHPASS", "MYSQL_PWD", "PASSPHRASE"),
        *("password2", "DB_PASSWORD_1"),
        *("GIT_TOKEN", "accessToken", "GITHUB_PAT", "DB_CREDENTIALS"),
        *("AWS_SECRET_ACCESS_KEY", "ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "ENCRYPTION_KEY", "apiKey", "x-api-key"),
        *("secret", "client-secret", "JWT_SECRET", "SECRET_KEY_BASE", "DJANGO_SECRET_KEY"),
    ],
)
def test_a_value_whose_variable_is_named_like_a_secret_is_reported(name):
    assert problem_lines(lint_variable(name, "hunter2")) == [
        f"KE006 {EXECUTOR}.env[0].value: {name!r} has a value; by its name it is a secret."
    ]


@pytest.mark.parametrize("value", ["hunter", "correct horse battery", "123456", "Winter2026!"])
def test_every_text_may_be_a_password(value):
    assert codes(lint_variable("DB_PASSWORD", value)) == ["KE006"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSWORD", ""),
        ("PASSWORD", "{{$.inputs.parameters['password']}}"),
        ("PASSWORD", "changeme"),
        ("PASSWORD", "<password>"),
        ("PASSWORD", "your-password"),
        ("PASSWORD", "********"),
        ("PASSWORD_FILE", "/run/secrets/x"),
        ("PASSWORD_POLICY", "min8"),
        ("HAS_PASSWORD", "true"),
        ("PWD", "/work"),
        ("GIT_TOKEN", "${TOKEN}"),
        ("GIT_TOKEN", "$TOKEN"),
        ("GIT_TOKEN", "env:TOKEN"),
        ("GIT_TOKEN_FILE", "/var/run/secrets/git/token"),
        ("GIT_TOKEN", "/var/run/secrets/git/token"),
        ("TOKEN", "default"),
        ("token", "[MASK]"),
        ("TOKEN_SECRET_NAME", "quay1"),
        ("TOKEN_TYPE", "bearer1"),
        ("api_key", "none"),
        ("api_key", "vault:secret/data/plant#key"),
        ("pull_secret", "quay-login"),
        ("jwt_secret", "plant-jwt"),
        ("credentials", "quay-login"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/var/run/key.json"),
        ("secret_name", "quay-login"),
        ("secretName", "quay-login"),
        ("max_tokens", "512"),
        ("max_token", "512a"),
        ("tokenizer", "bert1"),
        ("pad_token", "[PAD]"),
        ("access_key_id", "minio"),
        ("sort_key", "a1"),
        ("public_key", "ssh-rsa AAAA1"),
        ("monkey", "bars1"),
        ("author", "me1"),
        ("compass", "north1"),
        ("passes", "3"),
        ("passed", "a1"),
        ("bypass", "a1"),
        ("low_pass", "0.5x"),
    ],
)
def test_references_to_secrets_and_other_names_are_accepted(name, value):
    assert codes(lint_variable(name, value)) == []


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["login", "--password", "hunter2"], "args[2]"),
        (["login", "--api-key=abc123"], "args[1]"),
        (["login", "--password-file", "/run/secrets/x"], ""),
        (["login", "--password", "{{$.inputs.parameters['text']}}"], ""),
        (["login", "--password", "--force"], ""),
        (["--tokenizer", "bert1", "--max-tokens", "512"], ""),
    ],
)
def test_an_option_of_a_command_is_a_secret_by_its_name(words, path):
    paths = [
        line.split()[1].rstrip(":")
        for line in problem_lines(lint_changed(lambda spec, _: container(spec).update(args=words)))
    ]
    assert paths == ([f"{EXECUTOR}.{path}"] if path else [])


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
