"""A pipeline is uploaded once per version, which is named by its git commit or its digest."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.client.package import make_package
from kfp_edge.errors import ParameterError
from support.clients import (
    client_of,
    make_checkout,
    only,
    submit_small,
    write_small,
)
from support.fake_kfp import FakeKfp

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def version_names(server: FakeKfp) -> list[str]:
    return [version["display_name"] for version in server.store.versions.values()]


def test_a_version_is_named_by_the_git_commit_of_a_clean_checkout(server: FakeKfp, work_folder: Path) -> None:
    file = write_small(work_folder)
    commit = make_checkout(work_folder)
    client_of(server).submit(file, {"rows": 1})
    assert version_names(server) == [commit[:12]]
    assert only(server.store.versions)["name"] == f"small-{commit[:12]}"
    assert only(server.store.runs)["runtime_config"]["parameters"] == {"revision": commit, "rows": 1}


def test_a_version_from_a_changed_checkout_adds_the_digest_of_the_yaml(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    client_of(server).submit(write_small(work_folder), {"rows": 1})
    assert version_names(server) == [next(make_package(Path("small.yaml")).version_names)]
    assert version_names(server)[0].startswith(f"{commit[:12]}-")


def test_a_version_from_outside_a_checkout_is_named_by_the_digest(server: FakeKfp) -> None:
    submit_small(server)
    assert len(version_names(server)[0]) == 12


def test_other_yaml_of_the_same_commit_is_another_version(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    submit_small(server)
    submit_small(server, cache=False)
    submit_small(server)
    assert [name[:13] for name in version_names(server)] == [commit[:12], f"{commit[:12]}-"]


def test_numbers_that_the_backend_returns_as_floats_are_the_same_version(server: FakeKfp, tmp_path: Path) -> None:
    package = make_package(write_small(tmp_path))
    spec = yaml.safe_load(package.text)
    platform = {"platforms": {"kubernetes": {}}}
    assert package.is_equal_to(convert_numbers_to_floats(spec))
    assert not package.is_equal_to({"pipeline_spec": spec, "platform_spec": platform})


def convert_numbers_to_floats(value: Any) -> Any:
    """Return numbers as Go's protobuf `Struct` does."""
    match value:
        case dict():
            return {key: convert_numbers_to_floats(item) for key, item in value.items()}
        case list():
            return [convert_numbers_to_floats(item) for item in value]
        case bool():
            return value
        case int():
            return float(value)
    return value


def test_a_version_that_another_client_uploads_at_the_same_moment_is_reused(server: FakeKfp) -> None:
    server.drop_response("POST", "/apis/v2beta1/pipelines/upload_version")
    server.drop_response("POST", "/apis/v2beta1/experiments")
    submit_small(server)
    assert len(server.store.versions) == len(server.store.experiments) == len(server.store.runs) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gates": "{roc_auc: 95}"}, "the gate roc_auc is 95"),
        ({"task": "anomalies"}, "did you mean anomaly?"),
        ({"model_name": "Press_1"}, "did you mean press-1?"),
        ({"cpu": "0.5 cores"}, "cpu is '0.5 cores', which no pod can have"),
        ({"memory": "512Mi"}, "memory is '512Mi', but a task requests 1Gi"),
        ({"data": "https://data.example.com/a.csv?sv=1&sig=0123456789"}, "looks like a signed URL"),
    ],
)
def test_a_parameter_that_a_stage_would_refuse_is_refused_before_anything_is_sent(
    values: dict[str, str], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        make_package("training").arguments({"target": "failed", **values})
    assert message in str(caught.value)
    assert "0123456789" not in str(caught.value)
