"""Weights in other files are read from beside the model, never from the working directory."""

from contextlib import chdir
from pathlib import Path

import numpy as np
import onnx
import pytest

from kfp_edge.components.export.export import export_model
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from support.brought import answer, compute_probabilities, make_classifier_net
from support.brought_tables import make_data

LOCATION = "weights.bin"


@pytest.fixture
def data() -> Dataset:
    return make_data((0, 1))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, in which another file of the weights' name lies."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / LOCATION).write_bytes(bytes(1000))
    monkeypatch.chdir(folder)
    return folder


def divide(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model with all its weights in another file beside it."""
    path.parent.mkdir()
    with chdir(path.parent):  # onnx looks for a file of the weights' name in the working directory, and refuses it
        onnx.save(model, path.name, save_as_external_data=True, location=LOCATION, size_threshold=0)
    return path


def test_a_brought_model_is_exported_with_the_weights_beside_it(tmp_path: Path, data: Dataset, elsewhere: Path) -> None:
    assert (elsewhere / LOCATION).exists()
    export_model(divide(make_classifier_net(), tmp_path / "net" / "net.onnx"), data, tmp_path / "model.onnx")
    exported = OnnxModel.load(tmp_path / "model.onnx")
    expected = compute_probabilities(data.x().to_numpy())
    np.testing.assert_allclose(answer(exported, data)["probabilities"], expected, atol=1e-6)


def test_a_model_with_a_signature_is_opened_with_the_weights_beside_it(
    tmp_path: Path, data: Dataset, elsewhere: Path
) -> None:
    assert (elsewhere / LOCATION).exists()
    (tmp_path / "net.onnx").write_bytes(make_classifier_net().SerializeToString())
    export_model(tmp_path / "net.onnx", data, tmp_path / "model.onnx")
    divided = OnnxModel.load(divide(onnx.load(tmp_path / "model.onnx"), tmp_path / "divided" / "model.onnx"))
    expected = compute_probabilities(data.x().to_numpy())
    np.testing.assert_allclose(answer(divided, data)["probabilities"], expected, atol=1e-6)


def test_weights_that_are_not_beside_the_model_are_missed(tmp_path: Path, data: Dataset, elsewhere: Path) -> None:
    path = divide(make_classifier_net(), tmp_path / "net" / "net.onnx")
    (path.parent / LOCATION).unlink()
    with pytest.raises(KfpEdgeError, match=r"in another file, weights\.bin, which is not beside it"):
        export_model(path, data, tmp_path / "model.onnx")
    with pytest.raises(KfpEdgeError, match="weights of the model .* cannot be read from their file"):
        OnnxModel.load(path)
    assert (elsewhere / LOCATION).exists()
