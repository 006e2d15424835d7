"""A modelcar: the model alone, in the image that KServe expects at an `oci://` address."""

import io
import tarfile
from pathlib import Path

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.containerize.parameters import check_parameters
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.layout import blob_path
from kfp_edge.images.oci.media_types import GZIP_LAYER_TYPE
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import read_config, read_labels, read_manifest
from kfp_edge.ml.bundle import Bundle
from support.buildah_builds import build_with_buildah
from support.cluster_builds import BuildCluster
from support.images import image_of_files, last_layer, members, platform_images, tiny_base

#: What starts a container of the base, and would take KServe's arguments for its own.
PROGRAM = {"Entrypoint": ["/bin/server"], "Cmd": ["--port=80"], "User": "1001"}


def build(bundle: Bundle, folder: Path, base: str, **more: str) -> ImageRef:
    return containerize(bundle.folder, f"oci:{folder}", build="append", format="modelcar", modelcar_base=base, **more)


class TestOnABase:
    def test_the_files_of_the_bundle_are_directly_in_the_folder_that_kserve_mounts(
        self, bundle: Bundle, base: ImageRef, tmp_path: Path
    ) -> None:
        names = [member.info["name"] for member in members(last_layer(build(bundle, tmp_path / "out", str(base))))]
        assert names == ["models/", *(f"models/{name}" for name in bundle.files)]

    def test_the_layers_of_the_base_keep_their_digests(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        layers = read_manifest(build(bundle, tmp_path / "out", str(base)))["layers"]
        assert layers[:-1] == read_manifest(base)["layers"]

    def test_nothing_is_started_by_itself_as_kserve_gives_arguments_only(self, bundle: Bundle, tmp_path: Path) -> None:
        base = image_of_files(tmp_path / "base", {"bin/sh": b""}, settings=PROGRAM)
        settings = read_config(build(bundle, tmp_path / "out", base))["config"]
        assert settings.keys() == {"User", "Labels"}

    def test_the_layer_is_read_by_the_storage_initializer_of_kserve(
        self, bundle: Bundle, base: ImageRef, tmp_path: Path
    ) -> None:
        # kserve_storage.py (KServe 0.20): gzip is opened with "r|gz", zstd refused, and /models is taken
        image = build(bundle, tmp_path / "out", str(base))
        layer = read_manifest(image)["layers"][-1]
        assert layer["mediaType"] == GZIP_LAYER_TYPE
        data = io.BytesIO(blob_path(Path(image.repository), layer["digest"]).read_bytes())
        with tarfile.open(fileobj=data, mode="r|gz") as archive:
            assert "models/model.onnx" in [member.name for member in archive]

    def test_labels_and_annotations_say_what_it_is(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        image = build(bundle, tmp_path / "out", str(base), revision="abc")
        labels = read_labels(image)
        assert ModelFormat.of_labels(labels) == ModelFormat.MODELCAR
        assert labels["io.kfp-edge.bundle.sha256"] == bundle.digest
        assert labels["org.opencontainers.image.base.digest"] == base.digest
        assert labels["org.opencontainers.image.revision"] == "abc"
        assert read_manifest(image)["annotations"] == labels

    def test_the_same_bundle_gives_the_same_digest(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        first, second = (build(bundle, tmp_path / name, str(base)) for name in ("first", "second"))
        assert first.digest == second.digest

    def test_each_platform_of_the_base_has_it(self, bundle: Bundle, tmp_path: Path) -> None:
        base = tiny_base(tmp_path / "base", "amd64", "arm64/v8")
        images = platform_images(build(bundle, tmp_path / "out", str(base)), tmp_path / "here")
        assert [read_config(image)["architecture"] for image in images] == ["amd64", "arm64"]
        assert len({last_layer(image) for image in images}) == 1

    @pytest.mark.containers
    def test_buildah_makes_the_same_layer_labels_and_program(self, bundle: Bundle, tmp_path: Path) -> None:
        address = image_of_files(tmp_path / "base", {"bin/sh": b""}, settings=PROGRAM | {"Env": ["PATH=/bin"]})
        appended = build(bundle, tmp_path / "out", address)
        base = ImageRef("oci", str(tmp_path / "base"), read_labels(appended)["org.opencontainers.image.base.digest"])
        built = build_with_buildah(bundle, base, tmp_path / "buildah", ModelFormat.MODELCAR)
        assert last_layer(appended) == last_layer(built)
        assert read_config(appended)["config"] == read_config(built)["config"]


class TestWithoutABase:
    def test_it_is_one_layer_that_all_platforms_share(self, bundle: Bundle, tmp_path: Path) -> None:
        images = platform_images(build(bundle, tmp_path / "out", "scratch"), tmp_path / "here")
        assert [read_config(image)["architecture"] for image in images] == ["amd64", "arm64"]
        (layer,) = {tuple(each["digest"] for each in read_manifest(image)["layers"]) for image in images}
        assert len(layer) == 1

    def test_its_labels_name_no_base(self, bundle: Bundle, tmp_path: Path) -> None:
        (image, _) = platform_images(build(bundle, tmp_path / "out", "scratch"), tmp_path / "here")
        assert not [name for name in read_labels(image) if ".base." in name]


class TestBuiltInACluster:
    def test_it_has_the_files_and_labels_of_the_other_build(
        self, bundle: Bundle, cluster: BuildCluster, pushed_base: ImageRef, tmp_path: Path
    ) -> None:
        options = {"build": "tekton", "format": "modelcar", "modelcar_base": str(pushed_base)}
        image = containerize(bundle.folder, cluster.registry.url, build_options=cluster.options, **options)
        (built,) = platform_images(image, tmp_path / "built")
        appended = build(bundle, tmp_path / "out", str(pushed_base))
        assert last_layer(built) == last_layer(appended)
        assert read_labels(built) == read_labels(appended)
        assert read_manifest(built)["annotations"].items() >= read_labels(built).items()

    def test_it_needs_no_base(self, bundle: Bundle, cluster: BuildCluster, tmp_path: Path) -> None:
        options = {"build": "tekton", "format": "modelcar", "modelcar_base": "scratch"}
        image = containerize(bundle.folder, cluster.registry.url, build_options=cluster.options, **options)
        images = platform_images(image, tmp_path / "built")
        assert [read_config(each)["architecture"] for each in images] == ["amd64", "arm64"]
        assert all(len(read_manifest(each)["layers"]) == 1 for each in images)

    def test_a_base_on_this_machine_is_refused(self, bundle: Bundle, base: ImageRef, cluster: BuildCluster) -> None:
        options = {"build": "tekton", "format": "modelcar", "modelcar_base": str(base)}
        with pytest.raises(KfpEdgeError, match=r"cannot reach the base of the modelcar .* modelcar_base, or choose"):
            containerize(bundle.folder, cluster.registry.url, build_options=cluster.options, **options)


class TestIsRefused:
    def test_if_its_format_is_not_known(self, bundle: Bundle, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="modelkar.*did you mean modelcar"):
            containerize(bundle.folder, f"oci:{tmp_path}/out", format="modelkar")

    def test_if_there_is_no_such_base(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="no image tagged 2 in .*; check modelcar_base"):
            build(bundle, tmp_path / "out", f"oci:{base.repository}:2")

    @pytest.mark.parametrize("address", ["ubi9/ubi-micro", "docker://ubi-micro:9.6", ""])
    def test_before_the_run_if_the_base_is_no_address(self, address: str) -> None:
        with pytest.raises(KfpEdgeError, match="modelcar_base cannot be used"):
            check_parameters("oci:out", "auto", "append", {}, "modelcar", address, in_pod=False)
