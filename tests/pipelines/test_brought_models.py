"""Models that were trained elsewhere, through the whole line in this process."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from kfp_edge.components.gitops_commit.model_summary import summarize_model
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.tasks.registry import predict_onnx
from kfp_edge_serving.models.bundle import load_bundle
from support import brought_models
from support.brought import compute_probabilities, make_classifier_net
from support.brought_tables import COLUMNS, make_data
from support.line import Line

NO_PARITY = "Parity was not checked: the model came as ONNX"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table whose classes are called otherwise than the net's."""
    make_data(("ok", "worn")).frame.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """Return a net whose weights are in another file."""
    folder = tmp_path / "net"
    folder.mkdir()
    onnx.save(make_classifier_net(), folder / "net.onnx", save_as_external_data=True, location="w", size_threshold=0)
    return folder


def test_a_brought_model_is_released_with_the_classes_of_the_data(line: Line, table: Path, net: Path) -> None:
    result = line.deliver(net, table, target="state", model_classes={"0": "ok", "1": "worn"})
    exported = OnnxModel.load(result.bundle.model)
    features = result.test_data.x()
    predictions = predict_onnx(exported, features)
    expected = compute_probabilities(features.to_numpy())
    np.testing.assert_allclose(predictions.numbers, expected, atol=1e-6)
    assert predictions.label is not None
    assert predictions.label.tolist() == np.array(["ok", "worn"])[expected.argmax(axis=1)].tolist()
    assert load_bundle(result.bundle.folder, check_name=False).outputs[0].classes == ("ok", "worn")
    reference = result.bundle.reference.outputs
    assert reference is not None
    assert reference.positive in ("ok", "worn")
    assert reference.classes == {name: predictions.label.tolist().count(name) for name in ("ok", "worn")}


def test_what_was_changed_and_not_checked_is_in_the_card_and_in_the_commit(line: Line, table: Path, net: Path) -> None:
    result = line.deliver(net, table, target="state", model_classes={"0": "ok", "1": "worn"})
    for text in (
        result.read_report("card"),
        summarize_model(result.bundle.manifest, result.bundle.signature),
        result.read_report("verify"),
    ):
        assert NO_PARITY in text
        assert "It is not known whether the model was trained on the held-out rows of this data" in text
        assert "0 is ok, 1 is worn" in text
        assert f"in the order of the data, which the model does not state: {', '.join(COLUMNS)}" in text
    assert "A model for classification, trained elsewhere." in result.read_report("card")


def test_a_model_of_other_classes_ends_in_a_sentence_of_export(line: Line, table: Path, net: Path) -> None:
    result = line.deliver(net, table, target="state")
    assert result.stage == "export"
    assert 'model_classes, such as {"0": "ok", "1": "worn"}' in result.error


def test_the_same_brought_model_gives_the_same_bundle(line: Line, table: Path, net: Path) -> None:
    first, second = (
        line.deliver(net, table, target="state", model_classes={"0": "ok", "1": "worn"}).bundle.digest for _ in range(2)
    )
    assert first == second


def test_held_out_rows_that_the_server_will_not_answer_are_counted_beside_the_metrics(
    line: Line, tmp_path: Path
) -> None:
    frame = make_data(missing=True).frame
    frame.insert(0, "at", range(len(frame)))
    frame.loc[len(frame) - 3 :, "speed"] = np.nan
    frame.to_csv(tmp_path / "data.csv", index=False)
    model = Path(brought_models.__file__).with_name("xgboost_missing.onnx")
    result = line.deliver(model, tmp_path / "data.csv", target="state", time_column="at")
    sentence = "count 3 of 80 held-out rows that the server will not answer, because 'speed' may not be missing"
    assert sentence in result.read_report("card")
    assert sentence in result.read_report("verify").replace("&#x27;", "'").replace("&#39;", "'")
