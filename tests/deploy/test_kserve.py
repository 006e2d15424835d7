"""The runtime of KServe: valid manifests, and a server that starts as KServe starts it.

KServe (pkg/controller/v1beta1/inferenceservice/utils/utils.go) replaces `{{.Name}}` by the name of the InferenceService
and appends its arguments to those of the runtime; what `storageUri` names is mounted at /mnt/models.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc.service_pb2 import ServerReadyRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from yaml import safe_load

from kfp_edge_serving.limits import Limits
from serving_support.bundles import numeric_bundle
from serving_support.plain_models import WEIGHTS, linear_model, put, with_external_weights
from serving_support.server_process import Server, running
from support.bundles import tiny_bundle
from support.manifests import KSERVE, rendered
from support.modelcars import base_with_shell, kserve_pod, modelcar
from support.paths import ROOT
from support.schemas import check
from support.serving_images import Container, container, serving_image, stored

BUNDLES, PLAIN = "kfp-edge", "kfp-edge-onnx"
EXAMPLES = sorted(KSERVE.glob("examples/*.yaml"))
NAME = "line-3"
MODELS = "/mnt/models"
ROW = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}


@cache
def runtimes() -> dict[str, dict[str, Any]]:
    """Return the runtimes that are applied, by name."""
    return {runtime["metadata"]["name"]: runtime for runtime in rendered(KSERVE)}


def read_container(runtime: str = PLAIN) -> dict[str, Any]:
    """Return the container of a runtime as KServe makes it for an InferenceService."""
    (only,) = json.loads(json.dumps(runtimes()[runtime]).replace("{{.Name}}", NAME))["spec"]["containers"]
    result: dict[str, Any] = only
    return result


def put_bundle(models: Path) -> None:
    """Lay out a bundle as the storage initializer downloads it: the files of its folder."""
    numeric_bundle(models.parent / "staging")
    (models.parent / "staging" / "pump" / "1").rename(models)


def put_bundle_of_image(models: Path) -> None:
    """Lay out a bundle as the image of a model has it under /models."""
    numeric_bundle(models)


def put_file(models: Path) -> None:
    put(linear_model(), models / "pump.onnx")


def put_file_with_weights(models: Path) -> None:
    put(with_external_weights("pump.onnx.data"), models / "pump.onnx")
    (models / "pump.onnx.data").write_bytes(WEIGHTS.tobytes())


def put_versions(models: Path) -> None:
    """Lay out a model as OpenVINO's model server wants it."""
    put(linear_model(), models / "1" / "model.onnx")


def put_repository(models: Path) -> None:
    """Lay out a model as Triton wants it."""
    put(linear_model(), models / "pump" / "1" / "model.onnx")
    (models / "pump" / "config.pbtxt").write_text('backend: "onnxruntime"')


def put_linked_volume(models: Path) -> None:
    """Lay out a volume as the storage initializer does where it links each entry (`_download_local`)."""
    volume = models.parent / "volume"
    put_file_with_weights(volume)
    models.mkdir()
    for path in volume.iterdir():
        (models / path.name).symlink_to(path)


def put_linked_versions(models: Path) -> None:
    put_versions(models.parent / "volume")
    models.mkdir()
    (models / "1").symlink_to(models.parent / "volume" / "1")


def put_linked_folder(models: Path) -> None:
    """Lay out a bundle as the sidecar of a model image does: /mnt/models is a link."""
    put_bundle(models.parent / "root")
    models.symlink_to(models.parent / "root")


