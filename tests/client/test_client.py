"""The client submits pipelines to a KFP backend and lists runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec.compiling import compiler
from support.clients import (
    STAGES,
    client_of,
    only,
    small,
    submit_small,
    write_small,
)
from support.fake_kfp import FakeKfp

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def test_a_run_is_submitted_with_its_parameters(server: FakeKfp) -> None:
    run = client_of(server).submit(small, {"rows": 3, "rate": "0.5", "tags": ["x"]}, name="mine", experiment="trials")
    stored = only(server.store.runs)
    assert (run.id, run.name, run.state) == (stored["run_id"], "mine", "pending")
    assert run.url == f"{server.url}/#/runs/details/{run.id}"
    assert stored["runtime_config"] == {"parameters": {"rows": 3, "rate": 0.5, "tags": ["x"]}}
    assert only(server.store.experiments)["display_name"] == "trials"


def test_an_experiment_and_a_pipeline_are_created_once(server: FakeKfp) -> None:
    submit_small(server)
    submit_small(server)
    assert len(server.store.runs) == 2
    assert [len(objects) for objects in (server.store.experiments, server.store.pipelines, server.store.versions)] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "the pipeline small needs the parameter 'rows'"),
        ({"rows": "many"}, 'the parameter rows must be a whole number, not "many"'),
        ({"rows": 1, "rat": 0.5}, "the pipeline small has no parameter 'rat'; did you mean rate"),
        ({"rat": 0.5, "row": 1}, "the pipeline small has no parameters 'rat', 'row'; it has: "),
        ({"rows": 1, "tags": "a"}, "the parameter tags must be a list"),
        ({"rows": 1, "about": [1]}, "the parameter about must be a mapping"),
    ],
)
def test_parameters_are_checked_before_anything_is_sent(
    server: FakeKfp, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(KfpEdgeError, match=message):
        client_of(server).submit(small, parameters)
    assert server.sent == []


def test_a_pipeline_of_kfp_edge_is_submitted_by_name(server: FakeKfp) -> None:
    client_of(server).submit("training", image="registry.example.com/runtime:1")
    assert only(server.store.pipelines)["display_name"] == "training"


def test_a_compiled_file_is_submitted(server: FakeKfp, tmp_path: Path) -> None:
    file = write_small(tmp_path)
    client_of(server).submit(file, {"rows": 1})
    client_of(server).submit(str(file), {"rows": 1})
    assert only(server.store.versions)["pipeline_spec"] == yaml.safe_load(file.read_text())


def test_a_file_that_a_backend_would_refuse_is_not_sent(server: FakeKfp, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(compiler.compile_to_yaml(small).replace("\nschemaVersion:", "\nschemaVersoin:"))
    with pytest.raises(KfpEdgeError, match=r"a backend would refuse .*bad\.yaml: schemaVersoin is not a field"):
        client_of(server).submit(file, {"rows": 1})
    assert server.sent == []


def test_manifests_are_not_submitted(server: FakeKfp, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(compiler.compile_to_manifests(small))
    with pytest.raises(KfpEdgeError, match="holds Kubernetes manifests"):
        client_of(server).submit(file, {"rows": 1})


def test_without_the_cache_no_task_is_cached(server: FakeKfp) -> None:
    submit_small(server)
    submit_small(server, cache=False)
    cached, uncached = (str(version["pipeline_spec"]) for version in server.store.versions.values())
    assert "'enableCache': True" in cached
    assert "'enableCache': True" not in uncached
    assert uncached.count("'cachingOptions': {}") == len(STAGES) + 1  # the nested pipeline is a task as well


def test_a_run_in_an_archived_experiment_is_refused(server: FakeKfp) -> None:
    submit_small(server, experiment="old")
    server.store.archive(server.store.experiments, only(server.store.experiments)["experiment_id"])
    with pytest.raises(KfpEdgeError, match="the experiment old is archived, .*; restore it there, or give another"):
        submit_small(server, experiment="old")
    assert len(server.store.runs) == 1


def test_a_pipeline_that_gitops_created_without_a_display_name_is_found_by_its_name(server: FakeKfp) -> None:
    created = server.store.create_pipeline({"name": "small"})
    created["display_name"] = ""
    submit_small(server)
    assert list(server.store.pipelines) == [created["pipeline_id"]]
