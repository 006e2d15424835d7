"""Images are copied and read by digest, in layouts and in a real registry."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.layers import AppendedLayer, append_layer
from kfp_edge.images.oci.layout import LayoutWriter, blob_path, write_index
from kfp_edge.images.oci.media_types import INDEX_TYPE, MANIFEST_TYPE
from kfp_edge.images.oci.references import ImageRef, ImageRegistry, ImageRepository
from kfp_edge.images.registry import (
    copy_image,
    copy_to_layout,
    find_digest,
    image_exists,
    is_complete,
    pull_size,
    read_labels,
    read_manifest,
    select_platform,
    skopeo_source,
)
from kfp_edge.images.tools.skopeo import registry_flags, skopeo
from kfp_edge.storage.files import sha256_bytes
from support.images import base_with_attestations, empty_image, tiny_base
from support.registry import RegistryServer, registry_server, write_auth_file

DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_a_copy_keeps_the_digest_and_is_found_by_its_tag(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "source")
    there = ImageRepository.parse(f"oci:{tmp_path}/registry/pump")
    copied = copy_image(image, there, "1.0")
    assert copied == there.image(image.digest)
    assert find_digest(there, "1.0") == image.digest
    assert read_manifest(copied) == read_manifest(image)


def test_an_image_whose_tag_moved_is_still_found_by_digest(tmp_path: Path) -> None:
    there = ImageRepository.parse(f"oci:{tmp_path}/registry/pump")
    old = copy_image(empty_image(tmp_path / "old", b"old"), there, "1.0")
    new = copy_image(empty_image(tmp_path / "new", b"new"), there, "1.0")
    assert find_digest(there, "1.0") == new.digest
    assert copy_image(old, ImageRepository.parse(f"oci:{tmp_path}/rollback"), "1.0").digest == old.digest


def test_the_size_counts_the_layers_and_the_configuration(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image", b"x" * 1000)
    config = blob_path(tmp_path / "image", read_manifest(image)["config"]["digest"])
    assert pull_size(image) == 1000 + config.stat().st_size


def test_a_digest_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    missing = image.home.image(DIGEST)
    assert not image_exists(missing)
    with pytest.raises(KfpEdgeError, match=f"there is no image {DIGEST} in oci:"):
        copy_image(missing, ImageRepository.parse(f"oci:{tmp_path}/there"), "1.0")


def test_an_altered_manifest_is_an_error(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    with blob_path(tmp_path / "image", image.digest).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(KfpEdgeError, match="is damaged"):
        read_manifest(image)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    image = empty_image(tmp_path / "image")
    with pytest.raises(KfpEdgeError, match="cannot write images to"):
        copy_image(image, ImageRepository.parse(f"oci:{tmp_path}/file/pump"), "1.0")


def test_an_index_of_several_processors_gives_the_image_for_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    image = empty_image(tmp_path / "image")
    platforms = [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}]
    entries = [{"digest": DIGEST, "platform": platforms[0]}, {"digest": image.digest, "platform": platforms[1]}]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    assert select_platform(add_index(tmp_path / "image", index)) == image


def test_a_registry_keeps_the_digest(registry: RegistryServer, tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    there = ImageRegistry.parse(registry.url).releases("kept")
    copied = copy_image(image, there, "1.0")
    assert str(copied) == f"{registry.url}/kept@{image.digest}"
    assert find_digest(there, "1.0") == image.digest
    assert pull_size(copied) == pull_size(image)


def test_an_image_of_a_registry_comes_back_by_digest(registry: RegistryServer, tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    copied = copy_image(image, ImageRegistry.parse(registry.url).releases("back"), "1.0")
    assert copy_image(copied, ImageRepository.parse(f"oci:{tmp_path}/back"), "1.0").digest == image.digest


@pytest.mark.parametrize("architectures", [["amd64"], ["amd64", "arm64"]])
def test_an_image_in_dockers_format_is_a_base_like_others(
    registry: RegistryServer, tmp_path: Path, architectures: list[str]
) -> None:
    image = tiny_base(tmp_path / "image", *architectures)
    there = ImageRegistry.parse(registry.url).releases(f"docker-{len(architectures)}")
    with skopeo_source(image) as source:
        flags = ["--all", "--format", "v2s2", *registry_flags("dest-", there.host)]
        skopeo("copy", *flags, source, f"{there}:1.0", where=str(there))
    in_docker_format = there.image(find_digest(there, "1.0") or "")
    assert "docker" in read_manifest(in_docker_format)["mediaType"]
    base = copy_to_layout(in_docker_format, ImageRepository.parse(f"oci:{tmp_path}/base"), "base")
    (tmp_path / "layer.tar").write_bytes(b"a layer")
    appended = append_layer(AppendedLayer(tmp_path / "layer.tar", "2026-01-01T00:00:00Z", {}), base, tmp_path / "model")
    model, before = (read_manifest(select_platform(each)) for each in (appended, image))
    assert [layer["digest"] for layer in model["layers"]][:-1] == [layer["digest"] for layer in before["layers"]]
    assert model["mediaType"] == MANIFEST_TYPE


@pytest.mark.parametrize("has_platforms", [True, False], ids=["with platforms", "without platforms"])
@pytest.mark.parametrize("architectures", [["amd64"], ["amd64", "arm64/v8"]])
def test_an_index_with_attestations_is_a_base_like_others(
    registry: RegistryServer, tmp_path: Path, architectures: list[str], has_platforms: bool
) -> None:
    image = base_with_attestations(tmp_path / "image", *architectures, has_platforms=has_platforms)
    there = ImageRegistry.parse(registry.url).releases(f"attested-{len(architectures)}-{int(has_platforms)}")
    in_registry = copy_image(image, there, "1.0")
    assert is_complete(in_registry)
    base = copy_to_layout(in_registry, ImageRepository.parse(f"oci:{tmp_path}/base"), "base")
    assert base.digest == image.digest
    (tmp_path / "layer.tar").write_bytes(b"a layer")
    appended = append_layer(AppendedLayer(tmp_path / "layer.tar", "2026-01-01T00:00:00Z", {}), base, tmp_path / "model")
    entries = read_manifest(appended)["manifests"]
    # without it, newer versions of Skopeo refuse to copy the index as it is
    assert all(entry["annotations"] == {"io.github.containers.compression.zstd": "true"} for entry in entries)
    assert is_complete(copy_image(appended, there, "model"))
    platforms = [entry["platform"] for entry in entries]
    assert [
        "/".join([each["architecture"], *filter(None, [each.get("variant")])]) for each in platforms
    ] == architectures
    assert {each["os"] for each in platforms} == {"linux"}
    assert pull_size(appended) > 0  # there is an image for this machine


def test_an_index_whose_image_without_a_platform_is_gone_is_not_complete(tmp_path: Path) -> None:
    image = base_with_attestations(tmp_path / "image", "amd64", has_platforms=False)
    assert is_complete(image)
    child = read_manifest(image)["manifests"][0]["digest"]
    blob_path(tmp_path / "image", child).unlink()
    assert not is_complete(image)


def test_an_index_without_an_image_for_linux_is_no_base(tmp_path: Path) -> None:
    image = tiny_base(tmp_path / "image", "amd64", "arm64")
    index = read_manifest(image)
    for entry in index["manifests"]:
        entry["platform"]["os"] = "windows"
    writer = LayoutWriter(tmp_path / "windows")
    for entry in index["manifests"]:
        writer.refer_to_blob_of(tmp_path / "image", entry["digest"])
    descriptor = writer.add_json(index, INDEX_TYPE)
    write_index(tmp_path / "windows", descriptor)
    (tmp_path / "layer.tar").write_bytes(b"a layer")
    with pytest.raises(KfpEdgeError, match="is an index without an image for Linux; name another base"):
        append_layer(
            AppendedLayer(tmp_path / "layer.tar", "2026-01-01T00:00:00Z", {}),
            ImageRef("oci", str(tmp_path / "windows"), descriptor["digest"]),
            tmp_path / "model",
        )


BAD_LOGINS = {
    "empty": ("", "because the file with its login is not valid"),
    "not JSON": ('{"auths": {', "because the file with its login is not valid"),
    "not Base64": ('{"auths": {"HOST": {"auth": "%"}}}', "because the file with its login is not valid"),
    "no helper": ('{"credHelpers": {"HOST": "none-of-that-name"}}', "because the credential helper"),
    "no auth": (
        '{"auths": {"HOST": {"username": "u", "password": "p"}}}',
        "as `skopeo login` writes it with an `auth`",
    ),
}


@pytest.mark.parametrize(("content", "error"), BAD_LOGINS.values(), ids=BAD_LOGINS)
def test_a_login_that_cannot_be_used_is_explained(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, error: str
) -> None:
    (tmp_path / "auth.json").write_text(content.replace("HOST", registry.host))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(KfpEdgeError, match=re.escape(error)):
        find_digest(ImageRegistry.parse(registry.url).releases("pump"), "1.0")


def test_a_registry_without_the_image_is_an_error(registry: RegistryServer) -> None:
    missing = ImageRegistry.parse(registry.url).releases("missing")
    assert find_digest(missing, "1.0") is None
    assert not image_exists(missing.image(DIGEST))
    with pytest.raises(KfpEdgeError, match="there is no image"):
        read_manifest(missing.image(DIGEST))


def test_wrong_credentials_are_reported_without_showing_them(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_auth_file(tmp_path / "auth.json", registry.host, "not the password")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(KfpEdgeError, match="refused the credentials") as refused:
        copy_image(empty_image(tmp_path / "image"), ImageRegistry.parse(registry.url).releases("pump"), "1.0")
    assert "not the password" not in str(refused.value)


def test_an_unknown_ca_is_reported(registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_EDGE_REGISTRY_CERT_DIR")
    with pytest.raises(KfpEdgeError, match="KFP_EDGE_REGISTRY_CERT_DIR"):
        find_digest(ImageRegistry.parse(registry.url).releases("pump"), "1.0")


def test_a_registry_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KfpEdgeError, match="cannot be reached"):
        find_digest(ImageRepository.parse("docker://127.0.0.1:1/edge/pump"), "1.0")


def test_plain_http_needs_the_users_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with registry_server(tmp_path / "registry", tls=False) as server:
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(server.auth_file))
        there = ImageRegistry.parse(server.url).releases("pump")
        with pytest.raises(KfpEdgeError, match="KFP_EDGE_REGISTRY_INSECURE=1"):
            find_digest(there, "1.0")
        monkeypatch.setenv("KFP_EDGE_REGISTRY_INSECURE", "1")
        assert find_digest(there, "1.0") is None


def test_two_writers_of_one_layout_do_not_lose_an_image(tmp_path: Path) -> None:
    there = ImageRepository.parse(f"oci:{tmp_path}/registry/pump")
    sources = [empty_image(tmp_path / f"image-{number}", str(number).encode()) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda source: copy_image(source, there, source.digest[-12:]), sources))
    assert all(find_digest(there, source.digest[-12:]) == source.digest for source in sources)


def test_a_layout_that_was_removed_is_an_error(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    shutil.rmtree(tmp_path / "image")
    with pytest.raises(KfpEdgeError, match="there is no image"):
        read_manifest(image)


def add_index(layout: Path, index: bytes) -> ImageRef:
    digest = f"sha256:{sha256_bytes(index)}"
    blob_path(layout, digest).write_bytes(index)
    write_index(layout, {"mediaType": INDEX_TYPE, "digest": digest, "size": len(index)})
    return ImageRef("oci", str(layout), digest)


def test_the_labels_of_an_image_are_read_from_a_layout_and_from_a_registry(
    registry: RegistryServer, tmp_path: Path
) -> None:
    image = empty_image(tmp_path / "image", labels={"a": "b"})
    copied = copy_image(image, ImageRegistry.parse(registry.url).releases("labelled"), "1.0")
    assert read_labels(image) == read_labels(copied) == {"a": "b"}


def test_an_image_without_labels_has_none(tmp_path: Path) -> None:
    assert read_labels(tiny_base(tmp_path / "image")) == {}
