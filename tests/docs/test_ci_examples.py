"""The CI files for users: what a CI service takes, and commands that work as written."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from kfp_edge.spec import compiler
from support.paths import ROOT

GITHUB = ROOT / ".github" / "workflows" / "pipelines.yml"
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"


def load(path):
    """YAML 1.2, as the services read it: `on` is a word."""
    return YAML(typ="safe", pure=True).load(path)


def github_commands():
    (job,) = load(GITHUB)["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab_commands():
    job = load(GITLAB)["pipelines"]
    return [*job["before_script"], *job["script"], *job["after_script"]]


EXAMPLES = pytest.mark.parametrize("commands", [github_commands(), gitlab_commands()], ids=["github", "gitlab"])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The files that a user would have committed."""
    folder = tmp_path_factory.mktemp("compiled")
    compiler.write_compiled(compiler.pipeline_names(), folder)
    return folder


@pytest.fixture
def checkout(tmp_path, compiled):
    """A user's checkout after `make setup`: the environment and the committed files."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copytree(compiled, tmp_path / "compiled")
    return tmp_path


def run(command, folder):
    """Run a command as both services do: by bash, which stops at the first failure."""
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


def run_all(commands, folder):
    """Run all commands, also after one that failed, and return those that did; verbs of make are run by no test."""
    done = {command: run(command, folder) for command in commands if not command.startswith("make ")}
    return {command: result.stdout + result.stderr for command, result in done.items() if result.returncode}


@EXAMPLES
def test_every_command_works_as_written(commands, checkout):
    assert run_all(commands, checkout) == {}
    assert len(list((checkout / "build" / "pipelines").glob("*.yaml"))) == len(list((checkout / "compiled").iterdir()))
    assert json.loads((checkout / "build" / "pipelines.sarif").read_text())["runs"][0]["results"] == []


@EXAMPLES
def test_make_is_used_for_what_the_makefile_has(commands):
    verbs = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    used = [command.removeprefix("make ") for command in commands if command.startswith("make ")]
    assert used
    assert set(used) <= set(verbs)


@EXAMPLES
def test_a_file_that_was_changed_by_hand_and_is_unwise_fails_and_is_told(commands, checkout):
    file = checkout / "compiled" / "training.yaml"
    file.write_text(re.sub(r"(image: \S+):[\w.]+", r"\1:latest", file.read_text(encoding="utf-8"), count=1))
    (checkout / "build").mkdir()
    checks = [command for command in commands if "--output" not in command]
    stale, unwise, _ = run_all(checks, checkout).values()
    assert "compiled is out of date" in stale
    assert "KE007" in unwise
    (result,) = json.loads((checkout / "build" / "pipelines.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "compiled/training.yaml"


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        (GITHUB, ["--builtin-schema", "vendor.github-workflows"]),
        (GITLAB, ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
    ids=["github", "gitlab"],
)
def test_the_file_is_valid_by_the_schema_of_the_service(file, schema):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema holds the schemas")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_what_is_uploaded_is_what_the_commands_write():
    steps = next(iter(load(GITHUB)["jobs"].values()))["steps"]
    uploads = [step["with"] for step in steps if "upload" in step.get("uses", "")]
    assert [upload.get("sarif_file") or upload["path"] for upload in uploads] == [
        "build/pipelines.sarif",
        "build/pipelines",
    ]
    assert set(load(GITLAB)["pipelines"]["artifacts"]["paths"]) == {"build/pipelines.sarif", "build/pipelines"}
