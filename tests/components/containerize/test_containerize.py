import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.containerize.serving_image import find
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.layout import blob_path
from kfp_edge.images.podman import base_in_storage, loaded, podman
from kfp_edge.images.references import ImageRef, ImageRegistry, ImageRepository
from kfp_edge.images.registry import copy_image, find_digest, read_manifest, select_platform
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.images import left_behind, serving_image, serving_image_that, serving_index
from support.interruptions import announcing
from support.registry import RegistryServer, registry_server, write_auth_file

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("line")]


@pytest.fixture(autouse=True)
def _base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_SERVING_IMAGE", str(serving_image()))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.parent.name}-{tmp_path.name}"[:60])


def config_of(image: ImageRef) -> dict[str, dict[str, str]]:
    folder = Path(image.repository)
    config: dict[str, dict[str, str]] = json.loads(
        blob_path(folder, read_manifest(image)["config"]["digest"]).read_bytes()
    )["config"]
    return config


def test_the_candidate_is_tagged_and_named_by_the_digest_that_the_registry_reports(
    bundle: Bundle, tmp_path: Path
) -> None:
    image = containerize(bundle.folder, f"oci:{tmp_path}/registry")
    assert image.home == ImageRegistry.parse(f"oci:{tmp_path}/registry").candidates("tiny")
    assert find_digest(image.home, f"{bundle.manifest.version}-{bundle.digest[:12]}") == image.digest


def test_the_same_bundle_gives_the_same_digest_whatever_its_files_look_like(bundle: Bundle, tmp_path: Path) -> None:
    first = containerize(bundle.folder, f"oci:{tmp_path}/first")
    twin = tmp_path / "twin"
    shutil.copytree(bundle.folder, twin)
    (twin / "left-over.txt").write_text("not of the bundle")
    for file in twin.iterdir():
        os.utime(file, (1, 1))
        file.chmod(0o600)
    before = os.umask(0o077)
    try:
        second = containerize(twin, f"oci:{tmp_path}/second")
    finally:
        os.umask(before)
    assert second.digest == first.digest


def test_an_update_ships_one_layer(bundle: Bundle, tmp_path: Path) -> None:
    image = containerize(bundle.folder, f"oci:{tmp_path}/registry")
    layers = [layer["digest"] for layer in read_manifest(image)["layers"]]
    assert layers[:-1] == [layer["digest"] for layer in read_manifest(serving_image())["layers"]]