LAYOUTS: list[Callable[[Path], None]] = [
    put_bundle,
    put_bundle_of_image,
    put_file,
    put_file_with_weights,
    put_versions,
    put_repository,
    put_linked_volume,
    put_linked_versions,
    put_linked_folder,
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid_and_has_no_unknown_field(path: Path) -> None:
    check(safe_load(path.read_text()))


@pytest.mark.parametrize("name", [BUNDLES, PLAIN])
def test_a_runtime_is_valid_and_names_the_image_by_digest(name: str) -> None:
    check(runtimes()[name])
    assert "@sha256:" in runtimes()[name]["spec"]["containers"][0]["image"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_asks_for_what_its_runtime_has(path: Path) -> None:
    model = safe_load(path.read_text())["spec"]["predictor"]["model"]
    runtime = runtimes()[model["runtime"]]["spec"]
    assert model["protocolVersion"] in runtime["protocolVersions"]
    assert model["modelFormat"]["name"] in [each["name"] for each in runtime["supportedModelFormats"]]


@pytest.mark.parametrize(("name", "model_format"), [(BUNDLES, "kfp-edge-bundle"), (PLAIN, "onnx")])
def test_a_runtime_is_chosen_for_its_format_by_itself(name: str, model_format: str) -> None:
    (only,) = runtimes()[name]["spec"]["supportedModelFormats"]
    assert (only["name"], only["autoSelect"]) == (model_format, True)


def test_a_prometheus_that_reads_annotations_finds_the_port_of_the_metrics() -> None:
    annotations = runtimes()[BUNDLES]["spec"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(read_container(BUNDLES)["ports"][0]["containerPort"])


def test_the_probes_that_the_readme_of_the_server_shows_are_those_of_the_runtime() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "serving/README.md").read_text(), re.DOTALL | re.MULTILINE)
    pod = safe_load(example)["spec"]
    limits = Limits()
    assert pod["terminationGracePeriodSeconds"] > limits.shutdown_delay + limits.drain_timeout
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert pod["containers"][0][probe] == read_container(BUNDLES)[probe]


@contextmanager
def started(models: Path, *more: str, runtime: str = PLAIN) -> Iterator[Server]:
    """Start the server with the arguments of a runtime, in a folder of this machine and on free ports."""
    local = {MODELS: str(models), "8080": "0", "8081": "0"}
    arguments = [*read_container(runtime)["args"], *more]
    for old, new in local.items():
        arguments = [text.replace(f"={old}", f"={new}") for text in arguments]
    with running(models, *arguments) as server:
        yield server


@pytest.mark.parametrize("lay_out", LAYOUTS)
def test_the_server_takes_the_arguments_and_the_layout_of_kserve(
    tmp_path: Path, lay_out: Callable[[Path], None]
) -> None:
    lay_out(tmp_path / "models")
    with started(tmp_path / "models", "--access-log=on") as server:
        status, answer = server.infer(NAME, ROW)
        assert (status, answer["model_name"]) == (200, NAME)
        assert server.grpc_port is not None


def test_the_runtime_of_bundles_serves_a_bundle(tmp_path: Path) -> None:
    put_bundle(tmp_path / "models")
    with started(tmp_path / "models", runtime=BUNDLES) as server:
        assert server.infer(NAME, ROW)[0] == 200


def test_the_runtime_of_bundles_refuses_a_model_without_one(tmp_path: Path) -> None:
    put_file(tmp_path / "models")
    local = {"--model_dir": tmp_path / "models", "--http_port": 0, "--grpc_port": 0}
    arguments = [*read_container(BUNDLES)["args"], *(f"{name}={value}" for name, value in local.items())]
    ended = subprocess.run(
        [sys.executable, "-m", "kfp_edge_serving", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "holds a model without a bundle" in ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with stored(serving_image()[0]) as name:
        yield name


def get(running: Container, path: str) -> int:
    with urllib.request.urlopen(f"http://{running.address(8080)}{path}") as answer:
        return int(answer.status)


@pytest.mark.containers
@pytest.mark.xdist_group(__name__)
@pytest.mark.parametrize("lay_out", [put_bundle, put_bundle_of_image, put_file])
def test_the_image_serves_what_kserve_mounts_and_answers_its_probes(
    image: str, tmp_path: Path, lay_out: Callable[[Path], None]
) -> None:
    lay_out(tmp_path / "models")
    shutil.copymode(Path("/usr"), tmp_path)
    settings = read_container()
    with container(image, tmp_path / "models", mount=MODELS, arguments=settings["args"]) as running_image:
        running_image.wait_until_healthy()
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert settings[probe]["httpGet"]["port"] == settings["ports"][0]["containerPort"] == 8080
            assert get(running_image, settings[probe]["httpGet"]["path"]) == 200
        request = urllib.request.Request(
            f"http://{running_image.address(8080)}/v2/models/{NAME}/infer", json.dumps(ROW).encode()
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["model_name"] == NAME
        with grpc.insecure_channel(running_image.address(settings["ports"][1]["containerPort"])) as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert stub.ServerReady(ServerReadyRequest(), wait_for_ready=True, timeout=30).ready
        assert running_image.stop() == "0"


@pytest.mark.containers
@pytest.mark.xdist_group(__name__)
def test_the_runtime_serves_a_modelcar_whose_sidecar_starts_after_it(tmp_path: Path) -> None:
    image = modelcar(tiny_bundle(tmp_path / "bundle"), f"oci:{tmp_path}/out", base_with_shell(tmp_path / "base"))
    with kserve_pod(image, read_container(BUNDLES)["args"]) as server:
        while not (status := _ask(server)):
            assert server.is_running(), server.log()
            time.sleep(0.1)
        assert status == 200
        assert '"verified":true' in server.log()
        assert '"event":"waiting for models"' in server.log()


def _ask(server: Container) -> int:
    """Return the status of the model; 0 until the server is ready."""
    try:
        return get(server, f"/v2/models/{NAME}/ready")
    except OSError:
        return 0
