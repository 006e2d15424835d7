"""A report has the problems of a file with their positions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kfp_edge.rules import lint_text
from kfp_edge.spec.compiling import compiler
from support.pipelines import (
    EXECUTOR,
    TEXT,
    WITH_TAG,
    codes,
    container,
    disable_caching,
    dump_yaml,
    lint_changed,
    problem_lines,
)

DIGEST = "@sha256:" + "2" * 64


def test_a_clean_pipeline_has_no_findings():
    report = lint_text(TEXT)
    assert problem_lines(report) == []
    assert [pipeline.name for pipeline in report.pipelines] == ["clean"]


@pytest.mark.parametrize("code", ["KE001", "KE002"])
def test_a_rule_can_be_ignored(code):
    def change(spec, _):
        container(spec).update(image="work:1")
        container(spec)["resources"].pop("cpuLimit")
        container(spec)["resources"].pop("resourceCpuLimit")

    assert codes(lint_changed(change)) == ["KE001", "KE002"]
    assert code not in codes(lint_changed(change, ignore=(code,)))


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
        disable_caching(spec)

    report = lint_changed(change)
    positions = [problem.position for problem in report.problems]
    assert len(positions) == 3
    assert positions == sorted(positions)


def test_problems_in_kubernetes_manifests_have_positions():
    spec = yaml.safe_load(WITH_TAG.split("---")[0])
    manifest = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": {"name": "work-1"},
        "spec": {"pipelineName": "work", "pipelineSpec": spec},
    }
    pipeline = {"apiVersion": "pipelines.kubeflow.org/v2beta1", "kind": "Pipeline", "metadata": {"name": "work"}}
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
