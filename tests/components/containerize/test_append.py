"""The layer that Python writes is the one that Buildah makes of our Containerfile."""

import shutil
from pathlib import Path

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import read_config, read_labels
from kfp_edge.ml.bundle import Bundle
from support.buildah_builds import build_with_buildah
from support.bundles import tiny_bundle
from support.images import last_layer, members, serving_image


def append(bundle: Bundle, registry: str, base: ImageRef) -> ImageRef:
    return containerize(bundle.folder, registry, str(base), build="append")


@pytest.mark.containers
class TestBuildah:
    def test_makes_the_same_members_with_the_same_metadata_and_content(
        self, bundle: Bundle, base: ImageRef, tmp_path: Path
    ) -> None:
        built = build_with_buildah(bundle, base, tmp_path / "buildah")
        assert members(last_layer(append(bundle, f"oci:{tmp_path}/appended", base))) == members(last_layer(built))

    def test_makes_the_same_layer_byte_for_byte(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        built = build_with_buildah(bundle, base, tmp_path / "buildah")
        assert last_layer(append(bundle, f"oci:{tmp_path}/appended", base)) == last_layer(built)

    def test_makes_the_same_layer_on_the_real_serving_image(self, bundle: Bundle, tmp_path: Path) -> None:
        built = build_with_buildah(bundle, serving_image(), tmp_path / "buildah")
        appended = append(bundle, f"oci:{tmp_path}/appended", serving_image())
        assert read_config(appended)["rootfs"] == read_config(built)["rootfs"]

    def test_makes_the_same_layer_at_another_time(
        self, bundle: Bundle, base: ImageRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        built = build_with_buildah(bundle, base, tmp_path / "buildah")
        appended = append(bundle, f"oci:{tmp_path}/appended", base)
        assert last_layer(appended) == last_layer(built)
        assert read_config(appended)["created"] == read_config(built)["created"]

    # a header of tar holds a name of 100 characters, or a name and a prefix: each length is at such a border
    @pytest.mark.parametrize("length", [15, 28, 29, 53])
    def test_makes_the_same_layer_when_its_paths_are_long(self, base: ImageRef, tmp_path: Path, length: int) -> None:
        bundle = tiny_bundle(tmp_path / "long", name="n" * length, version="v" * 63)
        built = build_with_buildah(bundle, base, tmp_path / "buildah")
        assert last_layer(append(bundle, f"oci:{tmp_path}/appended", base)) == last_layer(built)

    def test_sets_the_same_labels(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        built = build_with_buildah(bundle, base, tmp_path / "buildah")
        assert read_labels(append(bundle, f"oci:{tmp_path}/appended", base)) == read_labels(built)


def test_no_program_is_needed_but_skopeo(
    bundle: Bundle, base: ImageRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "skopeo").symlink_to(str(shutil.which("skopeo")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert read_labels(append(bundle, f"oci:{tmp_path}/registry", base))["io.kfp-edge.bundle.sha256"] == bundle.digest
