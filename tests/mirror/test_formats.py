"""Which formats keep the digest of an image, and what finds it by digest: the table of docs/offline-sites.md."""

import json
import shutil
from pathlib import Path

import pytest

from kfp_edge.errors import CommandError
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import copy_image, skopeo_source
from kfp_edge.mirror.contracts import keep_tag
from kfp_edge.runtime.process import run
from support.images import image_of_files, tiny_base
from support.offline_sites import OfflineFleet

pytestmark = pytest.mark.containers
TIMEOUT = 300
NAME = "quay.io/plant/press"


def skopeo(*args: str) -> str:
    return run(["skopeo", *args], timeout=TIMEOUT).strip()


def podman(*args: str) -> str:
    return run(["podman", *args], timeout=TIMEOUT).strip()


def digest_of(address: str) -> str:
    return skopeo("inspect", "--format", "{{.Digest}}", address)


def is_found(name: str) -> bool:
    try:
        podman("image", "exists", name)
    except CommandError:
        return False
    return True


@pytest.fixture
def image(tmp_path: Path) -> str:
    """The address of an image with one tag."""
    return image_of_files(tmp_path / "image", {"weights": b"weights " * 100})


@pytest.fixture
def index(tmp_path: Path) -> ImageRef:
    return tiny_base(tmp_path / "index", "amd64", "arm64")


@pytest.fixture(autouse=True)
def _no_images() -> None:
    podman("rmi", "--all", "--force")


@pytest.mark.parametrize("target", ["oci:layout:1.4.0", "oci-archive:archive.tar:1.4.0", "dir:folder"])
def test_these_keep_the_digest(image: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    skopeo("copy", "--preserve-digests", image, target)
    assert digest_of(target) == digest_of(image)


@pytest.mark.parametrize("target", ["oci:layout:1.4.0", "oci-archive:archive.tar:1.4.0"])
def test_they_keep_that_of_an_index(
    index: ImageRef, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with skopeo_source(index) as source:
        skopeo("copy", "--all", "--preserve-digests", source, target)
    manifest = skopeo("inspect", "--raw", target)
    assert json.loads(manifest)["manifests"]
    assert digest_of(target) == index.digest


def test_the_archive_of_docker_changes_the_digest(image: str, tmp_path: Path) -> None:
    target = f"docker-archive:{tmp_path}/docker.tar:{NAME}:1.4.0"
    skopeo("copy", image, target)
    assert digest_of(target) != digest_of(image)
    (tmp_path / "docker.tar").unlink()
    with pytest.raises(CommandError, match="manifest"):
        skopeo("copy", "--preserve-digests", image, target)


def test_podman_load_keeps_the_digest_and_takes_the_tag_for_a_name(image: str, tmp_path: Path) -> None:
    skopeo("copy", image, f"oci-archive:{tmp_path}/archive.tar:1.4.0")
    assert "localhost/1.4.0:latest" in podman("load", "--input", str(tmp_path / "archive.tar"))
    assert is_found(f"{NAME}@{digest_of(image)}")
    assert not is_found(f"{NAME}:1.4.0")


def test_podman_load_refuses_an_archive_of_several_images(image: str, index: ImageRef, tmp_path: Path) -> None:
    skopeo("copy", image, f"oci:{tmp_path}/layout:1.4.0")
    with skopeo_source(index) as source:
        skopeo("copy", "--all", source, f"oci:{tmp_path}/layout:1.5.0")
    archive = shutil.make_archive(str(tmp_path / "several"), "tar", tmp_path / "layout")
    with pytest.raises(CommandError, match="more than one image in oci, choose an image"):
        podman("load", "--input", archive)


def test_an_archive_of_ours_gives_podman_an_image_by_digest(fleet: OfflineFleet, tmp_path: Path) -> None:
    digest = fleet.commit(copy_image(tiny_base(tmp_path / "image"), fleet.source(), "1")).digest
    fleet.export()
    source = f"oci-archive:{fleet.folder / 'hall-7.tar'}:{keep_tag(digest)}"
    skopeo("copy", source, f"containers-storage:{NAME}@{digest}")
    assert is_found(f"{NAME}@{digest}")
    podman("create", "--pull=never", f"{NAME}@{digest}", "/program")
    podman("rm", "--all")
