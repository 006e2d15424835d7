"""Weights in other files come from the bundle and its manifest, and from nowhere else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kfp_edge_serving.errors import StartError
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.model_folders import ModelFolder
from kfp_edge_serving.models.plain_model import read_plain_model
from serving_support.bundles import sign
from serving_support.onnx_models import ask, load
from serving_support.plain_models import ANSWER, ROW, WEIGHTS, linear_model, put, with_external_weights
from serving_support.server_process import running
from serving_support.shaped_bundle import Shaped, shaped_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle of `linear_model` with its weights in `weights.bin`."""
    graph = linear_model().graph
    folder = shaped_bundle(
        tmp_path / "models" / "linear" / "1",
        graph.node,
        {"X": Shaped(["batch", 3], 0)},
        {"Y": Shaped(["batch", 2], 0)},
        {"X": [[1.0, 2.0, 3.0]]},
        {"Y": [ANSWER]},
        graph.initializer,
    )
    return keep_weights(folder, "weights.bin")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, in which another `weights.bin` lies."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(WEIGHTS.nbytes))
    monkeypatch.chdir(folder)
    return folder


def keep_weights(folder: Path, location: str, file: str = "weights.bin", *, in_branch: bool = False) -> Path:
    """Let the model of a bundle name a file as that of its weights, and put it into `file` of the bundle."""
    put(with_external_weights(location, in_branch=in_branch), folder / "model.onnx")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(WEIGHTS.tobytes())
    sign(folder)
    return folder


def answer(model: Model) -> list[float]:
    data: list[float] = ask(model, ROW)["outputs"][0]["data"]
    return data


def test_weights_come_from_the_bundle_and_not_from_the_working_directory(bundle: Path, elsewhere: Path) -> None:
    assert (elsewhere / "weights.bin").exists()
    assert answer(load(bundle)) == ANSWER


@pytest.mark.parametrize("self_test", ["on", "off"])
def test_a_server_serves_the_weights_of_the_bundle(bundle: Path, elsewhere: Path, self_test: str) -> None:
    assert (elsewhere / "weights.bin").exists()
    with running(bundle.parent.parent, "--self-test", self_test) as server:
        assert server.infer("linear", ROW)[1]["outputs"][0]["data"] == ANSWER


def test_weights_may_lie_in_a_folder_of_the_bundle(bundle: Path) -> None:
    keep_weights(bundle, "parts/weights.bin", "parts/weights.bin")
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert "parts/weights.bin" in manifest["files"]
    assert answer(load(bundle)) == ANSWER


def test_altered_weights_are_refused(bundle: Path) -> None:
    (bundle / "weights.bin").write_bytes(np.zeros_like(WEIGHTS).tobytes())
    with pytest.raises(StartError, match=r"weights\.bin was altered: its sha256 is not the one in the manifest"):
        load_bundle(bundle)


def test_weights_that_the_manifest_does_not_list_are_not_read(bundle: Path, elsewhere: Path) -> None:
    assert (elsewhere / "weights.bin").exists()
    weights = (bundle / "weights.bin").read_bytes()
    (bundle / "weights.bin").unlink()
    sign(bundle)
    (bundle / "weights.bin").write_bytes(weights)
    with pytest.raises(StartError, match=r"weights in another file, weights\.bin, which the manifest .* does not list"):
        load(bundle)


@pytest.mark.parametrize("make_location", [str, lambda path: f"../elsewhere/{path.name}"])
def test_a_model_may_not_name_weights_outside_of_its_bundle(
    bundle: Path, elsewhere: Path, make_location: Callable[[Path], str]
) -> None:
    keep_weights(bundle, make_location(elsewhere / "weights.bin"))
    with pytest.raises(StartError, match="weights in another file, .*, which the manifest of the bundle does not list"):
        load(bundle)


@pytest.mark.parametrize("make_location", [str, lambda path: f"../../../elsewhere/{path.name}"])
def test_a_manifest_may_not_list_files_outside_of_its_bundle(
    bundle: Path, elsewhere: Path, make_location: Callable[[Path], str]
) -> None:
    location = make_location(elsewhere / "weights.bin")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][location] = manifest["files"].pop("weights.bin")
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StartError, match="which is not in the folder of the bundle"):
        load_bundle(bundle)


def test_weights_of_a_branch_in_another_file_are_refused(bundle: Path, elsewhere: Path) -> None:
    assert (elsewhere / "weights.bin").exists()
    keep_weights(bundle, "weights.bin", in_branch=True)
    with pytest.raises(StartError, match="weights of a subgraph in another file; save the model as one file"):
        load(bundle)


# --- models without a bundle ---


def read_plain(folder: Path) -> Model:
    return Model(read_plain_model(ModelFolder(folder, "linear", "1")), ModelOptions())


@pytest.mark.parametrize("in_branch", [False, True])
def test_weights_of_a_plain_model_lie_beside_it(tmp_path: Path, elsewhere: Path, in_branch: bool) -> None:
    assert (elsewhere / "weights.bin").exists()
    put(with_external_weights("weights.bin", in_branch=in_branch), tmp_path / "linear" / "model.onnx")
    (tmp_path / "linear" / "weights.bin").write_bytes(WEIGHTS.tobytes())
    assert answer(read_plain(tmp_path / "linear")) == ANSWER


@pytest.mark.parametrize("make_location", [str, lambda path: f"../elsewhere/{path.name}"])
def test_a_plain_model_may_not_name_weights_outside_of_its_folder(
    tmp_path: Path, elsewhere: Path, make_location: Callable[[Path], str]
) -> None:
    put(with_external_weights(make_location(elsewhere / "weights.bin")), tmp_path / "linear" / "model.onnx")
    with pytest.raises(StartError, match="cannot be loaded by onnxruntime: .*(Absolute path|escapes)"):
        read_plain(tmp_path / "linear")


def test_a_link_may_not_lead_a_plain_model_out_of_its_folder(tmp_path: Path, elsewhere: Path) -> None:
    put(with_external_weights("weights.bin"), tmp_path / "linear" / "model.onnx")
    (tmp_path / "linear" / "weights.bin").symlink_to(elsewhere / "weights.bin")
    with pytest.raises(StartError, match="escapes model directory"):
        read_plain(tmp_path / "linear")


def test_links_within_the_folder_are_followed_as_a_config_map_makes_them(tmp_path: Path) -> None:
    data = tmp_path / "linear" / "..2026_11_29"
    put(with_external_weights("weights.bin"), data / "model.onnx")
    (data / "weights.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "linear" / "..data").symlink_to(data.name)
    for name in ("model.onnx", "weights.bin"):
        (tmp_path / "linear" / name).symlink_to(f"..data/{name}")
    assert answer(read_plain(tmp_path / "linear")) == ANSWER
