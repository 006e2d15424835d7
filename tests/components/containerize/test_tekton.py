"""The build in the cluster: its image, its objects, and what is refused before it starts."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.containerize.task_run import Build, make_task_run
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, image_exists, read_config, read_manifest
from kfp_edge.kubernetes.metadata import CONTEXT_ANNOTATION, EXPIRES_ANNOTATION
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.ml.bundle import Bundle
from support.cluster_builds import (
    BUILDER,
    BuildCluster,
    FinishedBuild,
    build,
    tag_of,
)
from support.fake_kubernetes.tekton import Image
from support.images import last_layer, members, platform_images, tiny_base
from support.schemas import check

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group(__name__),
    pytest.mark.root,
]


def run_settings(image: ImageRef) -> KubernetesObject:
    """Labels, user, command and the like, but not what is no part of OCI: Buildah drops it."""
    settings = read_config(image)["config"]
    return {key: settings[key] for key in settings if key != "Healthcheck"}


def without_overlay_attributes(layer: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The members of a layer without the attributes that overlayfs keeps for itself."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            attributes = {key: text for key, text in member.pax_headers.items() if ".user.overlay." not in key}
            content = archive.extractfile(member)
            info = member.get_info() | {"attributes": attributes}
            found.append((info, content.read() if content else b""))
    return found


class TestTheImage:
    def test_of_a_build_in_a_pod_has_the_files_and_labels_of_append(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, tmp_path: Path
    ) -> None:
        (built,) = platform_images(build(cluster, bundle, pushed_base), tmp_path / "built")
        (appended,) = platform_images(build(cluster, bundle, pushed_base, "append"), tmp_path / "appended")
        assert members(last_layer(built)) == members(last_layer(appended))
        assert run_settings(built) == run_settings(appended)

    def test_keeps_the_layers_of_a_base_in_the_same_registry(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        below = [layer["digest"] for layer in read_manifest(pushed_base)["layers"]]
        assert [layer["digest"] for layer in read_manifest(build(cluster, bundle, pushed_base))["layers"]][:-1] == below

    def test_is_tagged_and_named_by_the_digest_that_the_registry_reports(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        image = build(cluster, bundle, pushed_base)
        assert image.home == ImageRegistry.parse(cluster.registry.url).candidates("tiny")
        assert tag_of(cluster, bundle) == image.digest

    def test_is_the_same_for_the_same_bundle(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
    ) -> None:
        assert build(cluster, bundle, pushed_base) == build(cluster, bundle, pushed_base)

    def test_is_for_every_processor_of_the_base(self, cluster: BuildCluster, bundle: Bundle, tmp_path: Path) -> None:
        base = cluster.push(tiny_base(tmp_path / "several", "amd64", "arm64/v8"), "several")
        candidate = build(cluster, bundle, base)
        platforms = [entry["platform"] for entry in read_manifest(candidate)["manifests"]]
        assert [platform["architecture"] for platform in platforms] == ["amd64", "arm64"]
        built = platform_images(candidate, tmp_path / "built")
        appended = platform_images(build(cluster, bundle, base, "append"), tmp_path / "appended")
        assert [members(last_layer(image)) for image in built] == [members(last_layer(image)) for image in appended]

    def test_differs_with_the_driver_in_an_attribute_of_overlayfs_at_most(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, tmp_path: Path
    ) -> None:
        """Buildah 1.28 in a user namespace writes it, newer Buildah does not (containers/storage#1847)."""
        try:
            images = {name: build(cluster, bundle, pushed_base, storage_driver=name) for name in ("overlay", "vfs")}
        except KfpEdgeError as error:
            if "overlay" in str(error):
                pytest.skip(f"this machine has no overlayfs for Buildah: {error}")
            raise
        layers = {}
        for name, image in images.items():
            (platform_image,) = platform_images(image, tmp_path / name)
            layers[name] = last_layer(platform_image)
        assert without_overlay_attributes(layers["overlay"]) == without_overlay_attributes(layers["vfs"])
        if b"user.overlay." not in layers["overlay"]:
            assert images["overlay"] == images["vfs"]

    def test_that_is_not_what_was_to_be_built_is_refused(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, tmp_path: Path
    ) -> None:
        other = copy_image(pushed_base, ImageRegistry.parse(cluster.registry.url).candidates("tiny"), "other")
        shim = tmp_path / "shim"
        shim.mkdir()
        find = "for each; do case $each in --digestfile=*) file=${each#*=};; esac; done"
        script = f'#!/bin/sh\n{find}\nprintf %s {other.digest} >"${{file:-/dev/null}}"\n'
        (shim / "buildah").write_text(script)
        (shim / "buildah").chmod(0o755)
        cluster.tekton.images = {BUILDER: Image(environment={"PATH": f"{shim}:/usr/bin:/bin"}, folders=(shim,))}
        with pytest.raises(KfpEdgeError, match=f"{other.digest} has the label .*=None, but 'tiny' was to be built"):
            build(cluster, bundle, pushed_base)


class TestTheObjectsOfABuild:
    def test_are_all_gone_when_it_is_done(self, finished: FinishedBuild, cluster: BuildCluster) -> None:
        assert (cluster.list_objects(), cluster.list_contexts()) == ([], [])

    @pytest.mark.parametrize("kind", ["TaskRun", "Secret"])
    def test_are_labelled_and_expire(self, finished: FinishedBuild, kind: str) -> None:
        metadata = finished.first[kind]["metadata"]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "kfp-edge"
        assert metadata["labels"]["app.kubernetes.io/component"] == "build"
        assert EXPIRES_ANNOTATION in metadata["annotations"]

    def test_go_with_our_pod_but_for_the_secret(self, finished: FinishedBuild, cluster: BuildCluster) -> None:
        (owner,) = finished.first["TaskRun"]["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Pod", os.environ["HOSTNAME"])
        assert "blockOwnerDeletion" not in owner

    def test_name_the_context_in_the_secret_which_has_no_owner(self, finished: FinishedBuild) -> None:
        for state in (finished.first, finished.last):
            assert "ownerReferences" not in state["Secret"]["metadata"]
            assert CONTEXT_ANNOTATION in state["Secret"]["metadata"]["annotations"]

    def test_do_not_show_the_link(self, finished: FinishedBuild) -> None:
        assert "Signature" not in finished.log + str(finished.last["TaskRun"]) + str(finished.last["Pod"])

    def test_are_what_tekton_takes(self, finished: FinishedBuild) -> None:
        check(finished.first["TaskRun"])

    def test_run_where_and_as_long_as_the_options_say(self, finished: FinishedBuild) -> None:
        spec = finished.first["TaskRun"]["spec"]
        assert spec["podTemplate"]["nodeSelector"] == {"disk": "fast"}
        (toleration,) = spec["podTemplate"]["tolerations"]
        assert toleration == {"key": "builds", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
        assert spec["timeout"] == "120s"


@pytest.mark.parametrize(
    ("builder", "options", "secrets"),
    [
        ("quay.io/plant/buildah:1", {"registry_secret": "push"}, [{"name": "push"}]),
        ("quay.io/plant/buildah:1", {"registry_secret": "push", "pull_secret": "pull"}, [{"name": "pull"}]),
        ("registry.example.com/buildah:1", {"pull_secret": "pull"}, [{"name": "pull"}]),
        # a pull secret of ours would replace those that are linked to the service account
        ("registry.example.com/buildah:1", {"registry_secret": "push"}, None),
        ("quay.io/plant/buildah:1", {}, None),
    ],
)
def test_the_pod_gets_the_login_that_fits_the_builder_image(
    builder: str, options: dict[str, str], secrets: list[dict[str, str]] | None
) -> None:
    given = BuildOptions.parse({"builder_image": builder, **options})
    plan = Build("b", {}, "", (), "quay.io/plant/pump-candidate:1", (), (), "s3://b/c", "0" * 64, given)
    run = make_task_run(plan)
    check(run)
    assert run["spec"]["podTemplate"].get("imagePullSecrets") == secrets


def test_the_log_of_every_step_is_in_ours(finished: FinishedBuild) -> None:
    assert "[fetch] fetched the build context" in finished.log
    assert f"@{finished.image.digest}" in next(
        line for line in finished.log.splitlines() if "[build-and-push] pushed" in line
    )


def test_passing_errors_of_the_cluster_are_no_failure(
    cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef
) -> None:
    cluster.fake.fail("create", "taskruns", 500, retry_after=0)
    cluster.fake.fail("get", "pods", 429, retry_after=0)
    cluster.fake.drop_connections(done=True)
    cluster.fake.drop_watches()
    assert image_exists(build(cluster, bundle, pushed_base))


class TestWhatCannotBeBuiltInACluster:
    def test_has_no_place_for_its_context(self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef) -> None:
        with pytest.raises(KfpEdgeError, match="name s3://BUCKET/PREFIX in build_options"):
            build(cluster, bundle, pushed_base, context="")

    def test_goes_into_a_folder(self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef) -> None:
        with pytest.raises(KfpEdgeError, match="cannot push to oci:"):
            containerize(bundle.folder, f"oci:{cluster.folder}", str(pushed_base), build_options=cluster.options)

    def test_has_a_base_that_is_in_no_registry(self, cluster: BuildCluster, bundle: Bundle) -> None:
        with pytest.raises(KfpEdgeError, match="cannot reach the serving image 'auto'"):
            containerize(bundle.folder, cluster.registry.url, build_options=cluster.options)

    def test_may_not_write_to_the_object_store(
        self, cluster: BuildCluster, bundle: Bundle, pushed_base: ImageRef, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-one")
        with pytest.raises(KfpEdgeError, match="the object store denied access to s3://builds/contexts/build-"):
            build(cluster, bundle, pushed_base)
        assert cluster.list_objects() == []
