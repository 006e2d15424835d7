import json
import shutil
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.layout import blob_path, write_index
from kfp_edge.images.references import ImageRef, ImageRegistry, ImageRepository
from kfp_edge.images.registry import copy_image, find_digest, image_exists, pull_size, read_manifest, select_platform
from kfp_edge.storage.files import sha256_bytes
from support.images import empty_image
from support.registry import RegistryServer, registry_server, write_auth_file

DIGEST = "sha256:" + "0123456789abcdef" * 4

digests = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
names = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", fullmatch=True)
hosts = st.from_regex(r"(?:localhost|[a-z0-9-]+\.[a-z0-9-]+)(?::[0-9]{1,5})?", fullmatch=True)
folders = st.lists(
    st.text(string.ascii_letters + string.digits + "@ .é'-_", min_size=1).filter(lambda part: part.strip(".")),
    min_size=1,
).map(lambda parts: "/" + "/".join(parts))
images = st.builds(ImageRef, st.just("oci"), folders, digests) | st.builds(
    lambda host, path, digest: ImageRef("docker", "/".join([host, *path]), digest),
    hosts,
    st.lists(names, min_size=1),
    digests,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def logged_in(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> RegistryServer:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server


@given(image=images)
def test_a_reference_reads_back_as_it_was_written(image: ImageRef) -> None:
    assert ImageRef.parse(str(image)) == image


def test_a_reference_has_the_parts_that_it_was_made_of() -> None:
    image = ImageRef.parse(f"docker://quay.io:443/edge/pump@{DIGEST}")
    assert (image.transport, image.repository, image.name) == ("docker", "quay.io:443/edge/pump", "pump")
    assert image.digest == DIGEST


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("docker://quay.io/edge/pump:1.0", "not named by digest"),
        (f"docker://quay.io/edge/pump@{DIGEST[:-1]}", "not named by digest"),
        (f"quay.io/edge/pump@{DIGEST}", "no place for images"),
        (f"docker://quay.io@{DIGEST}", "names no repository"),
        (f"docker://quay.io/Edge/pump@{DIGEST}", "not a registry's address"),
        (f"docker://edge/pump@{DIGEST}", "not a registry's address"),
        (f"docker://me:secret@quay.io/pump@{DIGEST}", "not a registry's address"),
        (f"oci:/a/b:1.0@{DIGEST}", "colon"),
        (f"oci:@{DIGEST}", "no place for images"),
    ],
)
def test_a_wrong_reference_is_refused_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(KfpEdgeError, match=sentence):
        ImageRef.parse(text)


def test_candidates_and_releases_of_a_model_are_apart() -> None:
    registry = ImageRegistry.parse("docker://quay.io/edge")
    assert str(registry.candidates("pump")) == "docker://quay.io/edge/pump-candidate"
    assert str(registry.releases("pump")) == "docker://quay.io/edge/pump"


def test_a_registry_in_a_folder_is_taken_from_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(ImageRegistry.parse("oci:registry").releases("pump")) == f"oci:{tmp_path}/registry/pump"


def test_a_model_name_that_a_registry_would_refuse_is_refused_here() -> None:
    with pytest.raises(KfpEdgeError, match="cannot name an image"):
        ImageRegistry.parse("oci:registry").releases("../pump")


def test_a_copy_keeps_the_digest_and_is_found_by_its_tag(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "source")
    there = ImageRepository.parse(f"oci:{tmp_path}/registry/pump")
    copied = copy_image(image, there, "1.0")
    assert copied == there.image(image.digest)
    assert find_digest(there, "1.0") == image.digest
    assert read_manifest(copied) == read_manifest(image)


def test_an_image_whose_tag_moved_is_still_had_by_digest(tmp_path: Path) -> None:
    there = ImageRepository.parse(f"oci:{tmp_path}/registry/pump")
    old = copy_image(empty_image(tmp_path / "old", b"old"), there, "1.0")
    new = copy_image(empty_image(tmp_path / "new", b"new"), there, "1.0")
    assert find_digest(there, "1.0") == new.digest
    assert copy_image(old, ImageRepository.parse(f"oci:{tmp_path}/rollback"), "1.0").digest == old.digest