def test_the_labels_say_what_the_image_is(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    image = containerize(bundle.folder, f"oci:{tmp_path}/registry", revision="def456")
    labels = config_of(image)["Labels"]
    expected = {
        "org.opencontainers.image.title": "tiny",
        "org.opencontainers.image.version": bundle.manifest.version,
        "org.opencontainers.image.revision": "def456",
        "org.opencontainers.image.created": "1970-01-02T00:00:00Z",
        "org.opencontainers.image.base.digest": serving_image().digest,
        "io.kfp-edge.model.sha256": bundle.manifest.files["model.onnx"].sha256,
        "io.kfp-edge.bundle.sha256": bundle.digest,
    }
    assert expected.items() <= labels.items()


def test_the_revision_is_the_bundles_own_when_none_is_given(bundle: Bundle, tmp_path: Path) -> None:
    image = containerize(bundle.folder, f"oci:{tmp_path}/registry")
    assert config_of(image)["Labels"]["org.opencontainers.image.revision"] == "abc123"


def test_nothing_of_the_build_stays_in_the_storage(bundle: Bundle, tmp_path: Path) -> None:
    containerize(bundle.folder, f"oci:{tmp_path}/registry")
    assert left_behind(bundle) == []


def test_an_altered_bundle_is_refused_and_nothing_is_pushed(bundle: Bundle, tmp_path: Path) -> None:
    with bundle.model.open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(KfpEdgeError, match="was altered after it was verified"):
        containerize(bundle.folder, f"oci:{tmp_path}/registry")
    assert not (tmp_path / "registry").exists()


def test_refused_credentials_are_told_and_nothing_is_left(
    bundle: Bundle, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_auth_file(tmp_path / "auth.json", server.host, "not the password")
    monkeypatch.setenv("KFP_EDGE_REGISTRY_CERT_DIR", str(server.cert_dir))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(KfpEdgeError, match="refused the credentials"):
        containerize(bundle.folder, server.url)
    assert left_behind(bundle) == []


def test_a_time_that_is_no_number_is_refused(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(KfpEdgeError, match="SOURCE_DATE_EPOCH is 'yesterday'"):
        containerize(bundle.folder, f"oci:{tmp_path}/registry")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_pushes_nothing_and_leaves_nothing(
    bundle: Bundle, tmp_path: Path, signum: signal.Signals
) -> None:
    with serving_image_that("pass") as base:
        script = f"""
            from pathlib import Path
            from kfp_edge.components.containerize.containerize import containerize
            from kfp_edge.runtime.stage import stage
            with stage("containerize"):
                containerize(Path({str(bundle.folder)!r}), "oci:{tmp_path}/registry", {str(base)!r})
        """
        with announcing("buildah", tmp_path) as (environment, announced):
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(script)],
                env=environment,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            announced()
            os.killpg(process.pid, signum)
            assert process.wait() == 130
        containers = subprocess.run(["buildah", "containers", "--json"], capture_output=True, text=True, check=True)
        assert base.digest[7:] not in containers.stdout
    assert left_behind(bundle) == []
    assert (
        find_digest(ImageRepository.parse(f"oci:{tmp_path}/registry/tiny-candidate"), bundle.manifest.version) is None
    )
    assert not (tmp_path / "registry").exists()


class TestAServingImageForSeveralProcessors:
    def test_gives_a_candidate_for_each_of_them_with_the_same_layer(self, bundle: Bundle, tmp_path: Path) -> None:
        base = serving_index(tmp_path / "serving")
        candidate = containerize(bundle.folder, f"oci:{tmp_path}/registry", str(base))
        entries = read_manifest(candidate)["manifests"]
        assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64"]
        images = [candidate.home.image(entry["digest"]) for entry in entries]
        layers = [[layer["digest"] for layer in read_manifest(image)["layers"]] for image in images]
        assert layers[0] == layers[1]
        assert layers[0][:-1] == [layer["digest"] for layer in read_manifest(serving_image())["layers"]]
        assert {config_of(image)["Labels"]["org.opencontainers.image.base.digest"] for image in images} == {base.digest}

    def test_keeps_its_digest_in_a_registry_and_in_the_storage(
        self, bundle: Bundle, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (server.env | {"KFP_EDGE_CACHE": str(tmp_path / "cache")}).items():
            monkeypatch.setenv(name, value)
        there = ImageRegistry.parse(server.url).repository("several")
        base = copy_image(serving_index(tmp_path / "serving"), there, "1.0")
        candidate = containerize(bundle.folder, server.url, f"{there}:1.0")
        here = copy_image(candidate, ImageRepository.parse(f"oci:{tmp_path}/here"), "1.0")
        assert config_of(select_platform(here))["Labels"]["org.opencontainers.image.base.digest"] == base.digest
        name = f"localhost/kfp-edge/test:{uuid.uuid4().hex}"
        with loaded(candidate, name):
            shown = podman("inspect", "--format={{.Architecture}}", name).strip()
        assert shown == {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def test_of_the_bases_in_the_storage_only_the_last_one_stays(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a storage of its own: in that of all, a test beside this one may use a base
    settings = f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/storage"\nrunroot = "{tmp_path}/run"\n'
    (tmp_path / "storage.conf").write_text(settings)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    with serving_image_that("pass") as other:
        containerize(bundle.folder, f"oci:{tmp_path}/first", str(other))
        containerize(bundle.folder, f"oci:{tmp_path}/second")
        assert other.digest.removeprefix("sha256:") not in podman("images", "--format={{.Tag}}")


def test_a_base_that_another_build_uses_stays_in_the_storage(bundle: Bundle, tmp_path: Path) -> None:
    with serving_image_that("pass") as other, base_in_storage(other) as name:
        containerize(bundle.folder, f"oci:{tmp_path}/registry")
        assert podman("image", "inspect", "--format={{.Id}}", name)


class TestServingImage:
    def test_is_found_in_a_layout_by_tag(self) -> None:
        image = serving_image()
        assert find(f"oci:{image.repository}:serving").image == image

    def test_is_an_index_when_it_is_for_several_processors(self, tmp_path: Path) -> None:
        index = serving_index(tmp_path / "serving")
        assert find(str(index)).image == index

    def test_is_built_into_the_cache_when_nothing_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KFP_EDGE_SERVING_IMAGE")
        assert find().image == serving_image()

    def test_of_a_registry_is_fetched_once_by_the_digest_of_its_tag(
        self, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (server.env | {"KFP_EDGE_CACHE": str(tmp_path / "cache")}).items():
            monkeypatch.setenv(name, value)
        there = ImageRegistry.parse(server.url).repository("serving")
        digest = copy_image(serving_image(), there, "1.0").digest
        found = find(f"{there}:1.0")
        assert (found.image.transport, found.image.digest, found.name) == ("oci", digest, there.path)
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "no-login.json"))
        assert find(f"{there}@{digest}") == found

    def test_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="there is no serving image tagged latest"):
            find(f"oci:{tmp_path}")
