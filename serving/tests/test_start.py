"""Errors at the start of the server, and its end."""

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from serving_support.bundles import mixed_bundle, numeric_bundle, sign
from serving_support.server_process import running, start
from serving_support.waiting import until

StartError = Callable[[Path], str]


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file of a bundle and sign the bundle again, as if it had always been so."""
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    if path.name != "manifest.json":
        sign(path.parent)


def test_one_altered_byte_of_the_model_is_refused(tmp_path: Path, start_error: StartError) -> None:
    model = numeric_bundle(tmp_path) / "model.onnx"
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    assert start_error(tmp_path) == f"{model} was altered: its sha256 is not the one in the manifest."


def test_a_missing_file_is_refused(tmp_path: Path, start_error: StartError) -> None:
    card = numeric_bundle(tmp_path) / "model_card.md"
    card.unlink()
    assert start_error(tmp_path) == f"cannot read {card}: No such file or directory."


def test_a_model_whose_outputs_differ_from_the_verified_ones_is_refused(
    tmp_path: Path, start_error: StartError
) -> None:
    folder = numeric_bundle(tmp_path)

    def worse(samples: Any) -> None:
        samples["samples"][0]["response"]["outputs"][1]["data"][0] += 0.01

    edit(folder / "samples.json", worse)
    assert "model pump 1 fails its self-test: output 'probabilities' of recorded request 0" in start_error(tmp_path)


def test_a_model_that_refuses_its_own_recorded_request_is_refused(tmp_path: Path, start_error: StartError) -> None:
    folder = mixed_bundle(tmp_path)
    edit(folder / "signature.json", lambda signature: signature["inputs"][1]["columns"][0].update(categories=["L"]))
    assert "refuses its recorded request 0: input 'Type', row 0: 'H' is not a category" in start_error(tmp_path)


def test_a_signature_that_does_not_fit_the_model_is_refused(tmp_path: Path, start_error: StartError) -> None:
    folder = numeric_bundle(tmp_path)
    edit(folder / "signature.json", lambda signature: signature["inputs"][0].update(datatype="FP64"))
    assert "does not match its model: inputs are {'X': 'FP32'}, not {'X': 'FP64'}" in start_error(tmp_path)


def test_a_zipmap_is_refused_with_what_to_do(tmp_path: Path, start_error: StartError) -> None:
    folder = numeric_bundle(tmp_path)
    model = onnx.load(folder / "model.onnx")
    model.graph.node.append(
        helper.make_node("ZipMap", ["probabilities"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    map_type = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, shape=None)
    )
    model.graph.output.append(helper.make_value_info("maps", helper.make_sequence_type_proto(map_type)))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    sign(folder)
    assert start_error(tmp_path) == (
        "'maps' of model pump 1 is seq(map(int64,tensor(float))), which a ZipMap makes, and no tensor; "
        "export the model without it (skl2onnx: convert_sklearn(..., options={'zipmap': False})), or make a bundle of "
        "it with `kfp-edge run delivery`, which removes it."
    )


def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: Path, start_error: StartError) -> None:
    folder = numeric_bundle(tmp_path)
    (folder / "model.onnx").write_bytes(b"not a model")
    sign(folder)
    assert "model pump 1 cannot be loaded by onnxruntime" in start_error(tmp_path)


@pytest.mark.parametrize("name", ["manifest.json", "signature.json", "samples.json"])
def test_a_file_that_does_not_follow_the_contract_is_refused(
    tmp_path: Path, start_error: StartError, name: str
) -> None:
    folder = numeric_bundle(tmp_path)
    edit(folder / name, lambda content: content.clear())
    assert f"{folder / name} does not follow the bundle contract: it lacks '" in start_error(tmp_path)


def test_a_bundle_in_a_folder_of_another_name_is_refused(tmp_path: Path, start_error: StartError) -> None:
    numeric_bundle(tmp_path).rename(tmp_path / "pump" / "2")
    assert "holds pump 1; the folders must be named after it" in start_error(tmp_path)


def test_a_folder_without_models_is_refused(tmp_path: Path, start_error: StartError) -> None:
    assert start_error(tmp_path) == (
        f"there is no model in {tmp_path} (--models); put a bundle or an ONNX file into {tmp_path}/<name>/<version>/."
    )


def test_where_a_bundle_is_required_no_other_model_is_asked_for(tmp_path: Path) -> None:
    with start(tmp_path, "--require-bundle", "on") as process:
        stdout, _ = process.communicate(timeout=60)
    assert json.loads(stdout.splitlines()[-1])["error"] == (
        f"there is no model in {tmp_path} (--models); put a bundle into {tmp_path}/<name>/<version>/."
    )


def test_a_port_in_use_is_a_start_error(tmp_path: Path) -> None:
    numeric_bundle(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, "--port", str(port))
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(stdout.splitlines()[-1])["error"].startswith(f"cannot listen on 127.0.0.1 port {port}")


def test_sigterm_ends_it_with_exit_code_0(tmp_path: Path) -> None:
    numeric_bundle(tmp_path)
    with running(tmp_path) as server:
        assert server.stop() == 0


def test_a_request_in_flight_is_answered_before_the_server_ends(tmp_path: Path) -> None:
    folder = numeric_bundle(tmp_path)
    request = json.dumps(json.loads((folder / "samples.json").read_bytes())["samples"][0]["request"]).encode()
    with running(tmp_path) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest("POST", "/v2/models/pump/infer")
        connection.putheader("Content-Length", str(len(request)))
        connection.endheaders(request[:10])
        until(lambda: "in_flight 1" in server.get("/metrics")[1])
        server.process.terminate()
        connection.send(request[10:])
        assert connection.getresponse().status == 200
        connection.close()
        assert server.process.wait(timeout=30) == 0


def test_every_event_is_one_json_line(tmp_path: Path) -> None:
    numeric_bundle(tmp_path)
    with running(tmp_path) as server:
        server.stop()
        assert server.process.stdout is not None
        events = [json.loads(line) for line in server.process.stdout]
    assert [event["event"] for event in events] == ["draining", "stopped"]
    assert events[0].keys() == {"time", "level", "event", "shutdown_delay"}


def test_a_folder_that_kserve_announces_is_waited_for(tmp_path: Path) -> None:
    numeric_bundle(tmp_path / "root")
    with running(tmp_path / "models", until="listening", MODEL_INIT_MODE="async") as server:
        server.event("waiting for models")
        assert server.get("/v2/health/live")[0] == 200
        assert server.get("/v2/health/ready")[0] == 503
        (tmp_path / "models").symlink_to(tmp_path / "root")
        server.event("ready")
        assert server.get("/v2/health/ready")[0] == 200


def test_a_server_that_waits_for_its_folder_ends_with_sigterm(tmp_path: Path) -> None:
    with running(tmp_path / "models", until="listening", MODEL_INIT_MODE="async") as server:
        server.event("waiting for models")
        assert server.stop() == 0


def test_a_folder_that_nobody_announces_is_an_error(tmp_path: Path, start_error: StartError) -> None:
    assert "cannot read" in start_error(tmp_path / "models")
