"""The image at work as the operator of OpenShift AI starts it, and what API servers load from the volume then."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kfp_edge.images.base_names import PACKAGES
from kfp_edge.images.managed_pipelines import TAG, ManagedPipeline, build_managed_pipelines_image
from kfp_edge.images.oci.compression import FAST
from support.fake_managed_pipelines import FakeApiServer
from support.serving_images import config, entries, manifest, podman, run_podman

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group(__name__)]

#: As `init-managed-pipelines` in config/internal/apiserver/default/deployment.yaml.tmpl of the operator.
OPENSHIFT = [
    "--user=1000680000:0",
    "--network=none",
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--env=MANAGED_PIPELINES_UPLOAD_TAGS=managed=true,rhoai-version=3.5.1",
]
ALL = "--env=ALL_PIPELINES=true"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, pipelines: list[ManagedPipeline]) -> Path:
    """The image on this machine's own packages, which a machine without a registry has."""
    output = tmp_path_factory.mktemp("managed") / "image"
    build_managed_pipelines_image(output, pipelines, PACKAGES, level=FAST, progress=lambda _: None)
    return output


@contextmanager
def stored(layout: Path) -> Iterator[str]:
    name = f"localhost/kfp-edge/managed-pipelines-test:{uuid.uuid4().hex}"
    copy = ["skopeo", "copy", "--quiet", f"oci:{layout}:{TAG}", f"containers-storage:{name}"]
    subprocess.run(copy, check=True, capture_output=True)
    try:
        yield name
    finally:
        podman("rmi", name)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """An empty volume, which any user may write."""
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def start(image: str, volume: Path, *options: str) -> str:
    """Run the image to its end and return what it has logged."""
    return podman("run", "--rm", *OPENSHIFT, *options, f"--volume={volume}:/config/managed-pipelines", image)


@pytest.mark.parametrize("backend", ["rhoai-3.4", "rhoai-3.5"])
def test_a_server_has_every_pipeline_after_its_first_start_and_no_more_after_the_next(
    layout: Path, volume: Path, pipelines: list[ManagedPipeline], backend: str
) -> None:
    server = FakeApiServer(backend, "3.5.1")
    with stored(layout) as image:
        for _ in range(2):
            start(image, volume, ALL)
            server.start(volume)
    assert {name: stored.description for name, stored in server.pipelines.items()} == {
        pipeline.name: pipeline.description for pipeline in pipelines
    }
    for pipeline in pipelines:
        version = "3.5.1" if backend == "rhoai-3.5" else pipeline.name
        assert server.pipelines[pipeline.name].versions == {version: pipeline.text}


def test_it_writes_those_that_the_project_has_named(layout: Path, volume: Path) -> None:
    with stored(layout) as image:
        log = start(image, volume, "--env=PIPELINE_NAMES=training-1.2.0,edge-mlops-1.2.0")
    server = FakeApiServer("rhoai-3.5", "3.5.1")
    server.start(volume, ["training-1.2.0", "edge-mlops-1.2.0"])
    assert server.pipelines.keys() == {"training-1.2.0", "edge-mlops-1.2.0"}
    assert log == "wrote managed pipelines to /config/managed-pipelines: edge-mlops-1.2.0 training-1.2.0"


def test_a_name_that_is_not_in_it_ends_it_with_one_sentence(layout: Path, volume: Path) -> None:
    with stored(layout) as image:
        options = [*OPENSHIFT, "--env=PIPELINE_NAMES=training", f"--volume={volume}:/config/managed-pipelines"]
        done = run_podman("run", "--rm", *options, image)
    assert done.returncode == 1
    assert "error: this image has no managed pipeline training; its own are: delivery-1.2.0" in done.stderr


def test_pipelines_of_the_base_come_with_those_on_it(
    layout: Path, volume: Path, tmp_path: Path, pipelines: list[ManagedPipeline]
) -> None:
    ours = ManagedPipeline("own-7", "Of a team.", pipelines[-1].text, ())
    build_managed_pipelines_image(
        tmp_path / "image", [ours], f"oci:{layout}:{TAG}", level=FAST, progress=lambda _: None
    )
    server = FakeApiServer("rhoai-3.5", "3.5.1")
    with stored(tmp_path / "image") as image:
        start(image, volume, ALL)
    server.start(volume)
    assert server.pipelines.keys() == {*(pipeline.name for pipeline in pipelines), "own-7"}


def test_a_server_that_has_a_pipeline_leaves_it_as_it_is(volume: Path, pipelines: list[ManagedPipeline]) -> None:
    """Which is why names end in a version."""
    server = FakeApiServer("rhoai-3.5", "3.5.1")
    for text in (pipelines[0].text, pipelines[1].text):
        (volume / "same-1.yaml").write_text(text)
        (volume / "managed-pipelines.json").write_text('[{"name": "same-1"}]')
        server.start(volume)
    assert server.pipelines["same-1"].versions == {"3.5.1": pipelines[0].text}


def test_it_is_small_and_has_nothing_but_a_shell_and_what_copies_files(layout: Path) -> None:
    assert sum(layer["size"] for layer in manifest(layout)["layers"]) < 4_000_000
    programs = {entry.name.rpartition("/")[2] for entry in entries(layout) if "/bin/" in entry.name}
    assert programs == {"sh", "dash", "cat", "cp", "rm"}
    assert not [entry.name for entry in entries(layout) if entry.mode & 0o6000]
    assert config(layout)["config"]["User"] == "1001:0"
