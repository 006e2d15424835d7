"""The build without Buildah and without privileges."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest, read_manifest
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.containerize import config_of, images_of, last_layer, members, tiny_base
from support.images import serving_image
from support.paths import ROOT
from support.registry import RegistryServer, registry_server, write_auth_file
from support.registry_proxy import TroubledRegistry, troubled_registry

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("line")]


@pytest.fixture(autouse=True)
def _no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledRegistry]:
    with troubled_registry(tmp_path_factory.mktemp("troubled")) as running:
        yield running


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.name}"[:60])


@pytest.fixture
def base(tmp_path: Path) -> ImageRef:
    return tiny_base(tmp_path / "base")


@pytest.fixture
def without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with skopeo and nothing else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "skopeo").symlink_to(str(shutil.which("skopeo")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def append(bundle: Bundle, registry: str, base: ImageRef | str) -> ImageRef:
    return containerize(bundle.folder, registry, str(base), build="append")


def reach(server: RegistryServer, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name, value in (server.env | {"KFP_EDGE_CACHE": str(folder / "cache")}).items():
        monkeypatch.setenv(name, value)


def test_buildah_makes_the_same_members_with_the_same_metadata_and_content(bundle: Bundle, tmp_path: Path) -> None:
    built = containerize(bundle.folder, f"oci:{tmp_path}/built", str(serving_image()), build="local")
    appended = append(bundle, f"oci:{tmp_path}/appended", serving_image())
    assert members(last_layer(appended)) == members(last_layer(built))


def test_buildah_makes_the_same_image(bundle: Bundle, tmp_path: Path) -> None:
    built = containerize(bundle.folder, f"oci:{tmp_path}/built", str(serving_image()), build="local")
    assert append(bundle, f"oci:{tmp_path}/appended", serving_image()).digest == built.digest


def test_buildah_makes_the_same_image_at_another_time(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    built = containerize(bundle.folder, f"oci:{tmp_path}/built", str(serving_image()), build="local")
    assert append(bundle, f"oci:{tmp_path}/appended", serving_image()).digest == built.digest


@pytest.mark.parametrize("length", [15, 28, 29, 53])
def test_buildah_makes_the_same_image_when_its_paths_are_long(tmp_path: Path, length: int) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", name="n" * length, version="v" * 63)
    built = containerize(bundle.folder, f"oci:{tmp_path}/built", str(serving_image()), build="local")
    assert append(bundle, f"oci:{tmp_path}/appended", serving_image()).digest == built.digest


def test_needs_no_program_but_skopeo(bundle: Bundle, base: ImageRef, tmp_path: Path, without_programs: None) -> None:
    image = append(bundle, f"oci:{tmp_path}/registry", base)
    assert config_of(image)["config"]["Labels"]["io.kfp-edge.bundle.sha256"] == bundle.digest


def test_the_same_bundle_gives_the_same_digest_whatever_its_files_look_like(
    bundle: Bundle, base: ImageRef, tmp_path: Path
) -> None:
    first = append(bundle, f"oci:{tmp_path}/first", base)
    twin = tmp_path / "twin"
    shutil.copytree(bundle.folder, twin)
    (twin / "left-over.txt").write_text("not of the bundle")
    for file in twin.iterdir():
        os.utime(file, (1, 1))
        file.chmod(0o600)
    assert append(Bundle.load(twin), f"oci:{tmp_path}/second", base).digest == first.digest


def test_what_the_base_says_stays(bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
    assert config_of(append(bundle, f"oci:{tmp_path}/registry", base))["config"]["User"] == "1001"


def test_goes_from_registry_to_registry_with_all_processors(
    bundle: Bundle, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(server, monkeypatch, tmp_path)
    there = ImageRegistry.parse(server.url).repository("several")
    base = copy_image(tiny_base(tmp_path / "several", "amd64", "arm64/v8"), there, "1.0")
    candidate = append(bundle, server.url, base)
    assert [entry["platform"] for entry in read_manifest(candidate)["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    layers = [read_manifest(image)["layers"][-1] for image in images_of(candidate, tmp_path / "here")]
    assert layers[0] == layers[1]


def test_a_second_push_moves_no_layer(
    bundle: Bundle, base: ImageRef, troubled: TroubledRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(troubled.server, monkeypatch, tmp_path)
    append(bundle, troubled.server.url, base)
    troubled.requests.clear()
    append(bundle, troubled.server.url, base)
    assert [path for method, path in troubled.requests if method in ("PATCH", "POST")] == []


class TestWhenTheRegistry:
    def test_refuses_the_credentials_it_is_told(
        self, bundle: Bundle, base: ImageRef, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reach(server, monkeypatch, tmp_path)
        write_auth_file(tmp_path / "auth.json", server.host, "not the password")
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        with pytest.raises(KfpEdgeError, match="refused the credentials"):
            append(bundle, server.url, base)

    @pytest.mark.parametrize(("status", "said"), [(401, "refused the credentials"), (500, "an error of its own")])
    def test_fails_while_a_layer_is_pushed_it_is_told_and_there_is_no_candidate(
        self,
        bundle: Bundle,
        base: ImageRef,
        troubled: TroubledRegistry,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        said: str,
    ) -> None:
        reach(troubled.server, monkeypatch, tmp_path)
        monkeypatch.setattr(troubled, "fault", lambda method, _: status if method in ("PATCH", "PUT") else None)
        with pytest.raises(KfpEdgeError, match=said):
            append(bundle, troubled.server.url, base)
        troubled.fault = None
        candidates = ImageRegistry.parse(troubled.server.url).candidates("tiny")
        assert find_digest(candidates, f"{bundle.manifest.version}-{bundle.digest[:12]}") is None


class TestTheOptions:
    def test_that_are_unknown_are_refused_with_those_that_are_known(self, bundle: Bundle, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="no option 'memroy'; its options are .*memory"):
            containerize(bundle.folder, f"oci:{tmp_path}", build_options={"memroy": "1Gi"})

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"timeout": "soon"}, "timeout"),
            ({"timeout": 0}, "timeout"),
            ({"memory": "much"}, "memory"),
            ({"storage_driver": "zfs"}, "storage_driver"),
            ({"context": "folder"}, "context"),
            ({"tolerations": [{"name": "x"}]}, "tolerations"),
        ],
    )
    def test_that_are_not_possible_are_named(self, options: dict[str, object], said: str) -> None:
        with pytest.raises(KfpEdgeError, match=f"build_options: {said}"):
            BuildOptions.parse(options)

    def test_may_have_the_floats_that_kfp_makes_of_numbers(self) -> None:
        options = BuildOptions.parse({"timeout": 900.0, "tolerations": [{"key": "a", "tolerationSeconds": 60.0}]})
        assert (options.timeout, options.tolerations[0].tolerationSeconds) == (900, 60)

    @pytest.mark.parametrize("option", BuildOptions.model_fields)
    def test_are_explained(self, option: str) -> None:
        readme = ROOT / "components" / "containerize" / "README.md"
        assert f"`{option}`" in readme.read_text()

    def test_a_build_that_does_not_exist_is_refused(self, bundle: Bundle, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="no build 'kaniko'; choose one of auto, tekton, append, local"):
            containerize(bundle.folder, f"oci:{tmp_path}", build="kaniko")
