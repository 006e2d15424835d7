"""ONNX files without a bundle: served with the signature that the file states, and called unverified."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.model_folders import ModelFolder
from kfp_edge_serving.models.plain_model import read_plain_model
from kfp_edge_serving.models.repository import LoadOptions, ModelCatalog, ModelRepository
from serving_support.bundles import PUMP_ROW, numeric_bundle
from serving_support.exposition import Exposition
from serving_support.onnx_models import ask
from serving_support.plain_models import (
    ANSWER,
    ROW,
    WEIGHTS,
    linear_model,
    lower_case_model,
    make_model,
    put,
    with_external_weights,
)
from serving_support.server_process import running, start

StartAndReadError = Callable[[Path], str]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return a folder with the model linear 1 as Triton has it."""
    put(linear_model(), tmp_path / "linear" / "1" / "model.onnx")
    return tmp_path


def load(model: ModelProto, folder: Path, **options: Any) -> Model:
    put(model, folder / "model.onnx")
    return Model(read_plain_model(ModelFolder(folder, "plain", "1")), ModelOptions(**options))


def test_an_onnx_file_in_the_layout_of_triton_is_served(plain: Path) -> None:
    with running(plain) as server:
        status, answer = server.infer("linear/versions/1", ROW)
    assert (status, answer["outputs"][0]["data"]) == (200, ANSWER)


def test_its_signature_is_that_of_the_file(plain: Path) -> None:
    with running(plain) as server:
        _, metadata = server.get("/v2/models/linear")
    rows = {"batch_dimension": 0}
    assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 3], "parameters": rows}]
    assert metadata["outputs"] == [{"name": "Y", "datatype": "FP32", "shape": [-1, 2], "parameters": rows}]


def test_the_log_and_the_metrics_call_it_unverified(plain: Path) -> None:
    with running(plain, until="listening") as server:
        event = server.event("loaded")
        assert (event["level"], event["verified"]) == ("warning", False)
        assert "nobody has verified it" in event["warning"]
        server.event("ready")
        metrics = Exposition(server.get("/metrics")[1])
        labels = {"model": "linear", "version": "1", "model_sha256": event["model_sha256"]}
        assert metrics.value("kfp_edge_model_info", **labels, verified="false") == 1


def test_the_log_and_the_metrics_call_a_bundle_verified(models: Path) -> None:
    with running(models, until="listening") as server:
        event = server.event("loaded")
        assert (event["level"], event["verified"]) == ("info", True)
        server.event("ready")
        assert 'verified="true"' in server.get("/metrics")[1]


def test_a_version_without_a_bundle_is_served_beside_a_bundle(models: Path) -> None:
    put(linear_model(), models / "pump" / "2" / "model.onnx")
    with running(models) as server:
        assert server.infer("pump", ROW)[1]["model_version"] == "2"
        assert server.infer("pump/versions/1", ROW)[1]["model_version"] == "1"


def test_a_new_onnx_file_takes_over_while_the_server_runs(plain: Path) -> None:
    with running(plain, "--watch", "0.05") as server:
        put(linear_model(), plain / "linear" / "2" / "model.onnx")
        assert server.event("loaded")["version"] == "2"
        assert server.infer("linear", ROW)[1]["model_version"] == "2"


# --- --require-bundle ---


def test_it_can_be_refused(plain: Path) -> None:
    with start(plain, "--require-bundle", "on") as process:
        stdout, _ = process.communicate(timeout=60)
    refused, failed = map(json.loads, stdout.splitlines()[-2:])
    assert (process.returncode, refused["event"], failed["event"]) == (1, "refused", "failed")
    assert refused["error"].startswith(f"{plain}/linear/1 holds a model without a bundle, which this server refuses")


def test_where_it_is_refused_the_bundle_beside_it_is_served(models: Path) -> None:
    put(linear_model(), models / "pump" / "2" / "model.onnx")
    with running(models, "--require-bundle", "on", until="listening") as server:
        assert "without a bundle" in server.event("refused")["error"]
        server.event("ready")
        assert server.send("POST", "/v2/models/pump/infer", PUMP_ROW)[1]["model_version"] == "1"
        assert "kfp_edge_refused_bundles 1" in server.get("/metrics")[1]


# --- where it lies, and what it is called ---

PLACES = {
    "in the folder itself": ("model.onnx", "folder", "1"),
    "a file of any name": ("presses 7.onnx", "folder", "1"),
    "the folder of a version": ("3/model.onnx", "folder", "3"),
    "the folder of a model without versions": ("presses/model.onnx", "presses", "1"),
    "the folder of a version of a model": ("presses/1.2.0-rc1/presses.onnx", "presses", "1.2.0-rc1"),
}


