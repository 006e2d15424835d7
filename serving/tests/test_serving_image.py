"""The image: reproducible, without a shell, and at home under OpenShift's restrictions."""

import gzip
import importlib.metadata
import json
import os
import re
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving_bundles import mixed_bundle, mixed_request

from kfp_edge_serving import __version__
from kfp_edge_serving.image import ImageError, build, ensure, input_key
from kfp_edge_serving.image.dependencies import REQUIREMENTS

OPENSHIFT = [
    "--user=1000680000:0",
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=256m",
    "--pids-limit=64",
]
# What a machine without CAP_SYS_RESOURCE needs, where crun fails.
RUNC = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

Podman = Callable[..., str]


@pytest.fixture(scope="session")
def cache() -> Path:
    """Return the cache that runs use, so that what was built once is built once."""
    return Path(os.environ.get("KFP_EDGE_CACHE") or Path.home() / ".cache" / "kfp-edge")


@pytest.fixture(scope="session")
def image(cache: Path) -> tuple[Path, str]:
    return ensure(cache)


@pytest.fixture
def podman(tmp_path: Path) -> Podman:
    """Return a function that runs podman."""
    environment = dict(os.environ)
    if os.geteuid() == 0 and not _may_raise_limits():
        (tmp_path / "containers.conf").write_text(RUNC)
        environment["CONTAINERS_CONF"] = str(tmp_path / "containers.conf")

    def run(*args: str | Path) -> str:
        command = ["podman", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def is_reachable(url: str) -> bool:
    """Whether the server answers: a published port leads nowhere for a moment after the container has started."""
    try:
        with urllib.request.urlopen(url):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    capabilities = int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)
    return bool(capabilities >> 24 & 1)  # CAP_SYS_RESOURCE


@contextmanager
def container(podman: Podman, image: Path, models: Path) -> Iterator[tuple[str, str]]:
    """Run the image with limits and yield its name and the address of its server."""
    stored = f"localhost/kfp-edge/serving-test:{uuid.uuid4().hex}"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{image}:serving", f"containers-storage:{stored}"], check=True)
    name = podman("create", *OPENSHIFT, "--publish=127.0.0.1::8080", f"--volume={models}:/models:ro", stored)
    try:
        podman("start", name)
        yield name, f"http://{podman('port', name, '8080/tcp')}"
    finally:
        podman("rm", "--force", name)
        podman("rmi", stored)


def manifest(layout: Path) -> Any:
    digest = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return blob(layout, digest)


def blob(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())


def entries(layout: Path) -> list[tarfile.TarInfo]:
    found = []
    for layer in manifest(layout)["layers"]:
        path = layout / "blobs" / layer["digest"].replace(":", "/")
        with gzip.open(path) as stream, tarfile.open(fileobj=stream) as archive:
            found += archive.getmembers()
    return found


@pytest.mark.containers
def test_the_same_inputs_give_the_same_digest(image: tuple[Path, str], tmp_path: Path) -> None:
    assert build(tmp_path / "again") == image[1]


@pytest.mark.containers
def test_an_image_that_is_known_is_not_built_again(image: tuple[Path, str], cache: Path) -> None:
    steps: list[str] = []
    assert ensure(cache, progress=steps.append) == image
    assert steps == []
    assert image[0].name == input_key()


@pytest.mark.containers
def test_it_holds_no_shell_no_package_manager_and_nothing_set_uid(image: tuple[Path, str]) -> None:
    files = entries(image[0])
    programs = {Path(entry.name).name for entry in files if entry.isfile() and "bin/" in entry.name}
    assert {name.rstrip("0123456789.") for name in programs} == {"python"}
    assert not [entry.name for entry in files if entry.mode & 0o6000]
    assert not [entry.name for entry in files if Path(entry.name).name in ("pip", "ensurepip", "apt", "bash", "dash")]


@pytest.mark.containers
def test_it_holds_the_server_but_not_its_builder(image: tuple[Path, str]) -> None:
    names = {entry.name for entry in entries(image[0])}
    assert "opt/kfp-edge/server/kfp_edge_serving/server.py" in names
    assert not [name for name in names if "kfp_edge_serving/image" in name]


@pytest.mark.containers
def test_it_stays_under_45_mb_compressed(image: tuple[Path, str]) -> None:
    assert sum(layer["size"] for layer in manifest(image[0])["layers"]) < 45_000_000


@pytest.mark.containers
def test_its_layers_are_ordered_by_how_seldom_they_change(image: tuple[Path, str]) -> None:
    sizes = [layer["size"] for layer in manifest(image[0])["layers"]]
    assert len(sizes) == 4
    assert sizes[-1] < 50_000


@pytest.mark.containers
def test_it_serves_under_openshifts_restrictions_and_stops_cleanly(
    image: tuple[Path, str], podman: Podman, tmp_path: Path
) -> None:
    mixed_bundle(tmp_path)
    tmp_path.chmod(0o755)
    with container(podman, image[0], tmp_path) as (name, address):
        while not is_reachable(f"{address}/v2/health/live"):
            assert podman("inspect", name, "--format={{.State.Running}}") == "true", podman("logs", name)
            time.sleep(0.05)
        request = urllib.request.Request(f"{address}/v2/models/mill/infer", json.dumps(mixed_request()).encode())
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["outputs"][0]["data"] == [1, 0]
        podman("stop", name)
        assert podman("inspect", name, "--format={{.State.ExitCode}}") == "0"


@pytest.mark.containers
def test_any_image_with_python_can_be_the_base(image: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(image[0])  # buildah takes no folder with 64 hex digits for a name
    build(tmp_path / "layout", f"oci:{tmp_path}/base:serving")
    layers = [layer["digest"] for layer in manifest(tmp_path / "layout")["layers"]]
    base = [layer["digest"] for layer in manifest(image[0])["layers"]]
    assert layers[: len(base)] == base


@pytest.mark.containers
def test_a_base_that_cannot_be_fetched_is_told_in_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^`buildah from` failed: .*no such file") as error:
        build(tmp_path / "layout", f"oci:{tmp_path}/nothing:here")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_it_gets_the_versions_that_the_project_is_tested_with() -> None:
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert {"numpy", "onnxruntime", "uvicorn"} < dict(pinned).keys()
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text()
    assert [pin for pin in pinned if f"{pin[0]}=={pin[1]} " not in lock] == []


def test_the_version_in_the_image_is_the_version_of_the_distribution() -> None:
    assert importlib.metadata.version("kfp-edge-serving") == __version__


def test_a_host_without_apt_is_told_to_name_a_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="no apt .* name an image with Python as the base"):
        input_key()
