import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from kfp_edge.components.fetch_model.fetch_model import fetch_model
from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.files import sha256_file
from support.s3 import s3_server
from support.web_server import serve_folder


def onnx_model() -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones((2, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "twice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def sklearn_model() -> LogisticRegression:
    return LogisticRegression().fit(np.array([[0.0], [1.0]]), np.array([0, 1]))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    onnx.save(onnx_model(), folder / "pump.onnx")
    skops.io.dump(sklearn_model(), folder / "pump.skops")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Yield where the model goes, and check that no temporary file is left."""
    yield tmp_path / "out" / "fetched"
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("kind", ["onnx", "skops"])
def test_a_model_is_copied_unchanged(models: Path, target: Path, kind: str) -> None:
    assert fetch_model(str(models / f"pump.{kind}"), "", target) == kind
    assert target.read_bytes() == (models / f"pump.{kind}").read_bytes()


@pytest.mark.parametrize("kind", ["onnx", "skops"])
def test_the_format_is_detected_by_content_and_not_by_name(models: Path, target: Path, kind: str) -> None:
    (models / f"pump.{kind}").rename(models / "model.bin")
    assert fetch_model(str(models / "model.bin"), "", target) == kind


def test_the_only_model_in_a_folder_is_fetched(models: Path, target: Path) -> None:
    (models / "pump.skops").unlink()
    (models / "notes.txt").write_text("")
    assert fetch_model(str(models), "", target) == "onnx"


def test_an_example_model_is_taken_from_its_folder(models: Path, target: Path) -> None:
    assert fetch_model("example:pump", "", target, examples=models) == "onnx"


def test_a_model_comes_from_s3(models: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(tmp_path / "s3") as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket="models")
        server.client().upload_file(str(models / "pump.skops"), "models", "v1/pump.skops")
        assert fetch_model("s3://models/v1", "", target) == "skops"


def test_the_right_hash_is_accepted_in_any_case(models: Path, target: Path) -> None:
    assert fetch_model(str(models / "pump.onnx"), sha256_file(models / "pump.onnx").upper(), target) == "onnx"


def assert_refused(model: object, message: str, target: Path, sha256: str = "", examples: Path | None = None) -> None:
    with pytest.raises(KfpEdgeError, match=message) as caught:
        fetch_model(str(model), sha256, target, *([examples] if examples else []))
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_another_hash_is_refused_with_both_hashes(models: Path, target: Path) -> None:
    actual = sha256_file(models / "pump.onnx")
    message = f"the sha256 of the model .* is {actual}, not {'0' * 64}"
    assert_refused(models / "pump.onnx", message, target, sha256="0" * 64)


def test_an_invalid_hash_is_refused(models: Path, target: Path) -> None:
    assert_refused(models / "pump.onnx", "64 hex digits", target, sha256="abc")


def test_a_missing_model_is_named(models: Path, target: Path) -> None:
    assert_refused(models / "fan.onnx", "no file or folder .*fan.onnx", target)


def test_a_folder_with_several_models_is_refused_with_their_names(models: Path, target: Path) -> None:
    assert_refused(models, "several models \\(pump.onnx, pump.skops\\)", target)


def test_a_folder_without_a_model_is_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", "contains no .onnx or .skops file", target)


def test_an_unknown_example_is_refused_with_the_available_ones(models: Path, target: Path) -> None:
    assert_refused("example:fan", "no example model 'fan'; the examples are: pump", target, examples=models)


def test_an_empty_model_is_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    assert_refused(tmp_path / "model.onnx", "is empty", target)


@pytest.mark.parametrize("kind", ["onnx", "skops"])
def test_a_truncated_model_is_refused(models: Path, target: Path, kind: str) -> None:
    path = models / f"pump.{kind}"
    path.write_bytes(path.read_bytes()[:-30])
    assert_refused(path, f"pump.{kind} is (damaged|no ONNX file, or was cut short)", target)


def test_an_altered_skops_model_is_refused(models: Path, target: Path) -> None:
    path = models / "pump.skops"
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    assert_refused(path, "pump.skops (was altered|is damaged)", target)


def test_an_altered_onnx_model_is_refused(models: Path, target: Path) -> None:
    path = models / "pump.onnx"
    path.write_bytes(path.read_bytes().replace(b"MatMul", b"MatMuX"))
    assert_refused(path, "no valid ONNX file", target)


@pytest.mark.parametrize("name", ["pump.pkl", "pump.onnx", "pump.bin"])
def test_a_pickle_is_refused_whatever_its_name(tmp_path: Path, target: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(sklearn_model()))
    assert_refused(tmp_path / name, "a pickle can execute code; save it with skops", target)


def test_a_pickle_is_never_loaded(tmp_path: Path, target: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "pump.onnx").write_bytes(pickle.dumps(Trap()))
    assert_refused(tmp_path / "pump.onnx", "pickle", target)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("compress", [0, 3])
def test_a_joblib_file_is_refused(tmp_path: Path, target: Path, compress: int) -> None:
    joblib.dump(sklearn_model(), tmp_path / "pump.joblib", compress=compress)
    assert_refused(tmp_path / "pump.joblib", "a pickle can execute code", target)


def test_a_folder_with_only_a_pickle_is_refused_with_a_hint(tmp_path: Path, target: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pump.pkl").write_bytes(pickle.dumps(sklearn_model()))
    assert_refused(tmp_path / "old", "save it with skops", target)


def test_an_ordinary_archive_is_refused(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("weights.bin", b"1")
    assert_refused(tmp_path / "model.zip", "contains neither an ONNX model nor one of skops", target)


def test_text_is_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / "model.onnx").write_text("<html>sign in</html>")
    assert_refused(tmp_path / "model.onnx", "no ONNX file, or was cut short or altered; copy it again", target)


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Return the folder of a model whose weights are in another file."""
    folder = tmp_path / "divided"
    folder.mkdir()
    onnx.save(onnx_model(), folder / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    return folder


def assert_complete(model: Path) -> None:
    """Check that a fetched model answers without any other file."""
    session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 2), np.float32)})[0].tolist() == [[2.0]]


