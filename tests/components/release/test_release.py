from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.release.release import release
from kfp_edge.components.staging_test.run import staging_test
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest, is_complete, read_manifest, skopeo_source
from kfp_edge.images.tools.skopeo import registry_flags, skopeo
from support.bundles import tiny_bundle
from support.images import empty_image, left_behind, serving_image, tiny_base
from support.registry import RegistryServer, registry_server, write_auth_file


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A registry in a folder."""
    return f"oci:{tmp_path}/registry"


def candidate(layout: Path, location: str, content: bytes = b"model") -> ImageRef:
    return copy_image(empty_image(layout, content), ImageRegistry.parse(location).candidates("pump"), "1.0-abc")


def test_a_release_has_the_digest_of_the_candidate_and_the_tag_of_the_version(tmp_path: Path, folder: str) -> None:
    image = candidate(tmp_path / "image", folder)
    released = release(image, folder, "pump", "1.0")
    assert str(released) == f"{folder}/pump@{image.digest}"
    assert find_digest(released.home, "1.0") == image.digest


def test_a_second_release_of_the_same_image_copies_nothing(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = candidate(tmp_path / "image", folder)
    first = release(image, folder, "pump", "1.0")
    before = {path: path.stat().st_mtime_ns for path in Path(first.repository).rglob("*")}
    assert release(image, folder, "pump", "1.0") == first
    assert {path: path.stat().st_mtime_ns for path in Path(first.repository).rglob("*")} == before
    assert "nothing copied" in capsys.readouterr().out


def test_another_image_of_the_same_version_moves_the_tag_with_a_warning_and_keeps_the_old_one(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = release(candidate(tmp_path / "old", folder, b"old"), folder, "pump", "1.0")
    new = release(candidate(tmp_path / "new", folder, b"new"), folder, "pump", "1.0")
    assert "warning: " in capsys.readouterr().out
    assert find_digest(new.home, "1.0") == new.digest
    assert read_manifest(old)["layers"]


def test_a_candidate_that_is_gone_is_an_error_and_nothing_is_released(tmp_path: Path, folder: str) -> None:
    image = empty_image(tmp_path / "image")
    with pytest.raises(KfpEdgeError, match="there is no image"):
        release(image.home.image("sha256:" + "0" * 64), folder, "pump", "1.0")
    assert find_digest(ImageRegistry.parse(folder).releases("pump"), "1.0") is None


@pytest.fixture
def own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    """A registry of this test alone, whose garbage may be collected."""
    with registry_server(tmp_path / "registry") as registry:
        for name, value in registry.env.items():
            monkeypatch.setenv(name, value)
        yield registry


def test_a_release_of_an_index_survives_garbage_collection(own_registry: RegistryServer, tmp_path: Path) -> None:
    image = tiny_base(tmp_path / "image", "amd64", "arm64/v8")
    released = release(image, own_registry.url, "collected", "1.0")
    own_registry.collect_garbage()
    assert is_complete(released)
    assert find_digest(released.home, "1.0-arm64-v8") == read_manifest(image)["manifests"][1]["digest"]


def test_what_garbage_collection_has_removed_is_copied_again(
    own_registry: RegistryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tiny_base(tmp_path / "image", "amd64", "arm64")
    releases = ImageRegistry.parse(own_registry.url).releases("restored")
    with skopeo_source(image) as source:  # as earlier versions did, without a tag for each processor
        flags = ["--all", "--preserve-digests", *registry_flags("dest-", releases.host)]
        skopeo("copy", *flags, source, f"{releases}:1.0", where=str(releases))
    own_registry.collect_garbage()
    assert not is_complete(releases.image(image.digest))
    released = release(image, own_registry.url, "restored", "1.0")
    assert is_complete(released)
    assert "moves to" not in capsys.readouterr().out


def test_refused_credentials_are_reported(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = candidate(tmp_path / "image", registry.url)
    write_auth_file(tmp_path / "auth.json", registry.host, "not the password")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(KfpEdgeError, match="refused the credentials"):
        release(image, registry.url, "pump", "1.0")


@pytest.mark.containers
def test_a_bundle_is_built_tested_and_released_through_a_registry(registry: RegistryServer, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", version="2.0-registry")
    image = containerize(bundle.folder, registry.url, str(serving_image()))
    staging_test(image, bundle.folder, tmp_path / "report.md")
    released = release(image, registry.url, "tiny", "2.0-registry")
    assert str(released) == f"{registry.url}/tiny@{image.digest}"
    assert find_digest(released.home, "2.0-registry") == image.digest
    assert left_behind(bundle) == []