def serve(folder: Path, model_name: str | None = None) -> ModelCatalog:
    """Load the models of a folder as the server does."""
    repository = ModelRepository(folder, ModelOptions(), LoadOptions(model_name=model_name))
    repository.load()
    return repository.catalog


@pytest.mark.parametrize(("place", "name", "version"), PLACES.values(), ids=PLACES)
def test_name_and_version_follow_from_its_place(tmp_path: Path, place: str, name: str, version: str) -> None:
    put(linear_model(), tmp_path / "folder" / place)
    assert serve(tmp_path / "folder").find(name).version == version


@pytest.mark.parametrize(("place", "version"), [(place, version) for place, _, version in PLACES.values()], ids=PLACES)
def test_an_option_names_the_only_model(tmp_path: Path, place: str, version: str) -> None:
    put(linear_model(), tmp_path / "folder" / place)
    catalog = serve(tmp_path / "folder", model_name="line-3")
    assert (catalog.names(), catalog.versions("line-3")) == (["line-3"], [version])


@pytest.mark.parametrize("place", [".", "bundle", "1", "pump/1"])
def test_the_option_names_a_bundle_too(tmp_path: Path, place: str) -> None:
    bundle = numeric_bundle(tmp_path / "staging")
    (tmp_path / "models" / place).parent.mkdir(parents=True, exist_ok=True)
    bundle.rename(tmp_path / "models" / place)
    assert serve(tmp_path / "models", model_name="line-3").versions("line-3") == ["1"]


def test_answers_have_the_name_of_the_option(models: Path) -> None:
    with running(models, "--model_name=line-3") as server:
        _, answer = server.send("POST", "/v2/models/line-3/infer", PUMP_ROW)
    assert answer["model_name"] == "line-3"


def test_several_models_cannot_have_one_name(tmp_path: Path) -> None:
    for name in ("press", "pump"):
        put(linear_model(), tmp_path / name / "1" / "model.onnx")
    expected = "holds several models (press, pump), which cannot all be called line-3 (--model-name)"
    with running(tmp_path, "--model-name", "line-3", until="listening") as server:
        assert expected in server.event("refused")["error"]


def test_one_version_of_a_model_is_served_from_one_folder(tmp_path: Path) -> None:
    put(linear_model(), tmp_path / "press" / "1" / "model.onnx")
    numeric_bundle(tmp_path / "staging", name="press").rename(tmp_path / "copied-bundle")
    (tmp_path / "staging" / "press").rmdir()
    with running(tmp_path, until="listening") as server:
        assert "holds press 1, which is served from" in server.event("refused")["error"]


# --- an ONNX file itself ---


def test_an_onnx_file_itself_is_served_by_the_name_of_the_file(tmp_path: Path) -> None:
    file = put(linear_model(), tmp_path / "press 7.onnx")
    put(linear_model(), tmp_path / "another.onnx")
    assert [(model.name, model.version) for model in serve(file).served] == [("press 7", "1")]


def test_the_option_names_the_model_of_a_file_too(tmp_path: Path) -> None:
    file = put(linear_model(), tmp_path / "press.onnx")
    assert serve(file, model_name="line-3").names() == ["line-3"]


def test_a_file_that_is_replaced_is_served_without_a_restart(tmp_path: Path) -> None:
    file = put(linear_model(), tmp_path / "press.onnx")
    with running(file, "--watch", "0.05", until="listening") as server:
        before = server.event("loaded")["model_sha256"]
        put(linear_model("N"), tmp_path / "staging.onnx").replace(file)
        assert server.event("loaded")["replaced_sha256"] == before


def test_a_file_beside_which_its_weights_lie_is_served(tmp_path: Path) -> None:
    file = put(with_external_weights("weights.bin"), tmp_path / "press.onnx")
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with running(file) as server:
        assert server.infer("press", ROW)[1]["outputs"][0]["data"] == ANSWER


def test_a_file_that_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "press.pt").touch()
    expected = f"{tmp_path}/press.pt is neither a folder nor an ONNX file (*.onnx); name one with --models."
    with pytest.raises(StartError, match=re.escape(expected)):
        serve(tmp_path / "press.pt")


def test_the_model_file_of_a_bundle_is_served_with_its_bundle_only(
    models: Path, start_error: StartAndReadError
) -> None:
    bundle = models / "pump" / "1"
    assert start_error(bundle / "model.onnx") == (
        f"{bundle}/model.onnx is a part of a bundle; serve the whole bundle: --models {bundle}."
    )


