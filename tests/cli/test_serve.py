"""`kfp-edge serve` runs the server of the edge image on a laptop."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.bundles import ROWS, tiny_bundle

KFP_EDGE = Path(sys.executable).with_name("kfp-edge")


@pytest.mark.parametrize("path", ["run/artifacts/training-1/verify/bundle", "run"])
def test_a_bundle_or_that_of_a_run_is_served_until_ctrl_c(tmp_path: Path, path: str) -> None:
    bundle = tiny_bundle(tmp_path / "run/artifacts/training-1/verify/bundle")
    command = [KFP_EDGE, "serve", tmp_path / path, "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        events = (json.loads(line) for line in process.stdout)
        port = next(event["port"] for event in events if event["event"] == "ready")
        model = bundle.manifest.name
        request = {"rows": [dict(zip(("x0", "x1"), ROWS[0], strict=True))]}
        url = f"http://127.0.0.1:{port}/v2/models/{model}/infer"
        with urllib.request.urlopen(url, json.dumps(request).encode()) as response:
            assert json.load(response)["outputs"][0]["data"] == [5.0]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([KFP_EDGE, "serve", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"error: there is no bundle in {tmp_path}; name a run's folder, or the bundle that verify wrote.\n"
    )


def test_a_run_that_failed_has_no_bundle_and_its_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "run.log").write_text("no scale")
    done = subprocess.run([KFP_EDGE, "serve", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == f"error: the run in {tmp_path} ended before it had a bundle; {tmp_path}/logs/run.log says why.\n"
    )


def test_an_altered_bundle_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    (bundle.folder / "model.onnx").write_bytes(b"other")
    done = subprocess.run([KFP_EDGE, "serve", bundle.folder], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "model.onnx was altered after it was verified" in done.stderr
    assert done.stderr.count("\n") == 1


def test_grpc_can_be_switched_off(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    command = [KFP_EDGE, "serve", bundle.folder, "--port", "0", "--grpc-port", "off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = next(event for event in map(json.loads, process.stdout) if event["event"] == "ready")
        assert ready.get("grpc_port") is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("port", ["none", "-1", "65536", "8081.5"])
def test_what_is_no_port_is_wrong_usage(tmp_path: Path, port: str) -> None:
    command = [KFP_EDGE, "serve", tmp_path, f"--grpc-port={port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give 0 to 65535, or off" in " ".join(done.stderr.replace("│", " ").split())
