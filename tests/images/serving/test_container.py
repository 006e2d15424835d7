"""The image at work: under OpenShift's restrictions, and for another processor."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc.service_pb2 import ServerReadyRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from kfp_edge.images.platforms import native_platform
from serving_support.bundles import mixed_bundle, mixed_request
from serving_support.plain_models import linear_model, lower_case_model, put
from support.serving_images import Container, container, podman, run_podman, serving_image, stored

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group(__name__)]

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# As qemu's own scripts register it. F: the kernel opens the emulator now, as no container has it.
_AARCH64 = (
    r":{name}:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{emulator}:F"
)
# The kernel shows a container its real processor, at which onnxruntime crashes when another one is emulated.
_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    mixed_bundle(folder)
    tmp_path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with stored(serving_image()[0]) as name:
        yield name


def infer(running: Container, model: str, request: Any) -> Any:
    """Return the server's answer."""
    address = f"http://{running.address(8080)}/v2/models/{model}/infer"
    with urllib.request.urlopen(address, json.dumps(request).encode()) as answer:
        return json.load(answer)


def predict(running: Container) -> list[int]:
    """Return the server's predictions for `mixed_request`."""
    predictions: list[int] = infer(running, "mill", mixed_request())["outputs"][0]["data"]
    return predictions


def is_ready_over_grpc(running: Container) -> bool:
    with grpc.insecure_channel(running.address(8081)) as channel:
        stub = GRPCInferenceServiceStub(channel)
        return bool(stub.ServerReady(ServerReadyRequest(), wait_for_ready=True, timeout=30).ready)


def test_it_serves_under_openshifts_restrictions_and_stops_cleanly(image: str, models: Path) -> None:
    with container(image, models) as running:
        running.wait_until_healthy()
        assert predict(running) == [1, 0]
        assert is_ready_over_grpc(running)
        assert running.stop() == "0"


def test_it_refuses_models_without_a_bundle_unless_it_is_told_otherwise(image: str, models: Path) -> None:
    put(linear_model(), models / "linear" / "1" / "model.onnx")
    with container(image, models) as running:
        running.wait_until_healthy()
        assert "a model without a bundle, which this server refuses (--require-bundle on)" in running.log()
        assert '"model":"mill"' in running.log()


@pytest.mark.parametrize("locale", [None, "en_US", "en_US.UTF-8", "C.UTF-8"])
def test_it_serves_models_of_text_by_every_name_of_its_locale(image: str, models: Path, locale: str | None) -> None:
    put(lower_case_model(locale), models / "text" / "1" / "model.onnx")
    with container(image, models, arguments=["--require-bundle=off"]) as running:
        running.wait_until_healthy()
        texts = {"name": "X", "datatype": "BYTES", "shape": [2], "data": ["ÄÖÜ ŁÓDŹ", "ЖЩ ΑΒΓ"]}
        answer = infer(running, "text", {"inputs": [texts]})
    assert answer["outputs"][0]["data"] == ["äöü łódź", "жщ αβγ"]


def test_the_health_check_fails_where_no_server_is_ready(image: str, models: Path) -> None:
    with container(image, models, '--entrypoint=["python3", "-c", "import signal; signal.pause()"]') as running:
        assert not running.is_healthy()


def test_nothing_is_compiled_when_it_starts_and_answers(image: str, models: Path) -> None:
    with container(image, models, '--entrypoint=["python3", "-v", "-m", "kfp_edge_serving"]') as running:
        running.wait_until_healthy()
        predict(running)
        is_ready_over_grpc(running)
        log = run_podman("logs", running.name).stderr.splitlines()
    loaded = [line for line in log if line.startswith("# code object from '/")]
    assert len(loaded) > 100
    assert [line for line in loaded if "/opt/kfp-edge/pyc/" not in line] == []


def test_messages_are_read_by_compiled_code(image: str) -> None:
    program = "from google.protobuf.internal import api_implementation as implementation; print(implementation.Type())"
    assert podman("run", "--rm", "--entrypoint=python3", image, "-c", program) == "upb"


def test_the_arm64_image_starts_and_answers_under_an_emulator(models: Path, tmp_path: Path) -> None:
    if native_platform().architecture == "arm64":
        pytest.skip("this machine runs arm64 itself")
    (tmp_path / "cpuinfo").write_text(_CPUINFO)
    with (
        _arm64_emulated(),
        stored(serving_image("arm64")[0], "--override-arch=arm64", "--override-variant=v8") as image,
        container(image, models, f"--volume={tmp_path}/cpuinfo:/proc/cpuinfo:ro", "--memory=512m") as running,
    ):
        running.wait_until_healthy()
        assert podman("exec", running.name, "python3", "-c", "import platform; print(platform.machine())") == "aarch64"
        assert predict(running) == [1, 0]
        assert is_ready_over_grpc(running)


@contextmanager
def _arm64_emulated() -> Iterator[None]:
    """Let the kernel start programs for arm64 while the block runs, or skip the test where that cannot be."""
    emulators = [path.read_text() for path in _BINFMT.glob("qemu-aarch64*")]
    if any(re.search("^enabled$.*^flags: .*F", emulator, re.DOTALL | re.MULTILINE) for emulator in emulators):
        yield
        return
    emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-user-static is not installed")
    with _mounted_binfmt():
        entry = _BINFMT / "kfp-edge-test"
        try:
            (_BINFMT / "register").write_text(_AARCH64.format(name=entry.name, emulator=emulator))
        except OSError as error:
            pytest.skip(f"emulation cannot be registered in {_BINFMT}, which root may: {error.strerror}")
        try:
            yield
        finally:
            entry.write_text("-1")


@contextmanager
def _mounted_binfmt() -> Iterator[None]:
    if (_BINFMT / "register").exists():
        yield
        return
    command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)]
    if not _BINFMT.is_dir() or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{_BINFMT} is not mounted, and cannot be by this user")
    try:
        yield
    finally:
        subprocess.run(["umount", str(_BINFMT)], check=True)
