"""CI files, ours and those to copy: valid by the schema of their service, with commands that work as written."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from ruamel.yaml import YAML

from kfp_edge.spec.compiling import compiler
from support.paths import ROOT

GITHUB = ROOT / ".github" / "workflows" / "pipelines.yml"
GITHUB_TESTS = ROOT / ".github" / "workflows" / "tests.yml"
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"


def load(path):
    """Parse YAML 1.2, as the services do: `on` is a string."""
    return YAML(typ="safe", pure=True).load(path)


def github_commands(path):
    """Return the commands of all jobs of a workflow."""
    return [step["run"] for job in load(path)["jobs"].values() for step in job["steps"] if "run" in step]


def gitlab_commands():
    job = load(GITLAB)["pipelines"]
    return [*job["before_script"], *job["script"], *job["after_script"]]


def make_targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


EXAMPLES = pytest.mark.parametrize("commands", [github_commands(GITHUB), gitlab_commands()], ids=["github", "gitlab"])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return a folder with the files that a user would have committed."""
    folder = tmp_path_factory.mktemp("compiled")
    compiler.write_compiled(compiler.pipeline_names(), folder)
    return folder


@pytest.fixture
def checkout(tmp_path, compiled):
    """Return a user's checkout after `make setup`: the environment and the committed files."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copytree(compiled, tmp_path / "compiled")
    return tmp_path


def run(command, folder):
    """Run a command as both services do, with bash, which stops at the first failure."""
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


def run_all(commands, folder):
    """Run all commands except those of make, even after a failure, and return the output of those that failed."""
    results = {command: run(command, folder) for command in commands if not command.startswith("make ")}
    return {command: result.stdout + result.stderr for command, result in results.items() if result.returncode}


@pytest.mark.slow
@EXAMPLES
def test_every_command_works_as_written(commands, checkout):
    assert run_all(commands, checkout) == {}
    assert len(list((checkout / "build" / "pipelines").glob("*.yaml"))) == len(list((checkout / "compiled").iterdir()))
    assert json.loads((checkout / "build" / "pipelines.sarif").read_text())["runs"][0]["results"] == []


@pytest.mark.parametrize(
    "commands",
    [github_commands(GITHUB), github_commands(GITHUB_TESTS), gitlab_commands()],
    ids=["github", "github tests", "gitlab"],
)
def test_every_make_target_exists(commands):
    used = re.findall(r"\bmake ([a-z-]+)", "\n".join(commands))
    assert used
    assert set(used) <= make_targets()


def test_our_workflow_runs_all_tests_and_the_unit_tests_on_every_python_that_we_support():
    jobs = load(GITHUB_TESTS)["jobs"]
    assert "make test" in jobs["full"]["steps"][-1]["run"]
    assert jobs["unit"]["steps"][-1]["run"] == "make unit"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first, after = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups())
    assert jobs["unit"]["strategy"]["matrix"] == {"python-version": [f"3.{minor}" for minor in range(first, after)]}


@pytest.mark.slow
@EXAMPLES
def test_a_file_changed_by_hand_that_breaks_a_rule_fails_with_both_findings(commands, checkout):
    file = checkout / "compiled" / "training.yaml"
    file.write_text(re.sub(r"(image: \S+):[\w.]+", r"\1:latest", file.read_text(encoding="utf-8"), count=1))
    (checkout / "build").mkdir()
    checks = [command for command in commands if "--output" not in command]
    stale, broken, _ = run_all(checks, checkout).values()
    assert "compiled is out of date" in stale
    assert "KE007" in broken
    (result,) = json.loads((checkout / "build" / "pipelines.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "compiled/training.yaml"


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        (GITHUB, ["--builtin-schema", "vendor.github-workflows"]),
        (GITHUB_TESTS, ["--builtin-schema", "vendor.github-workflows"]),
        (GITLAB, ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
    ids=["github", "github tests", "gitlab"],
)
def test_the_file_is_valid_by_the_schema_of_the_service(file, schema):
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_uploaded_files_are_those_that_the_commands_write():
    steps = next(iter(load(GITHUB)["jobs"].values()))["steps"]
    uploads = [step["with"] for step in steps if "upload" in step.get("uses", "")]
    assert [upload.get("sarif_file") or upload["path"] for upload in uploads] == [
        "build/pipelines.sarif",
        "build/pipelines",
    ]
    assert set(load(GITLAB)["pipelines"]["artifacts"]["paths"]) == {"build/pipelines.sarif", "build/pipelines"}
