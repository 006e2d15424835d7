"""A bundle becomes a candidate: its bytes, its labels, and what is refused."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest, read_config, read_labels, read_manifest
from kfp_edge.ml.bundle import Bundle
from support.images import platform_images, tiny_base
from support.paths import ROOT
from support.registry import RegistryServer, write_auth_file
from support.registry_proxy import FaultyRegistry


@pytest.fixture(autouse=True)
def _serving_image(base: ImageRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_SERVING_IMAGE", str(base))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without an image, in which those of registries are kept."""
    monkeypatch.setenv("KFP_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def use(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)


def tag_of(bundle: Bundle) -> str:
    return f"{bundle.manifest.version}-{bundle.digest[:12]}"


def candidate_digest(bundle: Bundle, registry: str) -> str | None:
    return find_digest(ImageRegistry.parse(registry).candidates("tiny"), tag_of(bundle))


class TestTheCandidate:
    def test_is_tagged_and_named_by_the_digest_that_the_registry_reports(self, bundle: Bundle, tmp_path: Path) -> None:
        image = containerize(bundle.folder, f"oci:{tmp_path}/registry")
        assert image.home == ImageRegistry.parse(f"oci:{tmp_path}/registry").candidates("tiny")
        assert candidate_digest(bundle, f"oci:{tmp_path}/registry") == image.digest

    def test_has_the_same_digest_whatever_the_files_of_the_bundle_look_like(
        self, bundle: Bundle, tmp_path: Path
    ) -> None:
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

    def test_adds_one_layer_to_those_of_the_serving_image(self, bundle: Bundle, base: ImageRef, tmp_path: Path) -> None:
        image = containerize(bundle.folder, f"oci:{tmp_path}/registry")
        layers = [layer["digest"] for layer in read_manifest(image)["layers"]]
        assert layers[:-1] == [layer["digest"] for layer in read_manifest(base)["layers"]]

    def test_has_labels_that_say_what_it_is(
        self, bundle: Bundle, base: ImageRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
        image = containerize(bundle.folder, f"oci:{tmp_path}/registry", revision="def456")
        expected = {
            "org.opencontainers.image.title": "tiny",
            "org.opencontainers.image.version": bundle.manifest.version,
            "org.opencontainers.image.revision": "def456",
            "org.opencontainers.image.created": "1970-01-02T00:00:00Z",
            "org.opencontainers.image.base.digest": base.digest,
            "io.kfp-edge.model.sha256": bundle.manifest.files["model.onnx"].sha256,
            "io.kfp-edge.bundle.sha256": bundle.digest,
        }
        assert expected.items() <= read_labels(image).items()

    def test_has_the_revision_of_the_bundle_when_none_is_given(self, bundle: Bundle, tmp_path: Path) -> None:
        image = containerize(bundle.folder, f"oci:{tmp_path}/registry")
        assert read_labels(image)["org.opencontainers.image.revision"] == "abc123"

    def test_keeps_the_configuration_of_the_serving_image(self, bundle: Bundle, tmp_path: Path) -> None:
        assert read_config(containerize(bundle.folder, f"oci:{tmp_path}/registry"))["config"]["User"] == "1001"

    def test_is_for_every_processor_of_the_serving_image_with_one_model_layer(
        self, bundle: Bundle, registry: RegistryServer, cache: Path, tmp_path: Path
    ) -> None:
        there = ImageRegistry.parse(registry.url).repository("several")
        base = copy_image(tiny_base(tmp_path / "several", "amd64", "arm64/v8"), there, "1.0")
        candidate = containerize(bundle.folder, registry.url, f"{there}:1.0")
        assert [entry["platform"] for entry in read_manifest(candidate)["manifests"]] == [
            {"os": "linux", "architecture": "amd64"},
            {"os": "linux", "architecture": "arm64", "variant": "v8"},
        ]
        images = platform_images(candidate, tmp_path / "here")
        layers = [read_manifest(image)["layers"][-1] for image in images]
        assert layers[0] == layers[1]
        assert {read_labels(image)["org.opencontainers.image.base.digest"] for image in images} == {base.digest}


def test_a_second_push_moves_no_layer(
    bundle: Bundle, faulty: FaultyRegistry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(faulty.server, monkeypatch)
    containerize(bundle.folder, faulty.server.url)
    faulty.requests.clear()
    containerize(bundle.folder, faulty.server.url)
    assert [path for method, path in faulty.requests if method in ("PATCH", "POST")] == []


class TestNothingIsPushed:
    def test_of_an_altered_bundle(self, bundle: Bundle, tmp_path: Path) -> None:
        with bundle.model.open("ab") as stream:
            stream.write(b"x")
        with pytest.raises(KfpEdgeError, match="was altered after it was verified"):
            containerize(bundle.folder, f"oci:{tmp_path}/registry")
        assert not (tmp_path / "registry").exists()

    def test_when_the_time_is_no_number(self, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
        with pytest.raises(KfpEdgeError, match="SOURCE_DATE_EPOCH is 'yesterday'"):
            containerize(bundle.folder, f"oci:{tmp_path}/registry")
        assert not (tmp_path / "registry").exists()

    def test_when_the_registry_refuses_the_credentials(
        self, bundle: Bundle, registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_auth_file(tmp_path / "auth.json", registry.host, "not the password")
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        with pytest.raises(KfpEdgeError, match="refused the credentials"):
            containerize(bundle.folder, registry.url)

    @pytest.mark.parametrize(("status", "message"), [(401, "refused the credentials"), (500, "an error of its own")])
    def test_when_the_registry_fails_while_a_layer_is_pushed(
        self,
        bundle: Bundle,
        faulty: FaultyRegistry,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        message: str,
    ) -> None:
        use(faulty.server, monkeypatch)
        faulty.fault = lambda method, _: status if method in ("PATCH", "PUT") else None
        with pytest.raises(KfpEdgeError, match=message):
            containerize(bundle.folder, faulty.server.url)
        faulty.fault = None
        assert candidate_digest(bundle, faulty.server.url) is None

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_by_a_build_that_is_interrupted_and_nothing_of_it_is_left(
        self,
        bundle: Bundle,
        faulty: FaultyRegistry,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        signum: signal.Signals,
    ) -> None:
        use(faulty.server, monkeypatch)
        pushing, ended = threading.Event(), threading.Event()

        def hold_back_layers(method: str, _: str) -> int | None:
            if method not in ("PATCH", "PUT"):
                return None
            pushing.set()
            ended.wait()
            return 503

        faulty.fault = hold_back_layers
        script = f"""
            from pathlib import Path
            from kfp_edge.components.containerize.containerize import containerize
            from kfp_edge.runtime.stage import stage
            with stage("containerize"):
                containerize(Path({str(bundle.folder)!r}), {faulty.server.url!r})
        """
        (tmp_path / "tmp").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert pushing.wait(60), "no layer was pushed"
            os.killpg(process.pid, signum)
            assert process.wait() == 130
        finally:
            ended.set()
            process.kill()
        faulty.fault = None
        assert candidate_digest(bundle, faulty.server.url) is None
        assert list((tmp_path / "tmp").iterdir()) == []


class TestTheBuild:
    @pytest.mark.parametrize("build", ["kaniko", "local"])
    def test_that_does_not_exist_is_refused_with_those_that_do(
        self, bundle: Bundle, tmp_path: Path, build: str
    ) -> None:
        with pytest.raises(KfpEdgeError, match=f"build is '{build}'; choose one of auto, tekton, append"):
            containerize(bundle.folder, f"oci:{tmp_path}", build=build)

    def test_is_append_outside_of_a_cluster(self, bundle: Bundle, tmp_path: Path) -> None:
        automatic = containerize(bundle.folder, f"oci:{tmp_path}/auto")
        assert automatic.digest == containerize(bundle.folder, f"oci:{tmp_path}/append", build="append").digest


class TestTheOptions:
    def test_that_are_unknown_are_refused_with_those_that_are_known(self, bundle: Bundle, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="no option 'memroy'; did you mean memory"):
            containerize(bundle.folder, f"oci:{tmp_path}", build_options={"memroy": "1Gi"})

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"timeout": "soon"}, "timeout"),
            ({"timeout": 0}, "timeout"),
            ({"memory": "much"}, "memory"),
            ({"storage_driver": "zfs"}, "storage_driver"),
            ({"context": "folder"}, "context"),
            ({"tolerations": [{"name": "x"}]}, "tolerations"),
        ],
    )
    def test_that_are_not_possible_are_named(self, options: dict[str, object], name: str) -> None:
        with pytest.raises(KfpEdgeError, match=f"build_options: {name}"):
            BuildOptions.parse(options)

    def test_may_have_the_floats_that_kfp_makes_of_numbers(self) -> None:
        toleration = {"key": "a", "effect": "NoExecute", "tolerationSeconds": 60.0}
        options = BuildOptions.parse({"timeout": 900.0, "tolerations": [toleration]})
        assert (options.timeout, options.tolerations[0].tolerationSeconds) == (900, 60)

    @pytest.mark.parametrize("option", BuildOptions.model_fields)
    def test_are_explained(self, option: str) -> None:
        readme = ROOT / "components" / "containerize" / "README.md"
        assert f"`{option}`" in readme.read_text()