@pytest.mark.parametrize("name", ["", "m.onnx"])
def test_weights_in_another_file_of_the_folder_come_with_the_model(divided: Path, target: Path, name: str) -> None:
    sha256 = sha256_file(divided / "m.onnx")
    assert fetch_model(str(divided / name), sha256, target) == "onnx"
    assert_complete(target)


def make_archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("folder", ["", "export/"])
def test_an_archive_of_a_model_and_its_weights_is_fetched_as_one_model(
    divided: Path, target: Path, tmp_path: Path, folder: str
) -> None:
    members = {f"{folder}{file.name}": file.read_bytes() for file in divided.iterdir()}
    assert fetch_model(str(make_archive(tmp_path / "model.zip", members)), "", target) == "onnx"
    assert_complete(target)


def test_an_archive_without_one_complete_model_is_refused(divided: Path, target: Path, tmp_path: Path) -> None:
    model = (divided / "m.onnx").read_bytes()
    path = make_archive(tmp_path / "model.zip", {"m.onnx": model})
    assert_refused(path, "weights of the model are in another file, m.onnx.data", target)
    make_archive(path, {"a.onnx": model, "b.onnx": model})
    assert_refused(path, r"several models \(a.onnx, b.onnx\); name the file of one model", target)
    path = make_archive(tmp_path / "net.pt", {"net/data.pkl": b""})
    assert_refused(path, "net.pt is a file of PyTorch, and ONNX or skops is needed; .* torch.onnx.export", target)


def test_a_member_of_an_archive_never_leaves_its_folder(target: Path, tmp_path: Path) -> None:
    model = onnx_model().SerializeToString()
    path = make_archive(tmp_path / "model.zip", {"../../outside.onnx": model})
    assert fetch_model(str(path), "", target) == "onnx"
    assert not list(tmp_path.parent.rglob("outside.onnx"))


def test_a_model_in_the_format_of_its_library_is_named_with_its_exporter(target: Path, tmp_path: Path) -> None:
    path = tmp_path / "booster.json"
    path.write_text('{"learner": {}}')
    assert_refused(path, "booster.json is a file of XGBoost, .* convert_xgboost of onnxmltools", target)


def test_a_graph_without_inputs_or_outputs_is_refused(target: Path, tmp_path: Path) -> None:
    for part in ("input", "output"):
        model = onnx_model()
        del getattr(model.graph, part)[:]
        onnx.save(model, tmp_path / "empty.onnx")
        assert_refused(tmp_path / "empty.onnx", f"has no {part}s, as if it was cut short", target)


@pytest.mark.parametrize(("opset", "needed"), [(1, 18), (99, 22)])
def test_an_operator_set_that_cannot_be_converted_is_refused_with_one_to_export(
    target: Path, tmp_path: Path, opset: int, needed: int
) -> None:
    model = onnx_model()
    model.opset_import[0].version = opset
    if opset == 1:
        model.graph.node[0].op_type = "Add"  # it needs an attribute to broadcast there
    onnx.save(model, tmp_path / "other.onnx")
    message = f"operator set {opset}, and the server has 7 to 22; export it with opset_version={needed}"
    assert_refused(tmp_path / "other.onnx", message, target)


@pytest.mark.parametrize("address", ["s3://models/v1", "s3://models/v1/m.onnx"])
def test_weights_in_another_object_come_with_the_model(
    divided: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with s3_server(tmp_path / "s3") as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket="models")
        for file in divided.iterdir():
            server.client().upload_file(str(file), "models", f"v1/{file.name}")
        assert fetch_model(address, "", target) == "onnx"
    assert_complete(target)


def test_weights_beside_the_model_on_a_web_server_come_with_it(divided: Path, target: Path) -> None:
    with serve_folder(divided) as address:
        assert fetch_model(f"{address}/m.onnx", "", target) == "onnx"
    assert_complete(target)


def test_missing_weights_are_named(divided: Path, target: Path) -> None:
    (divided / "m.onnx.data").unlink()
    assert_refused(divided / "m.onnx", "in another file, m.onnx.data, which is not beside it; bring both", target)


def test_weights_missing_on_a_web_server_are_named(divided: Path, target: Path) -> None:
    (divided / "m.onnx.data").unlink()
    with serve_folder(divided) as address:
        assert_refused(f"{address}/m.onnx", "m.onnx.data, which cannot be fetched: there is nothing at", target)


def test_truncated_weights_are_refused(divided: Path, target: Path) -> None:
    (divided / "m.onnx.data").write_bytes(b"\0\0\0")
    assert_refused(divided / "m.onnx", "weights of the model in m.onnx.data cannot be read", target)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "a\\b"])
def test_weights_outside_of_the_folder_are_never_read(divided: Path, target: Path, location: str) -> None:
    (divided.parent / "secret").write_bytes(b"\0" * 8)
    proto = onnx.load(divided / "m.onnx", load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = location
    (divided / "m.onnx").write_bytes(proto.SerializeToString())
    assert_refused(divided / "m.onnx", "not in its folder; save the model as one file", target)


def test_weights_behind_a_link_out_of_the_folder_are_never_read(divided: Path, target: Path) -> None:
    (divided / "m.onnx.data").rename(divided.parent / "secret")
    (divided / "m.onnx.data").symlink_to(divided.parent / "secret")
    assert_refused(divided / "m.onnx", "m.onnx.data cannot be read", target)