# --- what no answer can be given for ---


def test_a_folder_without_a_model_at_the_place_of_a_version_is_refused(models: Path) -> None:
    (models / "pump" / "2").mkdir()
    (models / "pump" / "2" / "model.pt").touch()
    with running(models, until="listening") as server:
        assert server.event("refused")["error"] == (f"{models}/pump/2 holds neither manifest.json nor an ONNX file.")


def test_a_bundle_without_its_manifest_is_no_plain_model(models: Path, start_error: StartAndReadError) -> None:
    (models / "pump" / "1" / "manifest.json").unlink()
    assert start_error(models) == (
        f"{models}/pump/1 holds signature.json and no manifest.json: the bundle is incomplete; copy all of it."
    )


def test_several_onnx_files_are_not_chosen_among(tmp_path: Path, start_error: StartAndReadError) -> None:
    for name in ("a.onnx", "b.onnx"):
        put(linear_model(), tmp_path / "linear" / "1" / name)
    assert "holds several ONNX files (a.onnx, b.onnx); call the one to serve model.onnx" in start_error(tmp_path)


def test_a_file_that_is_no_onnx_model_is_refused(plain: Path, start_error: StartAndReadError) -> None:
    (plain / "linear" / "1" / "model.onnx").write_bytes(b"not a model")
    assert "model linear 1 cannot be loaded by onnxruntime" in start_error(plain)


def test_a_locale_that_is_not_installed_is_named(tmp_path: Path, start_error: StartAndReadError) -> None:
    put(lower_case_model("xx_XX.UTF-8"), tmp_path / "text" / "1" / "model.onnx")
    assert start_error(tmp_path) == (
        "model text 1 cannot be loaded by onnxruntime: it changes the case of text by the locale xx_XX.UTF-8, which is "
        "not installed here."
    )


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path, start_error: StartAndReadError) -> None:
    nodes = [helper.make_node("ZipMap", ["X"], ["Z"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])]
    model = make_model(nodes, [None, 3], [None])
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    values = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    model.graph.output[0].CopyFrom(helper.make_value_info("Z", helper.make_sequence_type_proto(values)))
    put(model, tmp_path / "zipped" / "1" / "model.onnx")
    assert start_error(tmp_path) == (
        "'Z' of model zipped 1 is seq(map(int64,tensor(float))), which a ZipMap makes, and no tensor; export the model "
        "without it (skl2onnx: convert_sklearn(..., options={'zipmap': False})), or make a bundle of it with "
        "`kfp-edge run delivery`, which removes it."
    )


# --- its batch dimension ---

SUM = [helper.make_node("ReduceSum", ["X"], ["Y"], keepdims=1)]
COPY = [helper.make_node("Identity", ["X"], ["Y"])]


@pytest.mark.parametrize("name", ["batch", "batch_size", "N", "Batch Size"])
def test_a_first_dimension_that_is_called_batch_everywhere_is_the_rows(tmp_path: Path, name: str) -> None:
    model = load(linear_model(name), tmp_path, max_rows=2)
    assert (model.inputs["X"].batch_dimension, model.outputs["Y"].batch_dimension) == (0, 0)
    rows = {"name": "X", "datatype": "FP32", "shape": [3, 3], "data": [0] * 9}
    with pytest.raises(RequestError, match="3 rows are more than this server takes at once"):
        ask(model, {"inputs": [rows]})


@pytest.mark.parametrize(
    ("input_shape", "output_shape"),
    [
        (["nodes", 3], ["nodes", 3]),
        ([None, 3], [None, 3]),
        (["batch", 3], ["rows", 3]),
        ([2, 3], [2, 3]),
    ],
)
def test_no_other_dimension_is_taken_for_rows(tmp_path: Path, input_shape: list[Any], output_shape: list[Any]) -> None:
    model = load(make_model(COPY, input_shape, output_shape), tmp_path)
    assert (model.inputs["X"].batch_dimension, model.outputs["Y"].batch_dimension) == (None, None)


def test_its_rows_are_computed_with_no_others(tmp_path: Path) -> None:
    model = load(make_model(COPY, ["batch", 3], ["batch", 3]), tmp_path)
    model.start_serving(is_slow=False)
    assert model.max_rows_at_once <= 1


def test_a_signal_of_any_length_is_taken(tmp_path: Path) -> None:
    model = load(make_model(SUM, ["length"], [1]), tmp_path)
    samples = {"name": "X", "datatype": "FP32", "shape": [16_000], "data": np.ones(16_000).tolist()}
    assert ask(model, {"inputs": [samples]})["outputs"][0]["data"] == [16_000]