def test_the_size_counts_the_layers_and_the_configuration(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image", b"x" * 1000)
    config = blob_path(tmp_path / "image", read_manifest(image)["config"]["digest"])
    assert pull_size(image) == 1000 + config.stat().st_size


def test_a_digest_that_is_not_there_is_told(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    missing = image.home.image(DIGEST)
    assert not image_exists(missing)
    with pytest.raises(KfpEdgeError, match=f"there is no image {DIGEST} in oci:"):
        copy_image(missing, ImageRepository.parse(f"oci:{tmp_path}/there"), "1.0")


def test_an_altered_manifest_is_told(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    with blob_path(tmp_path / "image", image.digest).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(KfpEdgeError, match="is damaged"):
        read_manifest(image)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    image = empty_image(tmp_path / "image")
    with pytest.raises(KfpEdgeError, match="cannot write images to"):
        copy_image(image, ImageRepository.parse(f"oci:{tmp_path}/file/pump"), "1.0")


def test_an_index_of_several_processors_gives_the_image_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    image = empty_image(tmp_path / "image")
    platforms = [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}]
    entries = [{"digest": DIGEST, "platform": platforms[0]}, {"digest": image.digest, "platform": platforms[1]}]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    assert select_platform(_added(tmp_path / "image", index)) == image


def test_a_registry_keeps_the_digest(logged_in: RegistryServer, tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    there = ImageRegistry.parse(logged_in.url).releases("kept")
    copied = copy_image(image, there, "1.0")
    assert str(copied) == f"{logged_in.url}/kept@{image.digest}"
    assert find_digest(there, "1.0") == image.digest
    assert pull_size(copied) == pull_size(image)


def test_an_image_of_a_registry_comes_back_by_digest(logged_in: RegistryServer, tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    copied = copy_image(image, ImageRegistry.parse(logged_in.url).releases("back"), "1.0")
    assert copy_image(copied, ImageRepository.parse(f"oci:{tmp_path}/back"), "1.0").digest == image.digest


def test_a_registry_without_the_image_says_so(logged_in: RegistryServer) -> None:
    missing = ImageRegistry.parse(logged_in.url).releases("missing")
    assert find_digest(missing, "1.0") is None
    assert not image_exists(missing.image(DIGEST))
    with pytest.raises(KfpEdgeError, match="there is no image"):
        read_manifest(missing.image(DIGEST))


def test_wrong_credentials_are_told_without_showing_them(
    logged_in: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_auth_file(tmp_path / "auth.json", logged_in.host, "not the password")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(KfpEdgeError, match="refused the credentials") as refused:
        copy_image(empty_image(tmp_path / "image"), ImageRegistry.parse(logged_in.url).releases("pump"), "1.0")
    assert "not the password" not in str(refused.value)


def test_an_unknown_ca_is_told(logged_in: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_EDGE_REGISTRY_CERT_DIR")
    with pytest.raises(KfpEdgeError, match="KFP_EDGE_REGISTRY_CERT_DIR"):
        find_digest(ImageRegistry.parse(logged_in.url).releases("pump"), "1.0")


def test_a_registry_that_is_not_there_is_told() -> None:
    with pytest.raises(KfpEdgeError, match="cannot be reached"):
        find_digest(ImageRepository.parse("docker://127.0.0.1:1/edge/pump"), "1.0")


def test_plain_http_needs_a_word_from_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_layout_that_was_removed_is_told(tmp_path: Path) -> None:
    image = empty_image(tmp_path / "image")
    shutil.rmtree(tmp_path / "image")
    with pytest.raises(KfpEdgeError, match="there is no image"):
        read_manifest(image)


def _added(layout: Path, index: bytes) -> ImageRef:
    digest = f"sha256:{sha256_bytes(index)}"
    blob_path(layout, digest).write_bytes(index)
    media_type = "application/vnd.oci.image.index.v1+json"
    write_index(layout, {"mediaType": media_type, "digest": digest, "size": len(index)})
    return ImageRef("oci", str(layout), digest)
