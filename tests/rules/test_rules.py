"""The rules over compiled pipelines: each is met by what it is against, and by nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import dsl, kubernetes

from kfp_edge.rules import RULES, lint_text
from kfp_edge.rules.tasks import STAGES_WITH_EFFECT
from kfp_edge.spec import compilation
from support.paths import ROOT
from support.pipelines import EXECUTOR, TEXT, changed, codes, container, dumped, executor_config, task, told, work

DIGEST = "@sha256:" + "2" * 64
#: Made up, and in pieces, so that nobody's scanner takes them for real.
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


def source_of(body: str, docstring: str = "Work.") -> str:
    """A component's code as KFP embeds it."""
    return f'\nimport kfp\nfrom kfp import dsl\n\ndef work():\n    """{docstring}"""\n    {body}\n'


def test_a_pipeline_that_is_in_order_meets_no_rule():
    lint = lint_text(TEXT)
    assert told(lint) == []
    assert [pipeline.name for pipeline in lint.pipelines] == ["in-order"]


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
def test_an_image_that_can_become_another_is_told(image, code):
    lint = changed(lambda spec, _: container(spec).update(image=image))
    (line,) = told(lint)
    assert line.startswith(f"{code} {EXECUTOR}.image: {image} ")


@pytest.mark.parametrize(
    "image", [f"work{DIGEST}", f"quay.io/plant/work:1.4{DIGEST}", "{{$.inputs.parameters['pipelinechannel--image']}}"]
)
def test_an_image_by_digest_or_by_parameter_is_fine(image):
    assert codes(changed(lambda spec, _: container(spec).update(image=image))) == []


MEMORY_LIMITS = ("memoryLimit", "resourceMemoryLimit")


def test_missing_limits_and_requests_are_told_where_they_belong():
    limits = changed(
        lambda spec, _: container(spec).update(resources={"resourceCpuRequest": "1", "memoryRequest": 1.0})
    )
    nothing = changed(lambda spec, _: container(spec).pop("resources"))
    memory = changed(lambda spec, _: [container(spec)["resources"].pop(key) for key in MEMORY_LIMITS])
    assert told(limits) == [f"KE002 {EXECUTOR}.resources: there is no CPU and no memory limit."]
    assert told(memory) == [f"KE002 {EXECUTOR}.resources: there is no memory limit."]
    assert [line.split(":")[0] for line in told(nothing)] == [f"KE002 {EXECUTOR}", f"KE003 {EXECUTOR}"]


def test_limits_that_are_parameters_of_the_pipeline_are_limits():
    @dsl.pipeline(name="by-parameter")
    def by_parameter(cpu: str = "1", memory: str = "1Gi"):
        placed = work(text="x", options={}).set_cpu_limit(cpu).set_memory_limit(memory)
        placed.set_cpu_request(cpu).set_memory_request(memory)

    assert codes(lint_text(compilation.compile_text(by_parameter))) == []


def test_kfp_s_own_way_to_install_packages_is_told():
    @dsl.component(base_image=f"python{DIGEST}", packages_to_install=["pandas"])
    def installs():
        print("pip")

    @dsl.component(base_image=f"python{DIGEST}")
    def installs_kfp():
        print("pip")

    for component in (installs, installs_kfp):
        lint = lint_text(compilation.compile_text(component))
        assert [line for line in told(lint) if "KE004" in line and "`pip install` runs" in line], told(lint)


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "apt-get update && apt-get -y install git"],
        ["pip", "install", "pandas"],
        ["sh", "-c", "uv pip install --no-deps pandas"],
        ["python", source_of('subprocess.run([sys.executable, "-m", "pip", "install", "pandas"])')],
        ["python", source_of('os.system("pip3 install pandas")')],
    ],
)
def test_packages_installed_at_start_up_are_told(command):
    assert codes(changed(lambda spec, _: container(spec).update(command=command))) == ["KE004"]


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "# pip install pandas\ntrue"],
        ["python", source_of("pass", docstring="Needs no pip install, no git push.")],
        ["python", source_of("pass  # pip install pandas")],
        ["pip", "list"],
        ["installer", "run"],
    ],
)
def test_what_only_speaks_of_installing_is_fine(command):
    assert codes(changed(lambda spec, _: container(spec).update(command=command))) == []


def cached(spec):
    task(spec)["cachingOptions"] = {"enableCache": True}


def uncached(spec):
    task(spec)["cachingOptions"] = {}


@pytest.mark.parametrize("stage", STAGES_WITH_EFFECT)
def test_a_stage_of_ours_with_a_side_effect_must_not_be_cached(stage):
    body = f"from kfp_edge.components.{stage}.{stage} import {stage}"

    def change(spec, _):
        container(spec)["command"] = ["python", source_of(body)]

    (line,) = told(changed(change))
    assert line.startswith(
        f"KE005 root.dag.tasks.work.cachingOptions.enableCache: caching is on, but the task is the stage {stage},"
    )
    assert codes(changed(lambda spec, platform: (change(spec, platform), uncached(spec)))) == []


