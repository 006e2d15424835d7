from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.release.release import release
from kfp_edge.components.staging_test.run import staging_test
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest, read_manifest
from support.bundles import tiny_bundle
from support.images import empty_image, left_behind, serving_image
from support.registry import RegistryServer, registry_server, write_auth_file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def logged_in(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> RegistryServer:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def registry(tmp_path: Path) -> str:
    return f"oci:{tmp_path}/registry"


def candidate(folder: Path, registry: str, content: bytes = b"model") -> ImageRef:
    return copy_image(empty_image(folder, content), ImageRegistry.parse(registry).candidates("pump"), "1.0-abc")


def test_a_release_has_the_digest_of_the_candidate_and_the_tag_of_the_version(tmp_path: Path, registry: str) -> None:
    image = candidate(tmp_path / "image", registry)
    released = release(image, registry, "pump", "1.0")
    assert str(released) == f"{registry}/pump@{image.digest}"
    assert find_digest(released.home, "1.0") == image.digest


def test_a_second_release_of_the_same_image_copies_nothing(
    tmp_path: Path, registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = candidate(tmp_path / "image", registry)
    first = release(image, registry, "pump", "1.0")
    before = {path: path.stat().st_mtime_ns for path in Path(first.repository).rglob("*")}
    assert release(image, registry, "pump", "1.0") == first
    assert {path: path.stat().st_mtime_ns for path in Path(first.repository).rglob("*")} == before
    assert "nothing copied" in capsys.readouterr().out


def test_another_image_of_the_same_version_moves_the_tag_with_a_warning_and_keeps_the_old_one(
    tmp_path: Path, registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = release(candidate(tmp_path / "old", registry, b"old"), registry, "pump", "1.0")
    new = release(candidate(tmp_path / "new", registry, b"new"), registry, "pump", "1.0")
    assert "warning: " in capsys.readouterr().out
    assert find_digest(new.home, "1.0") == new.digest
    assert read_manifest(old)["layers"]


def test_a_candidate_that_is_gone_is_told_and_nothing_is_released(tmp_path: Path, registry: str) -> None:
    image = empty_image(tmp_path / "image")
    with pytest.raises(KfpEdgeError, match="there is no image"):
        release(image.home.image("sha256:" + "0" * 64), registry, "pump", "1.0")
    assert find_digest(ImageRegistry.parse(registry).releases("pump"), "1.0") is None


def test_refused_credentials_are_told(
    logged_in: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = candidate(tmp_path / "image", logged_in.url)
    write_auth_file(tmp_path / "auth.json", logged_in.host, "not the password")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(KfpEdgeError, match="refused the credentials"):
        release(image, logged_in.url, "pump", "1.0")


@pytest.mark.containers
@pytest.mark.xdist_group("line")
def test_a_bundle_is_built_tested_and_released_through_a_registry(logged_in: RegistryServer, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", version="2.0-registry")
    image = containerize(bundle.folder, logged_in.url, str(serving_image()))
    staging_test(image, bundle.folder, tmp_path / "report.md")
    released = release(image, logged_in.url, "tiny", "2.0-registry")
    assert str(released) == f"{logged_in.url}/tiny@{image.digest}"
    assert find_digest(released.home, "2.0-registry") == image.digest
    assert left_behind(bundle) == []
