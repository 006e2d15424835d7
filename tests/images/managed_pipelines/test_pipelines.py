"""What goes into an image of managed pipelines, and what is refused because a server would not start with it."""

from pathlib import Path

import pytest
import yaml

from kfp_edge.errors import ImageError, ParameterError, PipelineError
from kfp_edge.images.managed_pipelines import ManagedPipeline, load_pipelines
from kfp_edge.runtime.component import RUNTIME_IMAGE
from kfp_edge.spec import validate_text
from kfp_edge.spec.backends.profiles import BACKENDS, find_backend
from support.paths import ROOT

RHOAI_3_5 = find_backend("rhoai-3.5")


def copy_of_training(folder: Path, **info: str) -> Path:
    """The compiled pipeline with another name or description."""
    documents = list(yaml.safe_load_all((ROOT / "compiled/training.yaml").read_text()))
    documents[0]["pipelineInfo"] |= info
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def test_every_pipeline_of_ours_is_named_after_itself_and_the_release(pipelines: list[ManagedPipeline]) -> None:
    assert [pipeline.name for pipeline in pipelines] == [
        "delivery-1.2.0",
        "drift-1.2.0",
        "edge-mlops-1.2.0",
        "fleet-training-1.2.0",
        "promote-1.2.0",
        "retraining-1.2.0",
        "rollback-1.2.0",
        "training-1.2.0",
    ]


def test_what_the_dashboard_shows_is_the_description_of_the_pipeline(pipelines: list[ManagedPipeline]) -> None:
    assert pipelines[-1].description == "Train a model on a table and verify that it could be delivered."


def test_the_images_of_the_stages_are_known(pipelines: list[ManagedPipeline]) -> None:
    assert {pipeline.images for pipeline in pipelines} == {(RUNTIME_IMAGE,)}


@pytest.mark.parametrize("backend", ["rhoai-3.4", "rhoai-3.5"])
def test_a_compiled_file_of_anybody_is_taken_as_the_server_reads_it(tmp_path: Path, backend: str) -> None:
    path = copy_of_training(tmp_path, name="my-own")
    (loaded,) = load_pipelines([path], find_backend(backend), "2026-11")
    assert loaded.name == "my-own-2026-11"
    assert validate_text(loaded.text, find_backend(backend)).ok


@pytest.mark.parametrize("backend", [each for each in BACKENDS if not each.startswith(("rhoai-3.4", "rhoai-3.5"))])
def test_a_backend_without_managed_pipelines_is_refused(backend: str) -> None:
    with pytest.raises(ParameterError, match=r"takes no image of managed pipelines; OpenShift AI 3.4 and .* 3.5 do"):
        load_pipelines(["training"], find_backend(backend), "1")


def test_a_pipeline_that_the_backend_would_refuse_is_refused_with_the_reason(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all((ROOT / "compiled/training.yaml").read_text()))
    documents[0]["unheard_of"] = 1
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump_all(documents))
    with pytest.raises(PipelineError, match=r"would refuse .*bad.yaml: .*unheard_of"):
        load_pipelines([tmp_path / "bad.yaml"], RHOAI_3_5, "1")


def test_kubernetes_manifests_are_refused_because_the_server_reads_a_pipeline_spec(tmp_path: Path) -> None:
    from kfp_edge.spec import compile_to_manifests, load_pipeline

    (tmp_path / "manifests.yaml").write_text(compile_to_manifests(load_pipeline("training")))
    with pytest.raises(PipelineError, match="holds Kubernetes manifests"):
        load_pipelines([tmp_path / "manifests.yaml"], RHOAI_3_5, "1")


@pytest.mark.parametrize("suffix", ["RC1", "1.2.", "1_2", "a b", "", ".1", "1+local", "x" * 127])
def test_a_name_that_a_server_refuses_is_refused(suffix: str) -> None:
    with pytest.raises(PipelineError, match=r"the name of the managed pipeline must be lower-case letters .* it is '"):
        load_pipelines(["training"], RHOAI_3_5, suffix)


@pytest.mark.parametrize("suffix", ["1", "0.1.0", "1.2.0-rc1", "x" * 118])
def test_a_name_that_servers_take_is_taken(suffix: str) -> None:
    assert load_pipelines(["training"], RHOAI_3_5, suffix)[0].name == f"training-{suffix}"


def test_two_pipelines_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="two managed pipelines are named training-1, and a server takes none then"):
        load_pipelines(["training", copy_of_training(tmp_path)], RHOAI_3_5, "1")


def test_there_is_a_warning_of_the_public_default_image(pipelines: list[ManagedPipeline]) -> None:
    (warning,) = pipelines[0].warnings
    assert "public default image" in warning
    assert "KFP_EDGE_RUNTIME_IMAGE" in warning


def test_an_image_of_ones_own_needs_no_warning(tmp_path: Path) -> None:
    path = copy_of_training(tmp_path)
    path.write_text(path.read_text().replace(RUNTIME_IMAGE, "registry.example.com/a@sha256:" + "0" * 64))
    (loaded,) = load_pipelines([path], RHOAI_3_5, "1")
    assert list(loaded.warnings) == []


def test_there_is_a_warning_of_characters_that_the_database_cannot_store(tmp_path: Path) -> None:
    path = copy_of_training(tmp_path, description="Is the press all right? 🙂")
    (loaded,) = load_pipelines([path], RHOAI_3_5, "1")
    assert "'🙂' (U+1F642), and MySQL" in list(loaded.warnings)[-1]