def test_every_stage_of_ours_is_known_to_have_a_side_effect_or_none():
    """A new stage: say here that it has none, or in STAGES_WITH_EFFECT that it has one."""
    pure = {"export", "fetch_model", "fleet_summary", "ingest", "train", "verify"}
    stages = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert stages - pure - set(STAGES_WITH_EFFECT) == set()


def test_a_component_declares_its_side_effect_with_an_annotation():
    @dsl.pipeline(name="declared")
    def declared():
        sent = work(text="x", options={})
        kubernetes.add_pod_annotation(sent, "kfp-edge.io/side-effect", "sends the report")

    findings = [line for line in told(lint_text(compilation.compile_text(declared))) if "KE005" in line]
    assert findings == [
        "KE005 root.dag.tasks.work.cachingOptions.enableCache: caching is on, "
        "but the task has the annotation kfp-edge.io/side-effect: sends the report."
    ]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["sh", "-c", "git -C repo push origin main"], "git -C repo push"),
        (["skopeo", "copy", "a", "b"], "skopeo copy"),
        (["sh", "-c", "oc -n edge apply -f x.yaml"], "oc -n edge apply"),
        (["python", source_of("api.create_namespaced_custom_object(body=body)")], "create_namespaced_custom_object"),
        (["python", source_of('boto3.client("s3").upload_file(a, b, c)')], "upload_file"),
        (["python", source_of('requests.post("https://example.com", json={})')], "requests.post"),
    ],
)
def test_what_looks_like_a_side_effect_must_not_be_cached_either(command, shown):
    (line,) = told(changed(lambda spec, _: container(spec).update(command=command)))
    assert line.startswith("KE013 root.dag.tasks.work.cachingOptions.enableCache: ")
    assert f"`{shown}`" in line
    assert codes(changed(lambda spec, _: (container(spec).update(command=command), uncached(spec)))) == []


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_told_by_its_format_wherever_it_stands_and_never_repeated(kind):
    secret = SECRETS[kind]
    places = {
        "root.inputDefinitions.parameters.text.defaultValue": lambda spec: spec["root"]["inputDefinitions"][
            "parameters"
        ]["text"].update(defaultValue=f"with {secret}"),
        f"{EXECUTOR}.env[0].value": lambda spec: container(spec).update(env=[{"name": "A", "value": secret}]),
        f"{EXECUTOR}.command[0]": lambda spec: container(spec).update(command=[f"echo {secret}"]),
    }
    for place, change in places.items():
        lint = changed(lambda spec, _, change=change: change(spec))
        assert told(lint) == [f"KE006 {place}: holds what looks like {kind}."]
        assert secret not in repr(lint)


def test_a_secret_where_a_mapping_should_be_is_not_repeated_either():
    secret = SECRETS["a GitLab token"]
    lint = changed(lambda spec, _: container(spec).update(resources=secret))
    assert codes(lint) == ["KE101"]
    assert secret not in repr(lint)


def named(name, value):
    return changed(lambda spec, _: container(spec).update(env=[{"name": name, "value": value}]))


@pytest.mark.parametrize(
    "name", ["PASSWORD", "db_password", "GIT_TOKEN", "AWS_SECRET_ACCESS_KEY", "apiKey", "client-secret", "secret"]
)
def test_a_value_with_the_name_of_a_secret_is_told(name):
    assert told(named(name, "hunter2")) == [
        f"KE006 {EXECUTOR}.env[0].value: {name!r} is given a value; by its name it is a secret."
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
def test_what_is_no_secret_or_only_points_to_one_is_fine(name, value):
    assert codes(named(name, value)) == []


def test_secrets_are_found_in_defaults_constants_and_inside_mappings():
    @dsl.pipeline(name="careless")
    def careless(token: str = "t0p", text: str = "x"):
        work(text=token, options={"registry": {"password": ["hunter2"]}, "depth": 3})

    places = [line.split()[1] for line in told(lint_text(compilation.compile_text(careless))) if "KE006" in line]
    assert sorted(places) == [
        "root.dag.tasks.work.inputs.parameters.options.runtimeValue.constant.registry.password[0]:",
        "root.inputDefinitions.parameters.token.defaultValue:",
    ]


def test_a_parameter_that_names_a_secret_of_the_namespace_is_no_secret():
    @dsl.pipeline(name="careful")
    def careful(secret: str = "quay-login"):
        kubernetes.use_secret_as_env(work(text="x", options={}), secret, {"password": "PASSWORD"})

    assert not {"KE006", "KE009"} & set(codes(lint_text(compilation.compile_text(careful))))


@pytest.mark.parametrize("key", ["secretAsEnv", "secretAsVolume", "imagePullSecret"])
def test_the_name_of_a_secret_that_the_yaml_fixes_is_told(key):
    fixed = [{"secretNameParameter": {"runtimeValue": {"constant": "quay-login"}}}]
    for reference in (fixed, [{"secretName": "quay-login"}]):
        (line,) = told(
            changed(lambda _, platform, reference=reference: executor_config(platform).update({key: reference}))
        )
        assert line.startswith(f"KE009 platforms.kubernetes.deploymentSpec.executors.exec-work-2.{key}[0]: ")


@pytest.mark.parametrize("user", [0, 1001])
def test_a_user_of_the_pipeline_s_own_choice_is_told(user):
    lint = changed(lambda _, platform: executor_config(platform).update(securityContext={"runAsUser": str(user)}))
    (line,) = told(lint)
    assert line.startswith("KE010 ")
    assert f"run as user {user};" in line


def test_building_an_image_inside_the_pod_is_told():
    assert codes(changed(lambda spec, _: container(spec).update(command=["buildah", "bud", "."]))) == ["KE014"]


def test_retries_without_a_pause_are_told():
    @dsl.pipeline(name="hasty")
    def hasty():
        work(text="x", options={}).set_retry(2)

    findings = [line for line in told(lint_text(compilation.compile_text(hasty))) if "KE008" in line]
    assert findings == ["KE008 root.dag.tasks.work.retryPolicy: 2 retries without a pause."]


def test_a_limit_that_kfp_forgets_to_hand_into_a_block_is_told_until_it_is_registered():
    def codes_with(registered):
        @dsl.pipeline(name="forgotten")
        def forgotten(cpu: str = "1"):
            with dsl.ExitHandler(count()):
                placed = work(text="x", options={}).set_cpu_limit(cpu)
                if registered:
                    placed.register_pipeline_channels([cpu])

        return codes(lint_text(compilation.compile_text(forgotten)))

    assert set(codes_with(registered=False)) == {"KE102"}
    assert "KE102" not in codes_with(registered=True)


@dsl.component(base_image=f"work{DIGEST}", install_kfp_package=False)
def count() -> int:
    return 1


def conditional(value):
    """What the rules on conditions say of a pipeline that compares with a value."""

    @dsl.pipeline(name="conditional")
    def pipeline(mode: str = "a"):
        counted = count()
        with dsl.If((counted.output if isinstance(value, int) else mode) == value):
            count()

    return [line for line in told(lint_text(compilation.compile_text(pipeline))) if re.match("KE01[12]", line)]


def test_a_condition_on_a_text_is_told_and_one_on_a_number_is_not():
    (line,) = conditional("a")
    assert line.startswith("KE011 root.dag.tasks.condition-1.triggerPolicy.condition: 'mode' is a text;")
    assert conditional(3) == []


@pytest.mark.parametrize("value", ["it's", "' or '", "'", "Bob's and Ann's"])
def test_a_text_with_a_quote_in_a_condition_is_told(value):
    (line,) = conditional(value)
    assert line.startswith("KE012 ")


@pytest.mark.parametrize("code", ["KE001", "KE002"])
def test_a_rule_can_be_left_out(code):
    def change(spec, _):
        container(spec).update(image="work:1")
        container(spec)["resources"].pop("cpuLimit")
        container(spec)["resources"].pop("resourceCpuLimit")

    assert codes(changed(change)) == ["KE001", "KE002"]
    assert code not in codes(changed(change, ignore=(code,)))


WITH_TAG = TEXT.replace("image: quay.io/plant/work@sha256:" + "1" * 64, "image: quay.io/plant/work:1", 1)


def test_a_comment_at_the_end_of_a_line_allows_what_stands_there():
    lint = lint_text(WITH_TAG.replace("work:1\n", "work:1  # kfp-edge: ignore KE001 because it is a test\n"))
    assert told(lint) == []
    assert [problem.allowed for problem in lint.problems] == ["it is a test"]


def test_a_comment_at_the_end_of_a_line_allows_what_is_nested_under_it():
    comment = "exec-work: # kfp-edge: ignore KE002, KE001 because it is a test\n"
    lint = lint_text(WITH_TAG.replace("exec-work:\n", comment, 1))
    assert told(lint) == ["KE099 : nothing here is against KE002; remove the comment."]


def test_a_comment_for_another_line_allows_nothing_here():
    comment = "exec-work-2: # kfp-edge: ignore KE001 because it is a test\n"
    assert codes(lint_text(WITH_TAG.replace("exec-work-2:\n", comment, 1))) == ["KE001", "KE099"]


def test_a_comment_on_a_line_of_its_own_allows_for_the_file():
    assert told(lint_text(f"# kfp-edge: ignore KE001 because it is a test\n{WITH_TAG}")) == []
    assert told(lint_text(f"{WITH_TAG}\n  # kfp-edge: ignore KE001 because it is a test\n")) == []


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("ignore KE001", "is not understood; write"),
        ("ignore KE001 because", "is not understood; write"),
        ("ignore all because I say so", "is not understood; write"),
        ("ignore KE042 because it is a test", "there is no rule KE042."),
        ("ignore KE101 because it is a test", "KE101 cannot be ignored"),
        ("ignore KE014 because it is a test", "nothing here is against KE014"),
    ],
)
def test_a_comment_that_allows_nothing_is_told_with_its_line(comment, said):
    lint = lint_text(f"{TEXT}# kfp-edge: {comment}\n")
    (problem,) = lint.problems
    assert problem.finding.code == "KE099"
    assert said in problem.finding.message
    assert problem.place.line == TEXT.count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        '"one # kfp-edge: ignore KE001 because"',
        "'one\n\n        # kfp-edge: ignore KE001 because\n\n        two'",
        "|\n          # kfp-edge: ignore KE001 because\n",
    ],
)
def test_what_looks_like_a_comment_inside_a_text_is_none(text):
    lint = lint_text(TEXT.replace("defaultValue: x\n", f"defaultValue: {text}\n", 1))
    assert told(lint) == []


def test_a_comment_beside_the_mark_of_a_block_of_text_is_one():
    text = "| # kfp-edge: ignore KE006 because it is a test\n          " + SECRETS["a GitLab token"]
    lint = lint_text(TEXT.replace("defaultValue: x\n", f"defaultValue: {text}\n", 1))
    assert [(problem.finding.code, problem.allowed) for problem in lint.problems] == [("KE006", "it is a test")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_problem_has_the_line_and_column_that_an_editor_shows(encoding, end):
    text = f"# Größe 🏭\n{WITH_TAG}".replace("\n", end)
    (problem,) = lint_text(text.encode(encoding)).problems
    line = text.splitlines()[problem.place.line - 1]
    assert line[problem.place.column - 1 :].startswith("image: quay.io/plant/work:1")


def test_problems_stand_in_the_order_of_the_lines():
    def change(spec, _):
        container(spec).pop("resources")
        container(spec).update(image="work")
        uncached(spec)

    lint = changed(change)
    places = [problem.place for problem in lint.problems]
    assert len(places) == 3
    assert places == sorted(places)


def test_json_and_kubernetes_manifests_have_places_too():
    spec = yaml.safe_load(WITH_TAG.split("---")[0])
    manifest = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "spec": {"pipelineSpec": spec},
    }
    pipeline = {"apiVersion": "pipelines.kubeflow.org/v2beta1", "kind": "Pipeline"}
    both = lint_text(dumped(pipeline, manifest))
    (problem,) = both.problems
    assert problem.finding.path == f"documents[2].spec.pipelineSpec.{EXECUTOR}.image"
    assert dumped(pipeline, manifest).splitlines()[problem.place.line - 1].strip() == "image: quay.io/plant/work:1"


def test_what_a_backend_refuses_is_told_alone_and_with_its_line():
    lint = lint_text(
        WITH_TAG.replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0", 1).replace("sdkVersion", "skdVersion")
    )
    assert codes(lint) == ["KE103", "KE101"] or codes(lint) == ["KE101", "KE103"]
    assert all(problem.place for problem in lint.problems)


@pytest.mark.parametrize("text", ["", "a: [1", "- a\n", "root: {}\ndeploymentSpec: &a\n  b: *a\n", "[" * 5000])
def test_a_file_that_is_no_pipeline_is_one_problem(text):
    assert codes(lint_text(text))[0].startswith("KE10")


def test_our_own_pipelines_are_clean_once_their_image_has_a_digest(tmp_path):
    done = subprocess.run(
        [Path(sys.executable).with_name("kfp-edge"), "compile", "--output", tmp_path],
        env={**os.environ, "KFP_EDGE_RUNTIME_IMAGE": f"quay.io/kfp-edge/runtime{DIGEST}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name: told(lint_text(path.read_bytes())) for path in tmp_path.glob("*.yaml")} == {
        f"{name}.yaml": [] for name in compilation.names()
    }


def test_the_document_lists_every_rule_in_the_words_of_explain():
    _, _, listed = (ROOT / "docs" / "rules.md").read_text().partition("## The rules\n\n")
    told = [f"### {rule.heading}\n\n{rule.why}\n\n{rule.mend}\n" for rule in RULES.values()]
    assert listed.split() == "\n".join(told).split()


def test_a_rule_is_named_by_its_code_and_explained_in_sentences():
    for code, rule in RULES.items():
        assert re.fullmatch(r"KE\d{3}", code)
        assert rule.why.endswith((".", ")"))
        assert rule.mend.endswith((".", ")."))
